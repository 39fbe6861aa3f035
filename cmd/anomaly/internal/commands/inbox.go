package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
)

// An inbox finds images as they come, at the places that a command line names.
type inbox struct {
	args     []string
	root     string // that the images' names are relative to, absolute
	out      string // folder of results, whose images are none; "" for none
	interval time.Duration
	notef    func(format string, args ...any)

	seen map[string]arrival // at the look before
	done map[string]arrival // handed on
	said string             // what was said last that is wrong
}

// An arrival is a file as it was at a look.
type arrival struct {
	size int64
	at   time.Time
}

// newInbox returns an inbox of what args name; what cannot be named is an error.
func (c *console) newInbox(args []string, out string, interval time.Duration) (*inbox, error) {
	b := &inbox{args: args, interval: interval, notef: c.notef, seen: map[string]arrival{}, done: map[string]arrival{}}
	var err error
	if out != "" {
		if b.out, err = filepath.Abs(out); err != nil {
			return nil, err
		}
	}
	var folders []string
	for _, arg := range args {
		folder, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			if folder == b.out {
				return nil, searchedOut(out)
			}
		} else if err != nil && !strings.ContainsAny(arg, "*?[") {
			return nil, err
		} else {
			for folder = filepath.Dir(folder); strings.ContainsAny(folder, "*?["); {
				folder = filepath.Dir(folder)
			}
		}
		folders = append(folders, folder)
	}
	b.root = folders[0]
	for _, folder := range folders[1:] {
		for b.root != folder && !below(b.root, folder) && b.root != filepath.Dir(b.root) {
			b.root = filepath.Dir(b.root)
		}
	}
	return b, nil
}

// atOnce is how many images are handed on before idle has its turn.
const atOnce = 256

// serve hands on images as they come until ctx ends, which is its error, or handle
// or idle fail. Between images, and after each look, idle is called.
func (b *inbox) serve(ctx context.Context, handle func([]dataset.Sample) error, idle func() error) error {
	for {
		began := time.Now()
		samples := b.look()
		// Where there is much to look at, it is not all that is done.
		wait := max(b.interval, 5*time.Since(began))
		for some := range slices.Chunk(samples, atOnce) {
			if err := errors.Join(handle(some), idle()); err != nil {
				return err
			}
		}
		if err := idle(); err != nil {
			return err
		}
		select {
		case <-time.After(wait - min(wait, time.Since(began))):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// look returns the images that are new or other than when they were handed on, the
// oldest first. A file is taken when two looks have seen it with the same size and
// time: until then it may be on its way. An empty one is not there yet.
func (b *inbox) look() []dataset.Sample {
	now := map[string]arrival{}
	var samples []dataset.Sample
	var wrong []string
	named := map[string]bool{} // by the arguments before
	for _, arg := range b.args {
		found, err := dataset.Find(arg)
		if err != nil && !errors.Is(err, dataset.ErrEmpty) && !(errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?[")) {
			wrong = append(wrong, err.Error())
		}
		for _, s := range found {
			if named[s.Path] || b.out != "" && below(b.out, s.Path) {
				continue
			}
			a, ok := now[s.Path] // of the row before
			if !ok {
				info, err := os.Stat(s.Path)
				if err != nil {
					continue
				}
				a = arrival{info.Size(), info.ModTime()}
				now[s.Path] = a
			}
			if a.size == 0 || a != b.seen[s.Path] || a == b.done[s.Path] {
				continue
			}
			s.Name = b.name(&s)
			samples = append(samples, s)
		}
		for path := range now {
			named[path] = true
		}
	}
	if text := strings.Join(wrong, "; "); text != b.said {
		b.said = text
		if text != "" {
			b.notef("looking on: %s", text)
		}
	}
	done := map[string]arrival{} // without what has gone
	for path := range now {
		if a, ok := b.done[path]; ok {
			done[path] = a
		}
	}
	for i := range samples {
		done[samples[i].Path] = now[samples[i].Path]
	}
	b.seen, b.done = now, done
	slices.SortStableFunc(samples, func(x, y dataset.Sample) int {
		return cmp.Or(now[x.Path].at.Compare(now[y.Path].at), cmp.Compare(x.Path, y.Path))
	})
	return samples
}

// name is relative to the inbox's root, whatever there is in it now.
func (b *inbox) name(s *dataset.Sample) string {
	rel, err := filepath.Rel(b.root, s.Path)
	if err != nil || !filepath.IsLocal(rel) {
		return s.Name
	}
	if rel = filepath.ToSlash(rel); s.Row >= 0 {
		rel += fmt.Sprintf("#%d", s.Row)
	}
	return rel
}
