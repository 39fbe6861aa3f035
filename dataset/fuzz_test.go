package dataset

import (
	"bytes"
	"compress/gzip"
	"image"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRows reads the last row of .npy, idx and idx.gz files.
func FuzzRows(f *testing.F) {
	names := []string{"rows.npy", "rows-idx3-ubyte", "rows-idx3-ubyte.gz"}
	npyFile := func(header string, elements int) []byte {
		b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
		return append(append(b, header...), make([]byte, elements)...)
	}
	f.Add(uint8(0), npyFile("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4), }", 24))
	f.Add(uint8(0), npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4, 3), }", 4*72))
	f.Add(uint8(0), npyFile("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3, 2, 4), }", 8*24))
	grey := append([]byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4}, make([]byte, 24)...)
	rgb := append([]byte{0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3}, make([]byte, 12)...)
	f.Add(uint8(1), grey)
	f.Add(uint8(1), rgb)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(grey)
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(2), packed.Bytes())

	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		path := filepath.Join(dir, names[int(kind)%len(names)])
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		samples, err := Find(path)
		if err != nil {
			return
		}
		img, err := samples[len(samples)-1].Image()
		if err != nil {
			return
		}
		if b := img.Bounds(); b.Min != (image.Point{}) || b.Empty() || b.Dx()*b.Dy() > 1<<30 {
			t.Errorf("got bounds %v", b)
		}
	})
}
