package imageio

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"io"
	"slices"
)

func openGIF(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	if len(data) < 13 {
		return nil, io.ErrUnexpectedEOF
	}
	width, height := int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	f := &file{
		width: width, height: height, cost: 6,
		decode: func() (*stored, error) {
			img, err := gif.Decode(bytes.NewReader(data))
			if err != nil {
				return nil, err
			}
			return &stored{img: spread(img.(*image.Paletted), width, height)}, nil
		},
	}
	if gifFrames(data) > 1 {
		f.notes = []string{firstFrame}
	}
	return f, nil
}

// spread lays a frame on the whole canvas, which is transparent where the frame
// has a transparent colour, else of the first colour.
func spread(frame *image.Paletted, width, height int) image.Image {
	bounds := image.Rect(0, 0, width, height)
	if frame.Rect == bounds {
		return frame
	}
	clear := slices.IndexFunc(frame.Palette, func(c color.Color) bool { _, _, _, a := c.RGBA(); return a == 0 })
	canvas := image.NewPaletted(bounds, frame.Palette)
	for i := range canvas.Pix {
		canvas.Pix[i] = uint8(max(clear, 0))
	}
	at := frame.Rect.Intersect(bounds)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		copy(canvas.Pix[canvas.PixOffset(at.Min.X, y):][:at.Dx()], frame.Pix[frame.PixOffset(at.Min.X, y):])
	}
	return canvas
}

// gifFrames counts the frames of a GIF file, up to 2.
func gifFrames(data []byte) (frames int) {
	skip := func(n int) { data = data[min(n, len(data)):] }
	table := func(flags byte) { // of colours
		if flags&0x80 != 0 {
			skip(3 << (flags&7 + 1))
		}
	}
	blocks := func() {
		for len(data) > 0 && data[0] != 0 {
			skip(1 + int(data[0]))
		}
		skip(1)
	}
	flags := data[10]
	skip(13)
	table(flags)
	for len(data) > 0 && frames < 2 {
		switch data[0] {
		case 0x21: // extension: label, blocks
			skip(2)
			blocks()
		case 0x2c: // frame: place, flags, colours, code size, blocks
			if len(data) < 11 {
				return frames
			}
			frames++
			flags := data[9]
			skip(10)
			table(flags)
			skip(1)
			blocks()
		default:
			return frames
		}
	}
	return frames
}
