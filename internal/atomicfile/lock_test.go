package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "m.onnx")
	// A run that was killed has left its file, which nobody holds.
	if err := os.WriteFile(filepath.Join(dir, ".m.onnx.lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		release, err := Lock(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Lock(out); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("locked twice: got %v", err)
		}
		other, err := Lock(out + "2")
		if err != nil {
			t.Fatal(err)
		}
		other()
		release()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("got %v, %v, want nothing left", left, err)
		}
	}
}

// A folder that is to be made is as good as one that is there; nothing is made meanwhile.
func TestWritableIn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, fine := range map[string]bool{dir: true, filepath.Join(dir, "a", "b"): true, file: false, filepath.Join(file, "a"): false} {
		if err := WritableIn(path); (err == nil) != fine {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v left in the folder", entries, err)
	}
}
