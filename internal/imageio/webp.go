package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/draw"
	"io"
	"slices"

	"golang.org/x/image/webp"
)

// openWebP reads the chunks of a WebP file. Of an animation it makes a file of
// the first frame, which package webp reads.
func openWebP(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	f := &file{cost: 8}
	var exif, xmp, frame []byte
	extended := false
	for id, body := range webpChunks(data[12:]) {
		switch id {
		case "VP8X":
			if len(body) < 10 {
				return nil, io.ErrUnexpectedEOF
			}
			extended = true
			f.width, f.height = 1+uint24(body[4:]), 1+uint24(body[7:])
		case "ANMF":
			if frame == nil {
				frame = body
			}
		case "EXIF": // some writers begin it as in JPEG
			exif = bytes.TrimPrefix(body, []byte("Exif\x00\x00"))
		case "XMP ":
			xmp = body
		}
	}
	f.orientation = orientation(exif, xmp)
	if frame == nil {
		cfg, err := webp.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		f.width, f.height = cfg.Width, cfg.Height
		f.decode = func() (*stored, error) {
			img, err := decodeWebP(data)
			return &stored{img: img}, err
		}
		return f, nil
	}
	if !extended || len(frame) < 16 {
		return nil, errors.New("an animation without its header")
	}
	f.notes = []string{firstFrame}
	f.decode = func() (*stored, error) {
		img, err := decodeWebP(webpFrame(frame))
		if err != nil {
			return nil, err
		}
		at := image.Pt(2*uint24(frame), 2*uint24(frame[3:]))
		canvas := image.NewNRGBA(f.bounds())
		draw.Draw(canvas, img.Bounds().Add(at), img, img.Bounds().Min, draw.Src)
		return &stored{img: canvas}, nil
	}
	return f, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// webpChunks yields the chunks that are whole.
func webpChunks(data []byte) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for len(data) >= 8 {
			n := uint64(binary.LittleEndian.Uint32(data[4:]))
			if n+8 > uint64(len(data)) || !yield(string(data[:4]), data[8:8+n]) {
				return
			}
			data = data[min(8+n+n%2, uint64(len(data))):] // chunks are padded to even sizes
		}
	}
}

// webpFrame returns a file of the still image in an ANMF chunk.
func webpFrame(frame []byte) []byte {
	var alpha, body []byte
	for id, chunk := range webpChunks(frame[16:]) {
		whole := slices.Concat([]byte(id), binary.LittleEndian.AppendUint32(nil, uint32(len(chunk))), chunk, make([]byte, len(chunk)%2))
		switch id {
		case "ALPH":
			alpha = whole
		case "VP8 ", "VP8L":
			body = whole
		}
	}
	if alpha != nil {
		const hasAlpha = 0x10
		header := append([]byte("VP8X\x0a\x00\x00\x00"), hasAlpha, 0, 0, 0)
		header = append(header, frame[6:12]...) // width and height less 1
		body = slices.Concat(header, alpha, body)
	}
	head := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(body)))
	return slices.Concat(head, []byte("WEBP"), body)
}

// decodeWebP decodes a still image. Lossy files hold luma in [16,235] and chroma
// in [16,240] at half the resolution (RFC 6386, section 9.2, ITU-R BT.601), which
// package webp leaves in types of package image that stand for [0,255] and repeat
// colours: here they are interpolated and converted as libwebp does.
func decodeWebP(data []byte) (image.Image, error) {
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch lossy := img.(type) {
	case *image.YCbCr:
		dst := videoToRGB(lossy)
		return &image.RGBA{Pix: dst.Pix, Stride: dst.Stride, Rect: dst.Rect}, nil
	case *image.NYCbCrA:
		dst := videoToRGB(&lossy.YCbCr)
		for y := range dst.Rect.Dy() {
			for x, a := range lossy.A[y*lossy.AStride:][:dst.Rect.Dx()] {
				dst.Pix[y*dst.Stride+4*x+3] = a
			}
		}
		return dst, nil
	}
	return img, nil
}

// videoToRGB interpolates colours as libwebp does ("fancy upsampling",
// src/dsp/upsampling.c): 9/16 of the nearest sample, 3/16 of each beside it, 1/16
// of the one across.
func videoToRGB(src *image.YCbCr) *image.NRGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewNRGBA(image.Rect(0, 0, w, h))
	cw, ch := (w+1)/2, (h+1)/2
	u, v := make([]int, w), make([]int, w)
	for y := range h {
		near := y / 2
		far := min(max(near-1+y%2*2, 0), ch-1) // itself at the borders
		widen(u, src.Cb[near*src.CStride:][:cw], src.Cb[far*src.CStride:][:cw])
		widen(v, src.Cr[near*src.CStride:][:cw], src.Cr[far*src.CStride:][:cw])
		luma, to := src.Y[y*src.YStride:][:w], dst.Pix[y*dst.Stride:]
		for x, l := range luma {
			p := to[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2] = videoRGB(int(l), u[x], v[x])
			p[3] = 0xff
		}
	}
	return dst
}

// widen interpolates a row of dst from the nearest row of samples and the one on
// its other side, in libwebp's steps of rounding.
func widen(dst []int, near, far []uint8) {
	edge := func(x int) int { return (3*int(near[x]) + int(far[x]) + 2) >> 2 }
	dst[0] = edge(0)
	for x := 1; 2*x-1 < len(dst); x++ {
		if x == len(near) {
			dst[2*x-1] = edge(x - 1)
			break
		}
		n0, n1, f0, f1 := int(near[x-1]), int(near[x]), int(far[x-1]), int(far[x])
		sum := n0 + n1 + f0 + f1 + 8
		dst[2*x-1] = ((sum+2*(n1+f0))>>3 + n0) >> 1
		if 2*x < len(dst) {
			dst[2*x] = ((sum+2*(n0+f1))>>3 + n1) >> 1
		}
	}
}

// videoRGB is libwebp's conversion (src/dsp/yuv.h), in fixed point with 14 bits.
func videoRGB(y, u, v int) (r, g, b uint8) {
	clip := func(x int) uint8 { return uint8(min(max(x>>6, 0), 255)) }
	luma := y * 19077 >> 8
	return clip(luma + v*26149>>8 - 14234),
		clip(luma - u*6419>>8 - v*13320>>8 + 8708),
		clip(luma + u*33050>>8 - 17685)
}
