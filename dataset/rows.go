package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/anomaly-go/anomaly/internal/npy"
)

// rows are the images in one file, opened once for all of its samples. The file
// stays open until the samples are garbage.
type rows interface {
	len() int
	image(i int) (image.Image, error)
}

var idxName = regexp.MustCompile(`(?i)[-.]idx\d*(-ubyte)?(\.gz)?$`)

// hasRows reports whether the file's name is that of an .npy or idx file.
func hasRows(path string) bool {
	return strings.EqualFold(filepath.Ext(path), ".npy") || idxName.MatchString(filepath.Base(path))
}

// openRows returns the samples of the .npy or idx file at path.
func openRows(path, name, kind string) ([]Sample, error) {
	open := openIdx
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		open = openNpy
	}
	r, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %q: %w", path, err)
	}
	if r.len() == 0 {
		return nil, fmt.Errorf("dataset: %q: %w", path, ErrEmpty)
	}
	samples := make([]Sample, r.len())
	for i := range samples {
		samples[i] = Sample{
			Name: name + "#" + strconv.Itoa(i), Path: path, Row: i,
			Kind: kind, Anomalous: kind != "" && kind != Good,
			rows: r,
		}
	}
	return samples, nil
}

// A rowLayout is how the pixels of a row lie in memory.
type rowLayout struct {
	height, width, channels int
	planar                  bool // channel by channel
}

// toImage makes an image of a row, which it keeps if that is grey.
func (l *rowLayout) toImage(row []uint8) image.Image {
	bounds := image.Rect(0, 0, l.width, l.height)
	if l.channels == 1 {
		return &image.Gray{Pix: row, Stride: l.width, Rect: bounds}
	}
	img := image.NewRGBA(bounds)
	pixel, channel := 3, 1
	if l.planar {
		pixel, channel = 1, l.width*l.height
	}
	for i := range l.width * l.height {
		from := row[i*pixel:]
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = from[0], from[channel], from[2*channel], 0xff
	}
	return img
}

type npyRows struct {
	file *npy.File
	rowLayout
}

