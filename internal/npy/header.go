package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	prefix    = "\x93NUMPY"
	alignment = 64 // of the first element, as numpy.save does since 1.14

	// maxHeader bounds a header's length; those of arrays without fields stay
	// below 200 bytes, and version 2 could ask for 4 GiB.
	maxHeader = 1 << 16
)

// readHeader returns the header's text and where the elements begin.
func readHeader(r io.ReaderAt, size int64) (header string, data int64, err error) {
	var start [12]byte
	n, err := r.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return "", 0, fmt.Errorf("npy: %w", err)
	}
	if n < len(start) || string(start[:len(prefix)]) != prefix {
		return "", 0, fmt.Errorf("npy: does not begin as an .npy file: %w", ErrFormat)
	}
	var length int64
	switch major := start[6]; major {
	case 1:
		length, data = int64(binary.LittleEndian.Uint16(start[8:])), 10
	case 2, 3:
		length, data = int64(binary.LittleEndian.Uint32(start[8:])), 12
	default:
		return "", 0, fmt.Errorf("npy: got format version %d, want 1, 2 or 3: %w", major, ErrFormat)
	}
	if length > maxHeader || data+length > size {
		return "", 0, fmt.Errorf("npy: header of %d bytes in a file of %d: %w", length, size, ErrFormat)
	}
	text := make([]byte, length)
	if n, err := r.ReadAt(text, data); n < len(text) {
		return "", 0, fmt.Errorf("npy: %w", err)
	}
	return strings.TrimRight(string(text), " \n"), data + length, nil
}

// elements returns the product of the axes, at most limit. Zeros do not hide an
// absurd axis: without them the product must stay below limit too.
func elements(shape []int, limit int64) (int64, error) {
	n, empty := int64(1), false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("shape %v: negative axis", shape)
		case d == 0:
			empty = true
		case n > limit/int64(d):
			return 0, fmt.Errorf("shape %v: too many elements", shape)
		default:
			n *= int64(d)
		}
	}
	if empty {
		return 0, nil
	}
	return n, nil
}

// parseHeader reads the Python dictionary that is a header.
func parseHeader(header string) (shape []int, dtype DType, err error) {
	p := parser{header}
	if !p.take("{") {
		return nil, "", errors.New("want a dictionary")
	}
	seen := map[string]bool{}
	for !p.take("}") {
		key, err := p.quoted()
		if err != nil {
			return nil, "", err
		}
		if seen[key] || !p.take(":") {
			return nil, "", fmt.Errorf("at key %q", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			dtype, err = p.dtype()
		case "fortran_order":
			err = p.cOrder()
		case "shape":
			shape, err = p.tuple()
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return nil, "", err
		}
		p.take(",")
	}
	if p.text != "" || len(seen) != 3 {
		return nil, "", errors.New("want descr, fortran_order and shape, and nothing else")
	}
	return shape, dtype, nil
}

// A parser consumes text from its beginning.
type parser struct{ text string }

// take consumes token after any blanks, if it is next.
func (p *parser) take(token string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.text, " "), token)
	if ok {
		p.text = strings.TrimLeft(rest, " ")
	}
	return ok
}

// quoted consumes a string literal; those of headers have no escapes.
func (p *parser) quoted() (string, error) {
	for _, quote := range []string{"'", `"`} {
		if p.take(quote) {
			s, rest, ok := strings.Cut(p.text, quote)
			if !ok {
				break
			}
			p.text = rest
			return s, nil
		}
	}
	return "", errors.New("want a string")
}

func (p *parser) dtype() (DType, error) {
	if p.take("[") {
		return "", errors.New("structured arrays are not read")
	}
	s, err := p.quoted()
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(s, ">") {
		return "", fmt.Errorf("big-endian type %s is not read: save it with .astype(%q)", s, "<"+s[1:])
	}
	d := DType(s)
	if d.size() == 0 {
		return "", fmt.Errorf("got type %s, want one of %s %s %s %s %s %s %s",
			s, Bool, Uint8, Uint16, Int32, Int64, Float32, Float64)
	}
	return d, nil
}

func (p *parser) cOrder() error {
	switch {
	case p.take("False"):
		return nil
	case p.take("True"):
		return errors.New("an array in Fortran order is not read: save it with numpy.ascontiguousarray")
	}
	return errors.New("fortran_order: want True or False")
}

func (p *parser) tuple() ([]int, error) {
	if !p.take("(") {
		return nil, errors.New("shape: want a tuple")
	}
	shape := []int{}
	for !p.take(")") {
		end := strings.IndexAny(p.text, ",)")
		if end < 0 {
			return nil, errors.New("shape: tuple does not end")
		}
		d, err := strconv.Atoi(strings.TrimRight(p.text[:end], " "))
		if err != nil {
			return nil, fmt.Errorf("shape: %w", err)
		}
		shape = append(shape, d)
		p.text = p.text[end:]
		p.take(",")
	}
	return shape, nil
}
