package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Lock keeps a file and the files beside it, those of a training run or earlier
// models, to this process until release is called or the process ends, however it
// does. It needs a hidden file beside them. What writers of the file that were killed
// have left is removed.
func Lock(path string) (release func(), err error) {
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	for {
		l := flock.New(hidden)
		switch held, err := l.TryLock(); {
		case err != nil: // a file system without locks
			os.Remove(hidden)
			return func() {}, nil
		case !held:
			return nil, fmt.Errorf("cannot write %s: another process is writing it", path)
		}
		// Whoever held it before may have removed the file that is locked now.
		mine, err := l.Stat()
		if err == nil {
			if there, err := os.Stat(hidden); err == nil && os.SameFile(mine, there) {
				Clean(path) // as far as that can be done
				return func() {
					removed := os.Remove(hidden) == nil
					l.Unlock()
					if !removed { // no open file can be, on some systems
						os.Remove(hidden)
					}
				}, nil
			}
		}
		l.Unlock()
	}
}

var errNoFolder = errors.New("not a folder")

// WritableIn reports early that nothing can be written into a folder, which is made with
// those above it where they are not there.
func WritableIn(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at:
			continue
		case err != nil:
			return fmt.Errorf("cannot write into %s: %w", dir, errors.Unwrap(err))
		case !info.IsDir():
			return fmt.Errorf("cannot write into %s: %w", dir, errNoFolder)
		}
		if err := Writable(filepath.Join(at, "x")); err != nil {
			return fmt.Errorf("cannot write into %s: %w", dir, errors.Unwrap(err))
		}
		return nil
	}
}

// Writable reports early that nothing can be written at path.
func Writable(path string) error {
	f, err := create(path)
	var op *fs.PathError
	switch {
	case errors.As(err, &op):
		return fmt.Errorf("cannot write %s: %w", path, op.Err)
	case err != nil:
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	f.Close()
	return os.Remove(f.Name())
}
