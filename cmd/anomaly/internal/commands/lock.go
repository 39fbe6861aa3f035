package commands

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lock keeps a model and the files beside it, those of a training run or earlier
// models, to this process until release is called or the process ends, however it
// does. It needs a hidden file beside them.
func lock(out string) (release func(), err error) {
	path := filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".lock")
	for {
		l := flock.New(path)
		switch held, err := l.TryLock(); {
		case err != nil: // a file system without locks
			os.Remove(path)
			return func() {}, nil
		case !held:
			return nil, fmt.Errorf("cannot write %s: another process is writing it", out)
		}
		// Whoever held it before may have removed the file that is locked now.
		mine, err := l.Stat()
		if err == nil {
			if there, err := os.Stat(path); err == nil && os.SameFile(mine, there) {
				return func() {
					removed := os.Remove(path) == nil
					l.Unlock()
					if !removed { // no open file can be, on some systems
						os.Remove(path)
					}
				}, nil
			}
		}
		l.Unlock()
	}
}
