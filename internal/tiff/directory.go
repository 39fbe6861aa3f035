package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// A FormatError says what is wrong with a file.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// An UnsupportedError names what a sound file holds that is not read.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) + " is not read" }

// Tags of TIFF 6.0, its supplements, TIFF/EP and DNG.
const (
	tagSubfileType     = 254
	tagWidth           = 256
	tagLength          = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagMake            = 271
	tagStripOffsets    = 273
	tagOrientation     = 274
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagMaxSampleValue  = 281
	tagPlanar          = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileLength      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagSubIFDs         = 330
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagJPEGTables      = 347
	tagYCbCrCoeffs     = 529
	tagYCbCrSampling   = 530
	tagReferenceBW     = 532
	tagXMP             = 700
	tagDNGVersion      = 50706
)

// Bounds of what a directory may hold, so that a damaged one costs little: pages
// of a file, entries of a directory and of all together, values of one entry.
const (
	maxPages   = 1 << 16
	maxEntries = 1 << 12
	maxTotal   = 1 << 22
	maxValues  = 1 << 24
)

// A File is a TIFF file whose directories are read.
type File struct {
	// Pages are its images, in the order of the file, without reduced copies and
	// transparency masks of others (NewSubfileType), of which there are LeftOut.
	Pages   []*Page
	LeftOut int
}

// header is what all directories of a file share.
type header struct {
	r     io.ReaderAt
	order binary.ByteOrder
	big   bool // BigTIFF
}

// A field is one entry of a directory.
type field struct {
	kind   uint16
	count  uint64
	inline []byte // 4 or 8 bytes: the values, or where they lie
}

// A directory is an IFD.
type directory struct {
	*header
	fields map[uint16]field
}

// Open reads the directories of a file.
func Open(r io.ReaderAt) (*File, error) {
	h := &header{r: r}
	at, err := h.read()
	if err != nil {
		return nil, err
	}
	f := &File{}
	seen := map[uint64]bool{}
	total := 0
	for n := 0; at != 0; n++ {
		if seen[at] || n == maxPages {
			return nil, FormatError("a chain of directories without an end")
		}
		seen[at] = true
		dir, next, err := h.directory(at)
		if err != nil {
			return nil, err
		}
		if total += len(dir.fields); total > maxTotal {
			return nil, FormatError(fmt.Sprintf("directories of more than %d entries together", maxTotal))
		}
		kind := dir.number(tagSubfileType, 0)
		if kind&5 != 0 && n > 0 { // reduced, mask; a first page is shown whatever it calls itself
			f.LeftOut++
		} else {
			f.Pages = append(f.Pages, &Page{dir: dir})
		}
		at = next
	}
	if len(f.Pages) == 0 {
		return nil, FormatError("no directory")
	}
	return f, nil
}

// read returns where the first directory is.
func (h *header) read() (uint64, error) {
	b, err := h.bytes(0, 8)
	if err != nil {
		return 0, err
	}
	switch string(b[:2]) {
	case "II":
		h.order = binary.LittleEndian
	case "MM":
		h.order = binary.BigEndian
	default:
		return 0, FormatError("no TIFF header")
	}
	switch h.order.Uint16(b[2:]) {
	case 42:
		return uint64(h.order.Uint32(b[4:])), nil
	case 43:
		h.big = true
		if h.order.Uint16(b[4:]) != 8 {
			return 0, FormatError("BigTIFF with offsets of other than 8 bytes")
		}
		b, err := h.bytes(8, 8)
		if err != nil {
			return 0, err
		}
		return h.order.Uint64(b), nil
	}
	return 0, FormatError("no TIFF header")
}

