package statedict

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadWrong(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "text": "weights", "a pickled 1": "\x80\x02K\x01."} {
		path := filepath.Join(t.TempDir(), "w.pth")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, ErrFormat)
		}
	}
	if _, err := Read("absent.pth"); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v, want %v", err, ErrFormat)
	}
}

func TestGather(t *testing.T) {
	data := []float32{0, 1, 2, 3, 4, 5, 6}
	for _, tt := range []struct {
		at           int
		size, stride []int
		want         []float32 // nil is not ok
	}{
		{1, []int{2, 3}, []int{3, 1}, []float32{1, 2, 3, 4, 5, 6}},
		{0, []int{3, 2}, []int{1, 3}, []float32{0, 3, 1, 4, 2, 5}},
		{0, nil, nil, []float32{0}},
		{2, []int{2, 3}, []int{3, 1}, nil},
		{-1, []int{2}, []int{1}, nil},
		{0, []int{2}, []int{-1}, nil},
		{0, []int{2}, []int{1, 1}, nil},
		{0, []int{1 << 20}, []int{0}, nil},
	} {
		got, ok := gather(data, tt.at, tt.size, tt.stride)
		if ok != (tt.want != nil) || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v, %v", tt, got, ok)
		}
	}
}
