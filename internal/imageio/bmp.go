package imageio

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"io"
	"math/bits"
)

// BMP, as Windows and OS/2 write it. Package bmp reads a few of its forms only.
const (
	bmpRGB       = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpBitfields = 3
	bmpAlpha     = 6 // bitfields with alpha
)

// A bmpFile is what the headers say.
type bmpFile struct {
	width, height int
	topDown       bool
	bits          int
	compression   uint32
	masks         [4]uint32 // of red, green, blue, alpha; 0 alpha is none
	palette       color.Palette
	pixels        []byte
}

func openBMP(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	if len(data) < 18 {
		return nil, io.ErrUnexpectedEOF
	}
	return openBitmap(data[14:], int64(binary.LittleEndian.Uint32(data[10:]))-14)
}

// openDIB reads a BMP without its file header.
func openDIB(src *source, _ *Options) (*file, error) {
	data, err := src.bytes()
	if err != nil {
		return nil, err
	}
	return openBitmap(data, -14)
}

// openBitmap reads a bitmap whose pixels begin at offset, right behind the
// headers where the file says 0.
func openBitmap(data []byte, offset int64) (*file, error) {
	b, err := readBitmap(data, offset)
	if err != nil {
		return nil, err
	}
	return &file{width: b.width, height: b.height, cost: 5, decode: b.decode}, nil
}

func readBitmap(data []byte, offset int64) (*bmpFile, error) {
	if len(data) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	size := int64(binary.LittleEndian.Uint32(data))
	b := &bmpFile{}
	entry, colours := int64(4), uint32(0) // of the palette
	switch size {
	case 12: // OS/2 1
		if len(data) < 12 {
			return nil, io.ErrUnexpectedEOF
		}
		b.width, b.height = int(binary.LittleEndian.Uint16(data[4:])), int(binary.LittleEndian.Uint16(data[6:]))
		b.bits = int(binary.LittleEndian.Uint16(data[10:]))
		entry = 3
	case 16, 40, 52, 56, 64, 108, 124:
		if int64(len(data)) < max(size, 16) {
			return nil, io.ErrUnexpectedEOF
		}
		w, h := int32(binary.LittleEndian.Uint32(data[4:])), int32(binary.LittleEndian.Uint32(data[8:]))
		b.width, b.height, b.topDown = int(w), int(h), h < 0
		if b.topDown {
			b.height = -b.height
		}
		b.bits = int(binary.LittleEndian.Uint16(data[14:]))
		if size >= 40 {
			b.compression = binary.LittleEndian.Uint32(data[16:])
			colours = binary.LittleEndian.Uint32(data[32:])
		}
	default:
		return nil, fmt.Errorf("header of %d bytes: %w", size, ErrUnsupported)
	}
	at := size
	if b.compression == bmpBitfields || b.compression == bmpAlpha {
		n := int64(3)
		if b.compression == bmpAlpha || size >= 56 {
			n = 4
		}
		if size == 64 {
			return nil, fmt.Errorf("compression Huffman 1D: %w", ErrUnsupported)
		}
		if int64(len(data)) < 40+4*n {
			return nil, io.ErrUnexpectedEOF
		}
		for i := range n {
			b.masks[i] = binary.LittleEndian.Uint32(data[40+4*i:])
		}
		at = max(at, 40+4*n)
	}
	if b.bits <= 8 {
		if colours == 0 || colours > 1<<16 {
			colours = 1 << b.bits
		}
		room := int64(len(data)) - at
		if offset > at {
			room = min(room, offset-at) // some files hold fewer colours than they say
		}
		n := min(int64(colours), max(room, 0)/entry)
		for i := range min(n, 256) {
			p := data[at+i*entry:]
			b.palette = append(b.palette, color.RGBA{p[2], p[1], p[0], 0xff})
		}
		at += n * entry
	}
	if offset <= 0 {
		offset = at
	}
	if offset > int64(len(data)) {
		return nil, io.ErrUnexpectedEOF
	}
	b.pixels = data[offset:]
	return b, b.check()
}

