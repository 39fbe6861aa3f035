package jpeg

import (
	"errors"
	"slices"
	"testing"
)

// progressive returns the header of a progressive file and so many scans of
// nothing.
func progressive(width, height, scans int) []byte {
	data := []byte{0xff, markerSOI, 0xff, 0xc2, 0, 11, 8, byte(height >> 8), byte(height), byte(width >> 8), byte(width), 1, 1, 0x11, 0}
	scan := []byte{0xff, markerSOS, 0, 8, 1, 1, 0, 0, 63, 0, 0xff, 0x00, 0xff, markerRST0}
	return slices.Concat(data, slices.Repeat(scan, scans), []byte{0xff, markerEOI})
}

// TestScans tests the limit: 300 scans of 8000x8000 pixels take half a minute.
func TestScans(t *testing.T) {
	tests := []struct {
		width, height, scans int
		tooMany              bool
	}{
		{8000, 8000, 300, true},
		{8000, 8000, minScans, false},
		{8000, 8000, minScans + 1, true},
		{1000, 1000, 1000, false},
		{1000, 1000, 1100, true},
	}
	for _, test := range tests {
		h, err := ReadHeader(progressive(test.width, test.height, 1))
		if err != nil {
			t.Fatal(err)
		}
		err = h.checkScans(progressive(test.width, test.height, test.scans))
		if errors.Is(err, ErrScans) != test.tooMany {
			t.Errorf("%d scans of %dx%d: got error %v", test.scans, test.width, test.height, err)
		}
	}
	if _, err := Decode(progressive(8000, 8000, 300)); !errors.Is(err, ErrScans) {
		t.Errorf("got error %v, want ErrScans", err)
	}
}
