package outputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/dustin/go-humanize"
)

// rejects keeps the images of rejects in a folder, each with its message beside it,
// and never more than the budget: the oldest go first.
type rejects struct {
	dir    string
	budget int64
	list   []kept // in the folder, the oldest first; nil: not looked yet
	size   int64  // of them all
}

// A kept is a file of the folder.
type kept struct {
	name string
	size int64
}

func newRejects(t *target) (sink, error) {
	if t.rest == "" {
		return nil, errors.New("want a folder: rejects:DIR")
	}
	t.wants.good, t.wants.drift = false, false
	text := t.option("budget", "10GB")
	budget, err := humanize.ParseBytes(text)
	if err != nil || budget == 0 || budget > 1<<60 {
		return nil, fmt.Errorf("budget: got %q, want a size such as 10GB", text)
	}
	return &rejects{dir: t.rest, budget: int64(budget)}, nil
}

// keptName is what files of the folder are called: by time, so that names sort by it.
// Others are somebody else's.
var keptName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[a-z]+$`)

// look finds what is in the folder, once what a process that was killed has left half
// written there is gone.
func (r *rejects) look() error {
	if err := os.MkdirAll(r.dir, 0o777); err != nil {
		return err
	}
	if err := atomicfile.CleanNames(r.dir, keptName.MatchString); err != nil {
		return err
	}
	files, err := os.ReadDir(r.dir) // sorted
	if err != nil {
		return err
	}
	r.list, r.size = []kept{}, 0
	for _, f := range files {
		if !keptName.MatchString(f.Name()) {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody tidies up
		}
		if err != nil {
			return err
		}
		r.add(f.Name(), info.Size())
	}
	return nil
}

func (r *rejects) add(name string, size int64) {
	r.list = append(r.list, kept{name, onDisk(size)})
	r.size += onDisk(size)
}

func (r *rejects) deliver(ctx context.Context, m *message) error {
	if r.list == nil {
		if err := r.look(); err != nil {
			return err
		}
	}
	base := fmt.Sprintf("%s-%s", m.Time.Format("20060102T150405.000000Z"), m.ID)
	need := onDisk(int64(len(m.JSON))) + onDisk(int64(len(m.Image)))
	if need > r.budget {
		return fmt.Errorf("%w: %s is more than the budget of %s", errRefused, humanize.Bytes(uint64(need)), humanize.Bytes(uint64(r.budget)))
	}
	for r.size+need > r.budget {
		if err := os.Remove(filepath.Join(r.dir, r.list[0].name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.size -= r.list[0].size
		r.list = slices.Delete(r.list, 0, 1)
	}
	write := func(name string, b []byte) error {
		if slices.ContainsFunc(r.list, func(k kept) bool { return k.name == name }) {
			return nil // delivered before
		}
		if err := atomicfile.WriteBytes(filepath.Join(r.dir, name), b); err != nil {
			r.list = nil // it is looked at again: somebody may have taken the folder away
			return err
		}
		r.add(name, int64(len(b)))
		return nil
	}
	if len(m.Image) > 0 {
		if err := write(base+extension(m.Image), m.Image); err != nil {
			return err
		}
	}
	return write(base+".json", m.JSON)
}

func (r *rejects) close() {}
