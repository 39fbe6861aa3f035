package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// ErrFormat is wrapped by the errors of files that are not .npy files, are
// damaged, or hold what this package does not read.
var ErrFormat = errors.New("unsupported or damaged .npy file")

// DType is an array's element type as .npy headers spell it.
type DType string

// The element types this package reads and writes.
const (
	Bool    DType = "|b1"
	Uint8   DType = "|u1"
	Uint16  DType = "<u2"
	Int32   DType = "<i4"
	Int64   DType = "<i8"
	Float32 DType = "<f4"
	Float64 DType = "<f8"
)

// size returns the bytes of one element, 0 for a type this package does not read.
func (d DType) size() int64 {
	switch d {
	case Bool, Uint8:
		return 1
	case Uint16:
		return 2
	case Int32, Float32:
		return 4
	case Int64, Float64:
		return 8
	}
	return 0
}

// Element is a Go type with a DType.
type Element interface {
	bool | uint8 | uint16 | int32 | int64 | float32 | float64
}

// DTypeOf returns the DType of T.
func DTypeOf[T Element]() DType {
	switch any(*new(T)).(type) {
	case bool:
		return Bool
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case int32:
		return Int32
	case int64:
		return Int64
	case float32:
		return Float32
	}
	return Float64
}

// A File is an open .npy array. Its methods and ReadRow may be called
// concurrently, Close excepted.
type File struct {
	Shape []int // empty for a scalar
	DType DType

	r      io.ReaderAt
	data   int64 // where the elements begin
	closer io.Closer
}

// Open reads the header of the file at path and leaves it open for reading.
func Open(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	info, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("npy: %w", err)
	}
	f, err := NewFile(r, info.Size())
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("%w (%q)", err, path)
	}
	f.closer = r
	return f, nil
}

// NewFile reads the header of the size bytes behind r. The elements must take
// up the rest exactly.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	header, data, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{r: r, data: data}
	if f.Shape, f.DType, err = parseHeader(header); err != nil {
		return nil, fmt.Errorf("npy: header %.200q: %w: %w", header, err, ErrFormat)
	}
	count, err := elements(f.Shape, math.MaxInt64/f.DType.size())
	if err != nil {
		return nil, fmt.Errorf("npy: %w: %w", err, ErrFormat)
	}
	if want := count * f.DType.size(); size-data != want {
		return nil, fmt.Errorf("npy: got %d bytes of elements, want %d for shape %v of %s: %w",
			size-data, want, f.Shape, f.DType, ErrFormat)
	}
	return f, nil
}

// Close closes the file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// RowLen returns the number of elements of one row: the product of all axes but
// the first. A scalar has none.
func (f *File) RowLen() int {
	if len(f.Shape) == 0 {
		return 0
	}
	n := 1
	for _, d := range f.Shape[1:] {
		n *= d
	}
	return n
}

// ReadRow reads row i of the first axis into dst, which has RowLen elements of
// the file's own type.
func ReadRow[T Element](f *File, i int, dst []T) error {
	if len(f.Shape) == 0 || i < 0 || i >= f.Shape[0] {
		return fmt.Errorf("npy: row %d of shape %v: out of range", i, f.Shape)
	}
	if n := f.RowLen(); len(dst) != n {
		return fmt.Errorf("npy: row of shape %v: got room for %d elements, want %d", f.Shape, len(dst), n)
	}
	return readAt(f, int64(i)*int64(len(dst)), dst)
}

// Load reads the whole array of the file at path, whose elements must be of type T.
func Load[T Element](path string) (shape []int, data []T, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if data, err = ReadAll[T](f); err != nil {
		return nil, nil, fmt.Errorf("%w (%q)", err, path)
	}
	return f.Shape, data, nil
}

// ReadAll reads the whole array, whose elements must be of type T.
func ReadAll[T Element](f *File) ([]T, error) {
	n := f.RowLen()
	if len(f.Shape) == 0 {
		n = 1
	} else {
		n *= f.Shape[0]
	}
	data := make([]T, n)
	if err := readAt(f, 0, data); err != nil {
		return nil, err
	}
	return data, nil
}

// readAt reads len(dst) elements from the at-th on.
func readAt[T Element](f *File, at int64, dst []T) error {
	if want := DTypeOf[T](); f.DType != want {
		return fmt.Errorf("npy: got elements of type %s, want %s", f.DType, want)
	}
	raw, isBytes := any(dst).([]uint8)
	if !isBytes {
		raw = make([]byte, int64(len(dst))*f.DType.size())
	}
	if n, err := f.r.ReadAt(raw, f.data+at*f.DType.size()); n < len(raw) {
		return fmt.Errorf("npy: %w", err)
	}
	if isBytes {
		return nil
	}
	_, err := binary.Decode(raw, binary.LittleEndian, dst)
	return err
}

// Write writes data as an array of the given shape in format version 1, byte
// for byte as numpy.save does for shapes whose header fits 128 bytes.
func Write[T Element](w io.Writer, shape []int, data []T) error {
	count, err := elements(shape, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("npy: %w", err)
	}
	if count != int64(len(data)) {
		return fmt.Errorf("npy: got %d elements, want %d for shape %v", len(data), count, shape)
	}
	var tuple strings.Builder
	for i, d := range shape {
		if i > 0 {
			tuple.WriteByte(' ')
		}
		tuple.WriteString(strconv.Itoa(d))
		if i == 0 || i < len(shape)-1 {
			tuple.WriteByte(',') // a one-element tuple is written (3,)
		}
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", DTypeOf[T](), tuple.String())
	pad := -(len(prefix) + 4 + len(header) + 1) & (alignment - 1)
	header += strings.Repeat(" ", pad) + "\n"
	if len(header) > math.MaxUint16 {
		return fmt.Errorf("npy: shape of rank %d is too long for a header", len(shape))
	}
	head := append([]byte(prefix), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(header)))
	if _, err := w.Write(append(head, header...)); err != nil {
		return err
	}
	if raw, ok := any(data).([]uint8); ok {
		_, err = w.Write(raw)
		return err
	}
	return binary.Write(w, binary.LittleEndian, data)
}
