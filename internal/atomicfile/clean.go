package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
)

// Clean removes what calls of Write for path have left that were killed while
// they wrote. None may be under way.
func Clean(path string) error {
	path = followed(path)
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), "."+filepath.Base(path)+".")
		if !ok || rest == "" || strings.Trim(rest, "0123456789") != "" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