// bytes returns n bytes at an offset. n comes from the file: memory is taken in
// steps, as far as there is something to read.
func (h *header) bytes(at uint64, n uint64) ([]byte, error) {
	if at > math.MaxInt64-n || n > math.MaxInt64 {
		return nil, FormatError("an offset beyond the end of the file")
	}
	const step = 1 << 20
	if n <= step {
		b := make([]byte, n)
		if _, err := h.r.ReadAt(b, int64(at)); err != nil {
			return nil, short(err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.NewSectionReader(h.r, int64(at), int64(n)))
	if err == nil && uint64(len(b)) < n {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// short is what an end of file within the file is called. A read that ended with
// the file was complete.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// directory reads the directory at an offset and returns where the next is.
func (h *header) directory(at uint64) (*directory, uint64, error) {
	countSize, entrySize, nextSize := uint64(2), uint64(12), uint64(4)
	if h.big {
		countSize, entrySize, nextSize = 8, 20, 8
	}
	b, err := h.bytes(at, countSize)
	if err != nil {
		return nil, 0, err
	}
	count := uint64(h.order.Uint16(b))
	if h.big {
		count = h.order.Uint64(b)
	}
	if count > maxEntries {
		return nil, 0, FormatError(fmt.Sprintf("a directory of %d entries, want at most %d", count, maxEntries))
	}
	b, err = h.bytes(at+countSize, count*entrySize)
	if err != nil {
		return nil, 0, err
	}
	d := &directory{h, make(map[uint16]field, count)}
	for ; len(b) > 0; b = b[entrySize:] {
		f := field{kind: h.order.Uint16(b[2:]), count: uint64(h.order.Uint32(b[4:])), inline: b[8:12]}
		if h.big {
			f.count, f.inline = h.order.Uint64(b[4:]), b[12:20]
		}
		if tag := h.order.Uint16(b); d.fields[tag].inline == nil {
			d.fields[tag] = f
		}
	}
	// Some writers end the file without the offset of a next directory.
	b, err = h.bytes(at+countSize+count*entrySize, nextSize)
	switch {
	case err != nil:
		return d, 0, nil
	case h.big:
		return d, h.order.Uint64(b), nil
	}
	return d, uint64(h.order.Uint32(b)), nil
}

// sizes are those of the field types, by number.
var sizes = [...]uint64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

// raw returns the bytes of a field's values, nil without one.
func (d *directory) raw(tag uint16) ([]byte, error) {
	f, ok := d.fields[tag]
	if !ok || int(f.kind) >= len(sizes) || sizes[f.kind] == 0 {
		return nil, nil
	}
	if f.count > maxValues {
		return nil, FormatError(fmt.Sprintf("tag %d has %d values, want at most %d", tag, f.count, maxValues))
	}
	n := f.count * sizes[f.kind]
	if n <= uint64(len(f.inline)) {
		return f.inline[:n], nil
	}
	at := uint64(d.order.Uint32(f.inline))
	if d.big {
		at = d.order.Uint64(f.inline)
	}
	return d.bytes(at, n)
}

// numbers returns a field's values as unsigned integers, nil without one.
func (d *directory) numbers(tag uint16) ([]uint64, error) {
	b, err := d.raw(tag)
	if err != nil || b == nil {
		return nil, err
	}
	size := sizes[d.fields[tag].kind]
	out := make([]uint64, 0, uint64(len(b))/size)
	for ; uint64(len(b)) >= size; b = b[size:] {
		var v uint64
		switch size {
		case 1:
			v = uint64(b[0])
		case 2:
			v = uint64(d.order.Uint16(b))
		case 4:
			v = uint64(d.order.Uint32(b))
		case 8:
			v = d.order.Uint64(b)
		}
		out = append(out, v)
	}
	return out, nil
}

// number returns a field's first value, missing without one or where it cannot
// be read.
func (d *directory) number(tag uint16, missing uint64) uint64 {
	values, err := d.numbers(tag)
	if err != nil || len(values) == 0 {
		return missing
	}
	return values[0]
}

// fractions returns the values of a field of rationals, nil without one.
func (d *directory) fractions(tag uint16) ([]float64, error) {
	b, err := d.raw(tag)
	if err != nil || d.fields[tag].kind != 5 {
		return nil, err
	}
	var out []float64
	for ; len(b) >= 8; b = b[8:] {
		out = append(out, float64(d.order.Uint32(b))/float64(d.order.Uint32(b[4:])))
	}
	return out, nil
}
