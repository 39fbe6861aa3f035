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
