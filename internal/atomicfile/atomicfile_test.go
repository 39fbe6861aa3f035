package atomicfile

import (
	"errors"
	"io"
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
	if err := Write(filepath.Join(dir, "absent", "f"), text("", nil)); err == nil {
		t.Error("a folder that does not exist: got no error")
	}
}
