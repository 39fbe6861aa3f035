package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// ramp holds 0, 1, … 23: the elements of the goldens of shape [2,3,4].
func ramp[T uint8 | uint16 | int32 | int64 | float32 | float64]() []T {
	v := make([]T, 24)
	for i := range v {
		v[i] = T(i)
	}
	return v
}

func TestGoldens(t *testing.T) {
	testenv.Regenerate(t, "gen_npy.py")
	odd := make([]bool, 24)
	for i := range odd {
		odd[i] = i%2 == 1
	}
	cube := []int{2, 3, 4}
	t.Run("bool", golden("bool", cube, odd))
	t.Run("uint8", golden("uint8", cube, ramp[uint8]()))
	t.Run("uint16", golden("uint16", cube, ramp[uint16]()))
	t.Run("int32", golden("int32", cube, ramp[int32]()))
	t.Run("int64", golden("int64", cube, ramp[int64]()))
	t.Run("float32", golden("float32", cube, ramp[float32]()))
	t.Run("float64", golden("float64", cube, ramp[float64]()))
	t.Run("vector", golden("vector", []int{3}, []float32{.5, -1.25, 3}))
	t.Run("scalar", golden("scalar", []int{}, []int32{7}))
	t.Run("empty", golden("empty", []int{0, 4}, []uint8{}))
}

// golden tests that NumPy's file loads as want, whole and by rows, and that
// Write makes the same file again.
func golden[T Element](name string, shape []int, want []T) func(*testing.T) {
	return func(t *testing.T) {
		path := filepath.Join("testdata", name+".npy")
		gotShape, got, err := Load[T](path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(gotShape, shape) || !slices.Equal(got, want) {
			t.Fatalf("got %v %v, want %v %v", gotShape, got, shape, want)
		}

		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		row := make([]T, f.RowLen())
		for i := 0; len(shape) > 0 && i < shape[0]; i++ {
			if err := ReadRow(f, i, row); err != nil {
				t.Fatal(err)
			}
			if w := want[i*len(row) : (i+1)*len(row)]; !slices.Equal(row, w) {
				t.Errorf("row %d: got %v, want %v", i, row, w)
			}
		}

		var b bytes.Buffer
		if err := Write(&b, shape, want); err != nil {
			t.Fatal(err)
		}
		numpy, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), numpy) {
			t.Errorf("Write: got %q, want %q", b.Bytes(), numpy)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, name := range []string{"version2", "version3"} {
		shape, got, err := Load[uint8](filepath.Join("testdata", name+".npy"))
		if err != nil || !slices.Equal(shape, []int{2, 3, 4}) || !slices.Equal(got, ramp[uint8]()) {
			t.Errorf("%s: got %v %v %v", name, shape, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, want := range map[string]string{
		"fortran":   "Fortran order",
		"bigendian": "big-endian type >f4",
		"complex":   "got type <c8",
		"struct":    "structured arrays",
	} {
		_, err := Open(filepath.Join("testdata", name+".npy"))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
	}
	if _, err := Open("testdata/absent.npy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: got error %v", err)
	}
}

// file returns a version 1 file with the given header and n bytes of elements.
func file(header string, n int) []byte {
	b := append([]byte(prefix), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, n)...)
}

func TestHostileHeaders(t *testing.T) {
	shaped := func(shape string) string {
		return fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape)
	}
	good := file(shaped("(2, 3)"), 6)
	if _, err := NewFile(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Fatal(err)
	}
	version2 := append([]byte(prefix), 2, 0, 0xff, 0xff, 0xff, 0xff)
	tests := map[string][]byte{
		"nothing":           {},
		"other format":      []byte("\x89PNG\r\n\x1a\n too long for a start"),
		"version 9":         append([]byte(prefix), 9, 0, 0, 0, 0, 0),
		"4 GiB header":      version2,
		"header cut":        good[:30],
		"elements cut":      good[:len(good)-1],
		"elements too many": append(slices.Clone(good), 0),
		"absurd axis":       file(shaped("(9000000000000000000,)"), 6),
		"absurd product":    file(shaped("(4294967296, 4294967296, 4294967296)"), 6),
		"absurd but empty":  file(shaped("(0, 4294967296, 4294967296, 4294967296)"), 0),
		"axis too long":     file(shaped("(99999999999999999999,)"), 6),
		"negative":          file(shaped("(-2, -3)"), 6),
		"float axis":        file(shaped("(2.0, 3)"), 6),
		"no tuple":          file(shaped("6"), 6),
		"open tuple":        file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3", 6),
		"no dictionary":     file("[]", 6),
		"empty dictionary":  file("{}", 6),
		"open dictionary":   file("{'descr': '|u1', ", 6),
		"shape missing":     file("{'descr': '|u1', 'fortran_order': False}", 6),
		"key twice":         file("{'shape': (6,), 'descr': '|u1', 'shape': (6,)}", 6),
		"unknown key":       file("{'shape': (6,), 'descr': '|u1', 'fortran_order': False, 'x': 1}", 6),
		"text behind":       file(shaped("(6,)")+"x", 6),
	}
	for name, data := range tests {
		if _, err := NewFile(bytes.NewReader(data), int64(len(data))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got error %v, want ErrFormat", name, err)
		}
	}
}

func TestReadRowErrors(t *testing.T) {
	f, err := Open("testdata/uint8.npy")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, i := range []int{-1, 2} {
		if err := ReadRow(f, i, make([]uint8, 12)); err == nil {
			t.Errorf("row %d: got no error", i)
		}
	}
	if err := ReadRow(f, 0, make([]uint8, 11)); err == nil {
		t.Error("short row: got no error")
	}
	if err := ReadRow(f, 0, make([]float32, 12)); err == nil {
		t.Error("other type: got no error")
	}
}

func TestWriteErrors(t *testing.T) {
	for _, shape := range [][]int{{2, 3}, {-1, -5}, {1 << 40, 1 << 40}, nil} {
		var b bytes.Buffer
		if err := Write(&b, shape, make([]uint8, 5)); err == nil || b.Len() > 0 {
			t.Errorf("shape %v of 5 elements: got error %v and %d bytes", shape, err, b.Len())
		}
	}
}

func FuzzNewFile(f *testing.F) {
	names, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(names) == 0 {
		f.Fatal("no goldens: ", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := NewFile(bytes.NewReader(data), int64(len(data)))
		if err != nil || file.DType != Uint8 || len(file.Shape) == 0 || file.Shape[0] == 0 {
			return
		}
		if err := ReadRow(file, file.Shape[0]-1, make([]uint8, file.RowLen())); err != nil {
			t.Error(err)
		}
	})
}
