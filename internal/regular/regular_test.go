package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path); err != nil || string(b) != "text" {
		t.Errorf("got %q, %v", b, err)
	}
	irregular := []string{dir}
	if info, err := os.Stat("/dev/zero"); err == nil && info.Mode()&fs.ModeDevice != 0 {
		irregular = append(irregular, "/dev/zero")
	}
	var e *fs.PathError
	for _, path := range irregular {
		if _, err := Read(path); !errors.Is(err, ErrIrregular) || !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: got %v, want %v", path, err, ErrIrregular)
		}
	}
	absent := filepath.Join(dir, "absent")
	if _, err := Read(absent); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &e) || e.Op != "open" || e.Path != absent {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}
