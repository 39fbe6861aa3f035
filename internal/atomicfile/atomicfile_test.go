package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// TestWriteOverLink holds that a link is replaced, and never what it leads to.
func TestWriteOverLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
	for _, to := range []string{"f", "absent"} {
		if err := os.Symlink(to, link); err != nil {
			t.Skip("no links: ", err)
		}
		if err := Write(link, write); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
			t.Errorf("link to %s: got %v, %v, want a file", to, info, err)
		}
		if got, err := os.ReadFile(file); string(got) != "old" {
			t.Errorf("link to %s: the file that it led to has %q, %v", to, got, err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, write); !errors.Is(err, regular.ErrIrregular) {
		t.Errorf("a link to a device: got %v, want %v", err, regular.ErrIrregular)
	}
}

func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	mode := func() fs.FileMode {
		t.Helper()
		if err := WriteBytes(path, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	if err := os.WriteFile(path+"2", nil, 0o666); err != nil { // as the umask has it
		t.Fatal(err)
	}
	info, err := os.Stat(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	if got := mode(); got != info.Mode().Perm() {
		t.Errorf("a new file: got mode %v, want %v", got, info.Mode().Perm())
	}
	for _, want := range []fs.FileMode{0o600, 0o666, 0o640} {
		if err := os.Chmod(path, want); err != nil {
			t.Fatal(err)
		}
		if got := mode(); got != want {
			t.Errorf("a file that is replaced: got mode %v, want %v", got, want)
		}
	}
}

// TestLongName holds that every name that a file can have can be written.
func TestLongName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 255))
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Skip("no names as long as that: ", err)
	}
	if err := WriteBytes(path, []byte("new")); err != nil {
		t.Error(err)
	}
}
