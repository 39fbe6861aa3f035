package commands

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
	must(t, os.WriteFile(filepath.Join(dir, ".m.onnx.lock"), nil, 0o644))
	for range 2 {
		release, err := lock(out)
		must(t, err)
		if _, err := lock(out); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("locked twice: got %v", err)
		}
		other, err := lock(out + "2")
		must(t, err)
		other()
		release()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("got %v, %v, want nothing left", left, err)
		}
	}
}
