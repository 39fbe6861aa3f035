package jpeg

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"io"
	"sync"

	"github.com/anomaly-go/anomaly/internal/room"
)

// Encode writes a baseline file of quality 1 to 100, as libjpeg scales it: of
// *image.Gray grey, else YCbCr whose colours are at half the resolution, over
// black where an image is transparent. Fast for *image.Gray and *image.RGBA; other images are
// converted first. The same pixels give the same bytes on every machine.
func Encode(w io.Writer, img image.Image, quality int) error {
	size := img.Bounds().Size()
	switch {
	case min(size.X, size.Y) < 1 || max(size.X, size.Y) >= 1<<16:
		return fmt.Errorf("jpeg: encode: got %dx%d pixels, want 1 to 65535 a side", size.X, size.Y)
	case quality < 1 || quality > 100:
		return fmt.Errorf("jpeg: encode: got quality %d, want 1 to 100", quality)
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.begin(size, quality)
	switch img := img.(type) {
	case *image.Gray:
		e.gray(img)
	case *image.RGBA:
		e.colours(img)
	default:
		rgba := image.NewRGBA(image.Rectangle{Max: size})
		draw.Draw(rgba, rgba.Rect, img, img.Bounds().Min, draw.Src)
		e.colours(rgba)
	}
	_, err := w.Write(e.end())
	return err
}

// An encoder has what encoding needs in memory, and keeps it for the next image.
type encoder struct {
	bitWriter
	size    image.Point
	quality int            // that tables and scales are of
	tables  [2][64]uint8   // luma's and the colours', row by row
	scales  [2][64]float32 // of transform

	y, cb, cr []float32      // a row of squares
	pads      [2][64]uint8   // of two rows what lies in a square at the edge
	blocks    [4][][64]int16 // of luma the upper and the lower ones of squares, cb, cr
	sets      [4][]uint64
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// begin makes the encoder ready for an image.
func (e *encoder) begin(size image.Point, quality int) {
	e.size = size
	e.bitWriter = bitWriter{file: e.file[:0]}
	if e.quality == quality {
		return
	}
	e.quality = quality
	percent := 200 - 2*quality
	if quality < 50 {
		percent = 5000 / quality
	}
	for i := range e.tables {
		for at, v := range quantisers[i] {
			e.tables[i][at] = uint8(min(max((int(v)*percent+50)/100, 1), 255))
		}
	}
	e.scales = [2][64]float32{scales(&e.tables[0], fraction), scales(&e.tables[1], fraction+2)}
}

// room makes room for n blocks of a kind.
func (e *encoder) room(kind, n int) {
	e.blocks[kind], e.sets[kind] = room.Of(e.blocks[kind], n), room.Of(e.sets[kind], n)
}

// gray encodes the one component of a grey image.
func (e *encoder) gray(img *image.Gray) {
	blocks := (e.size.X + 7) / 8
	stride := 8 * blocks
	e.header(1)
	e.y = room.Of(e.y, 8*stride)
	e.room(0, blocks)
	var last int32
	for top := 0; top < e.size.Y; top += 8 {
		for i := range 8 {
			y, row := e.y[i*stride:][:stride], img.Pix[min(top+i, e.size.Y-1)*img.Stride:][:e.size.X]
			splitGray(y, row)
			for x := len(row); x < stride; x++ {
				y[x] = y[len(row)-1]
			}
		}
		transform(e.blocks[0], e.sets[0], e.y, stride, &e.scales[0])
		for i := range blocks {
			last = e.block(&e.blocks[0][i], e.sets[0][i], last, &codes[0])
		}
	}
}

// colours encodes the three components of an image, a square of 16 pixels after the other.
func (e *encoder) colours(img *image.RGBA) {
	squares := (e.size.X + 15) / 16
	stride := 16 * squares
	e.header(3)
	e.y, e.cb, e.cr = room.Of(e.y, 16*stride), room.Of(e.cb, 4*stride), room.Of(e.cr, 4*stride)
	for kind, n := range []int{2 * squares, 2 * squares, squares, squares} {
		e.room(kind, n)
	}
	row := func(y int) []uint8 { return img.Pix[min(y, e.size.Y-1)*img.Stride:][:4*e.size.X] }
	var last [3]int32
	for top := 0; top < e.size.Y; top += 16 {
		for i := range 8 {
			e.split(i, stride, row(top+2*i), row(top+2*i+1))
		}
		transform(e.blocks[0], e.sets[0], e.y, stride, &e.scales[0])
		transform(e.blocks[1], e.sets[1], e.y[8*stride:], stride, &e.scales[0])
		transform(e.blocks[2], e.sets[2], e.cb, stride/2, &e.scales[1])
		transform(e.blocks[3], e.sets[3], e.cr, stride/2, &e.scales[1])
		for i := range squares {
			for _, half := range []int{0, 1} {
				for j := 2 * i; j < 2*i+2; j++ {
					last[0] = e.block(&e.blocks[half][j], e.sets[half][j], last[0], &codes[0])
				}
			}
			last[1] = e.block(&e.blocks[2][i], e.sets[2][i], last[1], &codes[1])
			last[2] = e.block(&e.blocks[3][i], e.sets[3][i], last[2], &codes[1])
		}
	}
}

// split makes pair i of a row of squares of two rows of pixels; the last pixel is repeated.
func (e *encoder) split(i, stride int, first, second []uint8) {
	y0, y1, cb, cr := e.y[2*i*stride:][:stride], e.y[(2*i+1)*stride:][:stride], e.cb[i*stride/2:][:stride/2], e.cr[i*stride/2:][:stride/2]
	whole := e.size.X &^ 15
	splitRGBA(y0[:whole], y1[:whole], cb[:whole/2], cr[:whole/2], first, second)
	if whole == stride {
		return
	}
	for i, row := range [][]uint8{first, second} {
		n := copy(e.pads[i][:], row[4*whole:])
		for ; n < len(e.pads[i]); n++ {
			e.pads[i][n] = row[len(row)-4+n%4]
		}
	}
	splitRGBA(y0[whole:], y1[whole:], cb[whole/2:], cr[whole/2:], e.pads[0][:], e.pads[1][:])
}

// header writes all that stands before the scan.
func (e *encoder) header(components int) {
	e.file = append(e.file, 0xff, markerSOI)
	kinds := min(components, 2)
	e.segment(markerDQT, kinds*(1+64))
	for i := range kinds {
		e.file = append(e.file, byte(i))
		for _, at := range zigzag {
			e.file = append(e.file, e.tables[i][at])
		}
	}
	e.segment(markerSOF0, 6+3*components)
	e.file = append(e.file, 8)
	e.file = binary.BigEndian.AppendUint16(e.file, uint16(e.size.Y))
	e.file = binary.BigEndian.AppendUint16(e.file, uint16(e.size.X))
	e.file = append(e.file, byte(components))
	scan := []byte{byte(components)}
	for i := range components {
		sampling, kind := byte(0x11), byte(min(i, 1))
		if components > 1 && i == 0 {
			sampling = 0x22
		}
		e.file = append(e.file, byte(i+1), sampling, kind)
		scan = append(scan, byte(i+1), kind<<4|kind)
	}
	n := 0
	for _, s := range specs[:2*kinds] {
		n += 1 + len(s.count) + len(s.values)
	}
	e.segment(markerDHT, n)
	for i, s := range specs[:2*kinds] {
		e.file = append(e.file, byte(i%2<<4|i/2))
		e.file = append(e.file, s.count[:]...)
		e.file = append(e.file, s.values...)
	}
	e.segment(markerSOS, len(scan)+3)
	e.file = append(e.file, scan...)
	e.file = append(e.file, 0, 63, 0)
}

// segment begins a segment of n bytes.
func (e *encoder) segment(marker byte, n int) {
	e.file = append(e.file, 0xff, marker)
	e.file = binary.BigEndian.AppendUint16(e.file, uint16(2+n))
}
