package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, s)
			return err
		}
	}
	if err := Write(path, text("one", nil)); err != nil {
		t.Fatal(err)
	}
	fail := errors.New("no more")
	if err := Write(path, text("two", fail)); !errors.Is(err, fail) {
		t.Errorf("got %v, want %v", err, fail)
	}
	if got, _ := os.ReadFile(path); string(got) != "one" {
		t.Errorf("after a failed write: got %q, want what was there", got)
	}
	if err := Write(path, text("three", nil)); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "three" {
		t.Errorf("got %q, want %q", got, "three")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("got %d files in the folder, want 1: temporary files are left", len(files))
	}
	path = filepath.Join(dir, "absent", "f")
	var op *fs.PathError
	if err := Write(path, text("", nil)); !errors.As(err, &op) || op.Path != path || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that does not exist: got %v, want fs.ErrNotExist of %s", err, path)
	}
	if err := Write(dir, text("", nil)); !errors.As(err, &op) || op.Path != dir {
		t.Errorf("a folder: got %v, want an error of %s", err, dir)
	}
}
