package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/regular"
)

// Write calls write with a buffered writer and, if that succeeds, puts what was
// written at path, replacing the file or link that was there: never what a link leads
// to. The mode is that of the file replaced, else what the umask leaves of 0666. On any
// error path is left as it was; the system's errors name path, not the file beside it.
// Folders, pipes and devices are not replaced, nor links to them.
func Write(path string, write func(w io.Writer) error) (err error) {
	f, err := create(path)
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

// create makes the hidden file beside path that is to become it.
func create(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "write", Path: path, Err: regular.ErrIrregular}
	}
	mode, replaces := fs.FileMode(0o666), false
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		mode, replaces = info.Mode().Perm(), true
	}
	for {
		dir, _ := filepath.Split(path) // as it is: absent/../ leads nowhere
		name := dir + prefix(path) + strconv.FormatUint(rand.Uint64(), 10)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil && replaces { // whatever the umask
			if err = f.Chmod(mode); err != nil {
				f.Close()
				os.Remove(name)
			}
		}
		return f, err
	}
}

// prefix is what the names of the files beside path begin with, digits behind it.
func prefix(path string) string {
	const most = 200 // of a name's usual 255 bytes
	base := filepath.Base(path)
	return "." + base[:min(len(base), most)] + "."
}

// named makes an error of the file beside path one of path.
func named(err error, path string) error {
	switch e := err.(type) {
	case *fs.PathError:
		if strings.HasPrefix(filepath.Base(e.Path), prefix(path)) {
			return &fs.PathError{Op: "write", Path: path, Err: e.Err}
		}
	case *os.LinkError:
		return &fs.PathError{Op: "write", Path: path, Err: e.Err}
	}
	return err
}