// openNpy opens an array of images. Of four axes, channels are the one of length
// 1 or 3 among the last (NHWC) and the second (NCHW), the last if both are. Three
// axes are grey images, NHW.
func openNpy(path string) (rows, error) {
	f, err := npy.Open(path)
	if err != nil {
		return nil, err
	}
	r := &npyRows{file: f}
	if r.rowLayout, err = npyLayout(f); err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

func npyLayout(f *npy.File) (rowLayout, error) {
	switch f.DType {
	case npy.Uint8, npy.Float32, npy.Float64:
	default:
		return rowLayout{}, fmt.Errorf("got elements of type %s, want %s, or %s or %s in [0,1]",
			f.DType, npy.Uint8, npy.Float32, npy.Float64)
	}
	isChannels := func(n int) bool { return n == 1 || n == 3 }
	var l rowLayout
	switch s := f.Shape; {
	case len(s) == 3 && isChannels(s[2]):
		return rowLayout{}, fmt.Errorf("shape %v could be one image [H,W,C] or grey ones [N,H,W]: reshape it to four axes", s)
	case len(s) == 3:
		l = rowLayout{height: s[1], width: s[2], channels: 1}
	case len(s) == 4 && isChannels(s[3]):
		l = rowLayout{height: s[1], width: s[2], channels: s[3]}
	case len(s) == 4 && isChannels(s[1]):
		l = rowLayout{height: s[2], width: s[3], channels: s[1], planar: true}
	default:
		return rowLayout{}, fmt.Errorf("got shape %v, want [N,H,W,C], [N,C,H,W] (C 1 or 3) or [N,H,W]", s)
	}
	if l.height == 0 || l.width == 0 {
		return rowLayout{}, fmt.Errorf("shape %v: %w", f.Shape, ErrEmpty)
	}
	return l, nil
}

func (r *npyRows) len() int { return r.file.Shape[0] }

func (r *npyRows) image(i int) (image.Image, error) {
	row := make([]uint8, r.file.RowLen())
	var err error
	switch r.file.DType {
	case npy.Uint8:
		err = npy.ReadRow(r.file, i, row)
	case npy.Float32:
		err = readUnit[float32](r.file, i, row)
	case npy.Float64:
		err = readUnit[float64](r.file, i, row)
	}
	if err != nil {
		return nil, err
	}
	return r.toImage(row), nil
}

// readUnit reads a row of numbers in [0,1] as 0 to 255, rounded to nearest.
func readUnit[T float32 | float64](f *npy.File, i int, row []uint8) error {
	values := make([]T, len(row))
	if err := npy.ReadRow(f, i, values); err != nil {
		return err
	}
	for j, v := range values {
		if !(v >= 0 && v <= 1) { // NaN too
			return fmt.Errorf("element %d is %v, want [0,1]", j, v)
		}
		row[j] = uint8(v*255 + .5)
	}
	return nil
}

// idxRows are the images of an idx file (https://yann.lecun.com/exdb/mnist):
// 0, 0, element type, number of axes, axes as big-endian uint32, elements.
type idxRows struct {
	count  int
	offset int64 // of the first element
	data   func() (io.ReaderAt, error)
	rowLayout
}

// What an idx.gz file may hold: its header is believed before it is unpacked.
// MNIST's largest has 60,000 rows and 47 MB.
const (
	maxPackedRows  = 4 << 20
	maxPackedBytes = 4 << 30
)

func openIdx(path string) (rows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	packed := strings.EqualFold(filepath.Ext(path), ".gz")
	var head io.Reader = f
	if packed {
		defer f.Close()
		if head, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	r, err := readIdx(head)
	if err != nil {
		if !packed {
			f.Close()
		}
		return nil, err
	}
	size := r.offset + int64(r.count)*int64(r.rowLen())
	if packed {
		if r.count > maxPackedRows || size > maxPackedBytes {
			return nil, fmt.Errorf("idx.gz of %d rows and %d bytes: want at most %d and %d, or unpack it",
				r.count, size, maxPackedRows, int64(maxPackedBytes))
		}
		r.data = sync.OnceValues(func() (io.ReaderAt, error) { return unpack(path, size) })
		return r, nil
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("idx file: got %d bytes, want %d", info.Size(), size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	r.data = func() (io.ReaderAt, error) { return f, nil }
	return r, nil
}

// readIdx reads the header.
func readIdx(head io.Reader) (*idxRows, error) {
	const ubyte = 8
	var magic [4]byte
	if _, err := io.ReadFull(head, magic[:]); err != nil {
		return nil, fmt.Errorf("idx header: %w", err)
	}
	rank := int(magic[3])
	if magic[0] != 0 || magic[1] != 0 || magic[2] != ubyte || rank != 3 && rank != 4 {
		return nil, fmt.Errorf("idx header begins % x, want 00 00 08 and 03 or 04: bytes [N,H,W] or [N,H,W,C]", magic)
	}
	shape := [4]uint32{3: 1}
	if err := binary.Read(head, binary.BigEndian, shape[:rank]); err != nil {
		return nil, fmt.Errorf("idx header: %w", err)
	}
	// N is below 2³² and a row at most 2³⁰ bytes: the size fits 63 bits.
	pixels := uint64(shape[1]) * uint64(shape[2])
	if shape[1] == 0 || shape[2] == 0 || pixels > 1<<30/3 || shape[3] != 1 && shape[3] != 3 {
		return nil, fmt.Errorf("idx shape %v: want [N,H,W] or [N,H,W,C], C 1 or 3", shape[:rank])
	}
	return &idxRows{
		count:     int(shape[0]),
		offset:    int64(4 + 4*rank),
		rowLayout: rowLayout{height: int(shape[1]), width: int(shape[2]), channels: int(shape[3])},
	}, nil
}

// unpack returns the size bytes of a gzip file.
func unpack(path string, size int64) (io.ReaderAt, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	// The header is not trusted: memory grows with what is there.
	data, err := io.ReadAll(io.LimitReader(z, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != size {
		return nil, fmt.Errorf("idx file: got %d bytes, want %d", len(data), size)
	}
	return bytes.NewReader(data), nil
}

func (r *idxRows) len() int { return r.count }

func (r *idxRows) rowLen() int { return r.height * r.width * r.channels }

func (r *idxRows) image(i int) (image.Image, error) {
	data, err := r.data()
	if err != nil {
		return nil, err
	}
	row := make([]uint8, r.rowLen())
	if n, err := data.ReadAt(row, r.offset+int64(i)*int64(len(row))); n < len(row) {
		return nil, err
	}
	return r.toImage(row), nil
}
