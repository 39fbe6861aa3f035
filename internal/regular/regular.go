package regular

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
)

// ErrIrregular means a path that leads to a folder, pipe, socket or device.
var ErrIrregular = errors.New("not a regular file")

// Open opens a file for reading. The error is a *fs.PathError.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		var e *fs.PathError
		if errors.As(err, &e) {
			err = &fs.PathError{Op: "open", Path: path, Err: e.Err}
		}
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrIrregular}
	}
	return os.Open(path)
}

// most is how many bytes are allocated before they are there.
const most = 1 << 30

// Read returns what a file holds. The error is a *fs.PathError.
func Read(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Of the file's size: io.ReadAll would allocate more than twice that.
	b := bytes.NewBuffer(make([]byte, 0, int(min(info.Size(), most))+bytes.MinRead))
	if _, err := b.ReadFrom(f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
