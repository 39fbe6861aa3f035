package imageio

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
	"slices"

	"golang.org/x/image/tiff"
)

// Tags and values of TIFF 6.0, sections 3, 8, 11, 16 and 18.
const (
	tiffCompression  = 259
	tiffFax3         = 3
	tiffFax4         = 4
	tiffPhotometric  = 262
	tiffExtraSamples = 338
	tiffBlackIsZero  = 1
	tiffRGB          = 2
	tiffCMYK         = 5
	tiffShort        = 3
	tiffEntry        = 12 // bytes
)

// decodeTIFF decodes TIFF, with what package tiff does not know: CMYK, and that
// fax data may be black where others are white.
func decodeTIFF(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	data, repair := relabel(data)
	img, err := tiff.Decode(bytes.NewReader(data))
	if err != nil || repair == nil {
		return img, err
	}
	return repair(img)
}

// asCMYK takes red, green, blue and alpha for the colours of print.
func asCMYK(img image.Image) (image.Image, error) {
	if four, ok := img.(*image.NRGBA); ok {
		return &image.CMYK{Pix: four.Pix, Stride: four.Stride, Rect: four.Rect}, nil
	}
	return nil, tiff.UnsupportedError("CMYK of more than 8 bits")
}

// inverted swaps black and white.
func inverted(img image.Image) (image.Image, error) {
	if gray, ok := img.(*image.Gray); ok {
		for i, v := range gray.Pix {
			gray.Pix[i] = 0xff - v
		}
	}
	return img, nil
}

func decodeTIFFConfig(r io.Reader) (image.Config, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return image.Config{}, err
	}
	data, _ = relabel(data)
	return tiff.DecodeConfig(bytes.NewReader(data))
}

// relabel returns a CMYK file as one whose four samples are called red, green,
// blue and alpha: the same bytes with another directory behind them. Other
// files, damaged ones among them, it returns as they are. repair, if not nil,
// makes the image of what package tiff makes of the result.
func relabel(data []byte) (out []byte, repair func(image.Image) (image.Image, error)) {
	if len(data) < 8 {
		return data, nil
	}
	var order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	} = binary.LittleEndian
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return data, nil
	}
	count := uint64(order.Uint16(data[at:]))
	if at+2+tiffEntry*count > uint64(len(data)) {
		return data, nil
	}
	short := func(tag, value uint16) []byte {
		e := order.AppendUint16(nil, tag)
		e = order.AppendUint32(order.AppendUint16(e, tiffShort), 1)
		return order.AppendUint16(order.AppendUint16(e, value), 0)
	}
	extra := short(tiffExtraSamples, 2) // alpha by which colours are not multiplied
	var entries []byte
	var photometric, compression uint16
	for entry := range slices.Chunk(data[at+2:][:tiffEntry*count], tiffEntry) {
		switch tag := order.Uint16(entry); {
		case tag == tiffCompression:
			compression = order.Uint16(entry[8:])
		case tag == tiffPhotometric:
			photometric = order.Uint16(entry[8:])
			entry = short(tiffPhotometric, tiffRGB)
		case tag == tiffExtraSamples:
			return data, nil // more than four samples
		case tag > tiffExtraSamples && extra != nil:
			entries, extra = append(entries, extra...), nil
		}
		entries = append(entries, entry...)
	}
	switch {
	case photometric == tiffBlackIsZero && (compression == tiffFax3 || compression == tiffFax4):
		return data, inverted
	case photometric != tiffCMYK:
		return data, nil
	}
	entries = append(entries, extra...)
	out = slices.Clone(data)
	order.PutUint32(out[4:], uint32(len(out)))
	out = order.AppendUint16(out, uint16(len(entries)/tiffEntry))
	return append(append(out, entries...), 0, 0, 0, 0), asCMYK
}
