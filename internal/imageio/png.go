package imageio

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	imagepng "image/png"
	"io"
	"strings"

	"github.com/anomaly-go/anomaly/internal/png"
	"github.com/anomaly-go/anomaly/internal/room"
)

// pngFiles are files that are not needed any more, as room for the next.
var pngFiles room.Pool[byte]

// openPNG reads the chunks of a PNG file apart from its pixels.
func openPNG(src *source, _ *Options) (*file, error) {
	data, err := src.into(pngFiles.Get(int(src.size)))
	if err != nil {
		return nil, err
	}
	f := &file{}
	var meta pngMeta
	size, header := 0., false
	var depth, colour byte
	for chunk := range pngChunks(data) {
		switch chunk.kind {
		case "IHDR":
			if len(chunk.body) < 13 {
				return nil, io.ErrUnexpectedEOF
			}
			header = true
			w, h := binary.BigEndian.Uint32(chunk.body), binary.BigEndian.Uint32(chunk.body[4:])
			if w > 1<<31-1 || h > 1<<31-1 {
				return nil, fmt.Errorf("got %dx%d pixels", w, h)
			}
			f.width, f.height = int(w), int(h)
			depth, colour = chunk.body[8], chunk.body[9]
			f.cost = pngCost(chunk.body[8], chunk.body[9])
			size = float64(f.width) * pngBits(chunk.body[8], chunk.body[9]) / 8 * float64(f.height)
		case "tRNS":
			const indices = 3
			if colour != indices && depth != 8 && depth != 1 { // readers differ on it
				return nil, fmt.Errorf("a transparent colour of %d bits: %w", depth, ErrUnsupported)
			}
		case "acTL":
			f.notes = append(f.notes, firstFrame)
		case "sBIT":
			for _, bits := range chunk.body {
				meta.bits = max(meta.bits, int(bits))
			}
		case "eXIf":
			meta.exif = chunk.body
		case "tEXt", "zTXt", "iTXt":
			meta.text(chunk.kind, chunk.body)
		}
	}
	if !header {
		return nil, io.ErrUnexpectedEOF
	}
	f.orientation = orientation(meta.exif, meta.xmp)
	const densest = 1032 // Deflate packs no more to 1
	holds := size <= densest*float64(len(data))
	if holds {
		f.usual, f.data = png.Usual(data), data
	}
	f.decode = func() (*stored, error) {
		if !holds {
			return nil, fmt.Errorf("the header tells of %dx%d pixels, which %d bytes cannot hold: %w", f.width, f.height, len(data), io.ErrUnexpectedEOF)
		}
		if f.usual != nil {
			if img := whole(f.usual); img != nil {
				return &stored{img: img}, nil
			}
		}
		img, err := imagepng.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return &stored{img: img, levels: pngLevels(img, meta.bits)}, nil
	}
	return f, nil
}

// whole returns all of a usual file, as package image/png does; nil where it is
// damaged, of which that package says how.
func whole(f *png.File) image.Image {
	bounds := image.Rect(0, 0, f.Width, f.Height)
	var img image.Image
	var pix []uint8
	switch f.Channels {
	case 1:
		gray := image.NewGray(bounds)
		img, pix = gray, gray.Pix
	case 3:
		rgba := image.NewRGBA(bounds)
		img, pix = rgba, rgba.Pix
	default:
		nrgba := image.NewNRGBA(bounds)
		img, pix = nrgba, nrgba.Pix
	}
	stride := len(pix) / f.Height
	ok := f.Rows(func(y int, first, second []byte) bool {
		for i, row := range [][]byte{first, second} {
			if y+i == f.Height {
				break
			}
			to := pix[(y+i)*stride:][:stride]
			if f.Channels != 3 {
				copy(to, row)
				continue
			}
			for len(to) >= 4 && len(row) >= 3 {
				binary.LittleEndian.PutUint32(to, uint32(row[0])|uint32(row[1])<<8|uint32(row[2])<<16|0xff<<24)
				to, row = to[4:], row[3:]
			}
		}
		return true
	})
	if !ok {
		return nil
	}
	return img
}

