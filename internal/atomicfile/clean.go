package atomicfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Clean removes what calls of Write for path have left that were killed while
// they wrote. None may be under way.
func Clean(path string) error {
	return clean(filepath.Dir(path), func(left string) bool { return left == prefix(path) })
}

// CleanFolder is Clean for all files of a folder whose names end in one of suffixes.
func CleanFolder(dir string, suffixes ...string) error {
	return CleanNames(dir, func(name string) bool {
		return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
	})
}

// CleanNames is Clean for all files of a folder of whose names ours says that they are.
func CleanNames(dir string, ours func(name string) bool) error {
	return clean(dir, func(left string) bool {
		name, hidden := strings.CutPrefix(left, ".")
		name, ended := strings.CutSuffix(name, ".")
		return hidden && ended && ours(name)
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