// check refuses by name what decode does not read, and damaged headers.
func (b *bmpFile) check() error {
	if b.width <= 0 || b.height <= 0 {
		return fmt.Errorf("got %dx%d pixels", b.width, b.height)
	}
	allowed := map[uint32][]int{
		bmpRGB: {1, 2, 4, 8, 16, 24, 32}, bmpRLE8: {8}, bmpRLE4: {4},
		bmpBitfields: {16, 24, 32}, bmpAlpha: {16, 32},
	}
	names := map[uint32]string{4: "JPEG in BMP", 5: "PNG in BMP", 11: "CMYK BMP", 12: "CMYK BMP", 13: "CMYK BMP"}
	known := false
	for _, bits := range allowed[b.compression] {
		known = known || bits == b.bits
	}
	if name, ok := names[b.compression]; ok {
		return fmt.Errorf("%s: %w", name, ErrUnsupported)
	}
	if !known {
		return fmt.Errorf("compression %d of %d bits: %w", b.compression, b.bits, ErrUnsupported)
	}
	if b.compression != bmpRLE4 && b.compression != bmpRLE8 && int64(len(b.pixels)) < int64(b.stride())*int64(b.height)-int64(b.padding()) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// stride is the length of a row in the file, a multiple of 4.
func (b *bmpFile) stride() int { return (b.width*b.bits + 31) / 32 * 4 }

// padding is what of it some writers leave out behind the last row.
func (b *bmpFile) padding() int { return b.stride() - (b.width*b.bits+7)/8 }

func (b *bmpFile) decode() (*stored, error) {
	if b.bits <= 8 {
		return b.indexed()
	}
	dst := image.NewNRGBA(image.Rect(0, 0, b.width, b.height))
	masks := b.masks
	if b.compression == bmpRGB {
		masks = [4]uint32{0xff0000, 0xff00, 0xff, 0}
		if b.bits == 16 {
			masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
		}
	} else if masks == ([4]uint32{}) {
		masks = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}
	}
	channels := [4]func(uint32) uint8{}
	for i, mask := range masks {
		channels[i] = scaled(mask)
	}
	seen := byte(0) // of alpha
	n := b.bits / 8
	for y := range b.height {
		row := b.pixels[b.rowAt(y)*b.stride():]
		to := dst.Pix[y*dst.Stride:]
		for x := range b.width {
			var v uint32
			for i := range n {
				v |= uint32(row[x*n+i]) << (8 * i)
			}
			p := to[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2], p[3] = channels[0](v), channels[1](v), channels[2](v), 0xff
			if masks[3] != 0 {
				p[3] = channels[3](v)
				seen |= p[3]
			}
		}
	}
	if masks[3] == 0 || seen == 0 { // a fourth byte that nobody filled in
		for i := 3; i < len(dst.Pix); i += 4 {
			dst.Pix[i] = 0xff
		}
		return &stored{img: &image.RGBA{Pix: dst.Pix, Stride: dst.Stride, Rect: dst.Rect}}, nil
	}
	return &stored{img: dst}, nil
}

// rowAt returns which row of the file row y of the image is.
func (b *bmpFile) rowAt(y int) int {
	if b.topDown {
		return y
	}
	return b.height - 1 - y
}

// scaled returns what takes the bits of mask out of a pixel, from 0 to 255.
func scaled(mask uint32) func(uint32) uint8 {
	if mask == 0 {
		return func(uint32) uint8 { return 0 }
	}
	shift := bits.TrailingZeros32(mask)
	top := uint64(mask >> shift)
	if top == 0xff {
		return func(v uint32) uint8 { return uint8(v & mask >> shift) }
	}
	return func(v uint32) uint8 { return uint8((uint64(v&mask>>shift)*255 + top/2) / top) }
}

// indexed reads pixels that are indices into the palette, black beyond it.
func (b *bmpFile) indexed() (*stored, error) {
	dst := image.NewPaletted(image.Rect(0, 0, b.width, b.height), b.palette)
	switch b.compression {
	case bmpRLE4, bmpRLE8:
		if err := b.unpack(dst); err != nil {
			return nil, err
		}
	default:
		perByte := 8 / b.bits
		for y := range b.height {
			row := b.pixels[b.rowAt(y)*b.stride():]
			to := dst.Pix[y*dst.Stride:][:b.width]
			for x := range to {
				to[x] = row[x/perByte] >> (8 - b.bits - x%perByte*b.bits) & (1<<b.bits - 1)
			}
		}
	}
	return &stored{img: dst}, nil
}

// unpack reads runs of pixels; what they pass over keeps index 0.
func (b *bmpFile) unpack(dst *image.Paletted) error {
	data := b.pixels
	x, y := 0, 0
	set := func(index byte) {
		if x < b.width && y < b.height {
			dst.Pix[b.rowAt(y)*dst.Stride+x] = index
		}
		x++
	}
	four := b.compression == bmpRLE4
	half := func(v byte, i int) byte {
		if !four {
			return v
		}
		return v >> (4 - i%2*4) & 15
	}
	for y < b.height {
		if len(data) < 2 {
			if y == b.height-1 && x >= b.width {
				return nil // without the mark of the end
			}
			return io.ErrUnexpectedEOF
		}
		count, v := int(data[0]), data[1]
		data = data[2:]
		switch {
		case count > 0:
			for i := range count {
				set(half(v, i))
			}
		case v == 0: // end of the row
			x, y = 0, y+1
		case v == 1: // end of the bitmap
			return nil
		case v == 2: // move
			if len(data) < 2 {
				return io.ErrUnexpectedEOF
			}
			x, y = x+int(data[0]), y+int(data[1])
			data = data[2:]
		default: // pixels as they are, padded to even
			n := int(v)
			size := n
			if four {
				size = (n + 1) / 2
			}
			if len(data) < size {
				return io.ErrUnexpectedEOF
			}
			for i := range n {
				if four {
					set(half(data[i/2], i))
				} else {
					set(data[i])
				}
			}
			data = data[min(size+size%2, len(data)):]
		}
	}
	return nil
}
