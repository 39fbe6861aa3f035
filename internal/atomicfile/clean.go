package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
)

// Clean removes what calls of Write for path have left that were killed while
// they wrote. None may be under way.
func Clean(path string) error {
	return clean(filepath.Dir(path), func(left string) bool { return left == prefix(path) })
}

// CleanFolder is Clean for all files of a folder whose names end in one of suffixes.
func CleanFolder(dir string, suffixes ...string) error {
	return clean(dir, func(left string) bool {
		name := strings.TrimSuffix(left, ".")
		for _, s := range suffixes {
			if strings.HasPrefix(left, ".") && strings.HasSuffix(name, s) {
				return true
			}
		}
		return false
	})
}

// clean removes the files of a folder that are named as create names them, with a
// prefix that is ours.
func clean(dir string, ours func(prefix string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		left := strings.TrimRight(e.Name(), "0123456789")
		if left == e.Name() || !ours(left) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
