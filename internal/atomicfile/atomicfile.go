package atomicfile

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/internal/regular"
)

// Write calls write with a buffered writer and, if that succeeds, puts what was
// written at path, replacing the file that was there: where path is a link, the
// one that it leads to. On any error path is left as it was; the system's errors
// name path, not the file beside it. Folders, pipes and devices are not replaced.
func Write(path string, write func(w io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return &fs.PathError{Op: "write", Path: path, Err: regular.ErrIrregular}
	}
	path = followed(path)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return named(err, path)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = named(err, path)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err = write(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// WriteBytes is Write of b.
func WriteBytes(path string, b []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// followed returns the file that a path of links leads to, path itself where
// there is none.
func followed(path string) string {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	return path
}

// named makes an error of the file beside path one of path.
func named(err error, path string) error {
	switch e := err.(type) {
	case *fs.PathError:
		if strings.HasPrefix(filepath.Base(e.Path), "."+filepath.Base(path)+".") {
			return &fs.PathError{Op: "write", Path: path, Err: e.Err}
		}
	case *os.LinkError:
		return &fs.PathError{Op: "write", Path: path, Err: e.Err}
	}
	return err
}
