package tiff

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// chain returns a file of n directories, each with entries of nothing; the last
// leads back to the first if it is a circle.
func chain(n, entries int, circle bool) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00")
	size := 2 + 12*entries + 4
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(entries))
		b = append(b, make([]byte, 12*entries)...)
		next := 8 + (i+1)*size
		if i == n-1 {
			next = 0
			if circle {
				next = 8
			}
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(next))
	}
	return b
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name  string
		data  []byte
		pages int // 0 is an error
	}{
		{"three", chain(3, 5, false), 3},
		{"a circle", chain(3, 5, true), 0},
		{"too many", chain(maxPages+1, 1, false), 0},
		{"no header", []byte("II?\x00\x08\x00\x00\x00"), 0},
		{"cut", chain(3, 5, false)[:20], 0},
		{"no directory", []byte("II*\x00\x00\x00\x00\x00"), 0},
		{"beyond the end", []byte("MM\x00*\xff\xff\xff\xff"), 0},
		{"BigTIFF beyond all ends", append([]byte("MM\x00+\x00\x08\x00\x00"), bytes.Repeat([]byte{0xff}, 8)...), 0},
	}
	for _, test := range tests {
		f, err := Open(bytes.NewReader(test.data))
		switch {
		case test.pages == 0 && err == nil:
			t.Errorf("%s: got %d pages, want an error", test.name, len(f.Pages))
		case test.pages > 0 && (err != nil || len(f.Pages) != test.pages):
			t.Errorf("%s: got error %v, want %d pages", test.name, err, test.pages)
		}
	}
}

func TestUnpackBits(t *testing.T) {
	// TIFF 6.0, section 9's own example.
	packed := []byte{0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa}
	want := []byte{0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa}
	got, err := unpackBits(packed, len(want))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got % x, error %v, want % x", got, err, want)
	}
	if _, err := unpackBits(packed, len(want)+1); err == nil {
		t.Error("too few: got no error")
	}
}

func TestHalf(t *testing.T) {
	for bits, want := range map[uint16]float32{0: 0, 0x3c00: 1, 0xbc00: -1, 0x3800: .5, 0x7bff: 65504, 0x0001: 1. / (1 << 24), 0x3555: 0.333251953125} {
		if got := half(bits); got != want {
			t.Errorf("%04x: got %v, want %v", bits, got, want)
		}
	}
	if got := half(0x7e00); got == got {
		t.Errorf("NaN: got %v", got)
	}
}
