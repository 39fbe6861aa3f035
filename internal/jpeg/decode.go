package jpeg

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
)

// A Model is what the components of a strip or tile are.
type Model int

const (
	RGB Model = iota // or grey
	YCbCr
	CMYK // 0 is no ink, where Adobe's files have 255
)

// Decode decodes a file: *image.Gray, opaque *image.RGBA, or *image.CMYK.
func Decode(data []byte) (image.Image, error) {
	h, err := ReadHeader(data)
	if err != nil {
		return nil, err
	}
	if h.Components == 4 && !h.adobe { // taken for such a file's, as by other readers
		data = slices.Concat(data[:2], adobe(0), data[2:])
	}
	return h.decode(data)
}

func (h *Header) decode(data []byte) (image.Image, error) {
	if h.Width == 0 || h.Height == 0 {
		return nil, UnsupportedError("JPEG of a height that is told behind the image")
	}
	if err := h.checkScans(data); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil && h.progressive && h.restarts {
		return nil, fmt.Errorf("%w: %w", UnsupportedError("progressive JPEG with restart markers"), err) // or it is damaged
	}
	if err != nil {
		return nil, err
	}
	if src, ok := img.(*image.YCbCr); ok {
		return ToRGB(src), nil
	}
	return img, nil
}

// DecodeAs decodes the strips and tiles of other formats: tables is a file with
// no image in it but the tables that data lacks, or empty, and model what its
// components are, whatever its markers say.
func DecodeAs(tables, data []byte, model Model) (image.Image, error) {
	transform := byte(0)
	if model == YCbCr {
		transform = 1
	}
	whole := slices.Concat([]byte{0xff, markerSOI}, adobe(transform), inner(tables))
	// The markers that would say otherwise are left out.
	err := segments(data, func(marker byte, start, end int) (bool, error) {
		switch marker {
		case markerSOS:
			whole = append(whole, data[start-4:]...)
		case markerAPP0, markerAPP14:
		default:
			whole = append(whole, data[start-4:end]...)
		}
		return marker != markerSOS, nil
	})
	if err != nil {
		return nil, err
	}
	h, err := ReadHeader(whole)
	if err != nil {
		return nil, err
	}
	img, err := h.decode(whole)
	if cmyk, ok := img.(*image.CMYK); ok {
		for i, v := range cmyk.Pix {
			cmyk.Pix[i] = 0xff - v // image/jpeg has turned Adobe's round
		}
	}
	return img, err
}

// adobe returns Adobe's marker: transform 1 is YCbCr, 0 RGB or CMYK.
func adobe(transform byte) []byte {
	return []byte{0xff, markerAPP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}
}

// inner returns the segments of a file of tables, without SOI and EOI.
func inner(tables []byte) []byte {
	tables = bytes.TrimPrefix(tables, []byte{0xff, markerSOI})
	return bytes.TrimSuffix(tables, []byte{0xff, markerEOI})
}
