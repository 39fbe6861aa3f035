package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/anomaly-go/anomaly/internal/regular"
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
	if err := Write(dir, text("", nil)); !errors.Is(err, regular.ErrIrregular) {
		t.Errorf("a folder: got %v, want %v", err, regular.ErrIrregular)
	}
}

// TestWriteThroughLink holds that a link stays one.
func TestWriteThroughLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "sub", "f"), filepath.Join(dir, "link")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("sub", "f"), link); err != nil {
		t.Skip("no links: ", err)
	}
	left := filepath.Join(dir, "sub", ".f.123")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
	if err := errors.Join(Clean(link), Write(link, write)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if got, err := os.ReadFile(file); string(got) != "new" {
		t.Errorf("got %q, %v, want what was written", got, err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a killed write had left is still there")
	}
	// A link to nothing becomes the file.
	if err := errors.Join(os.Remove(file), Write(link, write)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(link); string(got) != "new" {
		t.Errorf("got %q, %v, want what was written", got, err)
	}
}