// shrink resizes a usual file into targets as its rows come. It reports whether
// that could be done: not where it is damaged or transparent, which is seen late.
func shrink(f *png.File, targets []Target) bool {
	resizers := make([]*resizer, len(targets))
	for i := range targets {
		resizers[i] = newResizer(&targets[i], image.Pt(f.Width, f.Height), f.Channels)
		defer resizers[i].release()
	}
	ok := f.Rows(func(y int, first, second []byte) bool {
		if f.Channels == 4 && !(solid(first) && solid(second)) {
			return false
		}
		for _, r := range resizers {
			r.rows(y, first, second)
		}
		return true
	})
	if ok {
		for _, r := range resizers {
			r.end()
		}
	}
	return ok
}

// solid reports whether RGBA pixels are opaque.
func solid(row []byte) bool {
	all := byte(0xff)
	for i := 3; i < len(row); i += 4 {
		all &= row[i]
	}
	return all == 0xff
}

// firstFrame is the note of animations.
const firstFrame = "animated: the first frame is taken"

type pngChunk struct {
	kind string
	body []byte
}

// pngChunks yields the chunks up to the last that is whole.
func pngChunks(data []byte) func(yield func(pngChunk) bool) {
	return func(yield func(pngChunk) bool) {
		data := data[8:] // signature
		for len(data) >= 12 {
			n := uint64(binary.BigEndian.Uint32(data))
			if n+12 > uint64(len(data)) || !yield(pngChunk{string(data[4:8]), data[8 : 8+n]}) {
				return
			}
			data = data[12+n:]
		}
	}
}

// pngBits returns the bits of a pixel of a depth and colour type.
func pngBits(depth, colour byte) float64 {
	return float64(depth) * [8]float64{1, 1, 3, 1, 2, 1, 4, 1}[colour&7]
}

func pngCost(depth, colour byte) int {
	switch {
	case depth == 16 && colour == 0:
		return 3
	case depth == 16:
		return 12
	case colour == 0:
		return 1
	case colour == 3:
		return 5
	}
	return 4
}

// pngMeta is what the chunks of a PNG file say besides its pixels.
type pngMeta struct {
	bits      int // the largest of sBIT
	exif, xmp []byte
}

// text reads a chunk of text, as far as it could tell an orientation.
func (m *pngMeta) text(kind string, body []byte) {
	key, value, ok := bytes.Cut(body, []byte{0})
	if !ok || len(value) == 0 {
		return
	}
	packed := kind == "zTXt"
	if packed {
		value = value[1:] // method
	}
	if kind == "iTXt" { // flag, method, language, translated key, text
		if len(value) < 2 {
			return
		}
		packed = value[0] != 0
		parts := bytes.SplitN(value[2:], []byte{0}, 3)
		if len(parts) < 3 {
			return
		}
		value = parts[2]
	}
	switch k := string(key); {
	case k == "XML:com.adobe.xmp":
		m.xmp = unpackText(value, packed)
	case k == "Raw profile type exif" && m.exif == nil:
		// A line feed, the name, the length, then hexadecimal digits in lines.
		lines := strings.SplitN(string(unpackText(value, packed)), "\n", 4)
		if len(lines) == 4 {
			digits := strings.Join(strings.Fields(lines[3]), "")
			if exif, err := hex.DecodeString(digits); err == nil {
				m.exif = bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))
			}
		}
	}
}

// unpackText returns a text, nil where it is damaged.
func unpackText(value []byte, packed bool) []byte {
	if !packed {
		return value
	}
	z, err := zlib.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil
	}
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(z, limit))
	if err != nil {
		return nil
	}
	return text
}

// pngLevels returns how many levels the samples of img have whose chunk sBIT
// tells of fewer bits than 16. They should have been stretched to all 16; that
// some writers leave them as they come is seen where none is above 2ᵇⁱᵗˢ and
// the lowest bits hold something that stretching does not put there.
func pngLevels(img image.Image, bits int) int {
	pix, channels := deepBytes(img)
	if channels == 0 || bits < 9 || bits > 15 {
		return 0
	}
	spare := 16 - bits
	plain := false
	for i := range len(pix) / 2 {
		v, colour := deepSample(pix, channels, i)
		if !colour {
			continue
		}
		if v>>bits != 0 {
			return 0
		}
		low := v & (1<<spare - 1)
		plain = plain || low != 0 && low != v>>bits
	}
	if !plain {
		return 0
	}
	return 1 << bits
}
