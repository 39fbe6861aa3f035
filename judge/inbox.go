package judge

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

// An Inbox finds images as they come, at the places that arguments name as for
// [dataset.Find]. It is used by one goroutine.
type Inbox struct {
	args    []string
	root    string // that the images' names are relative to, absolute
	options InboxOptions

	seen map[string]arrival // at the look before
	done map[string]arrival // handed on
	said string             // what was said last that is wrong
}

// InboxOptions are options of an [Inbox].
type InboxOptions struct {
	Interval time.Duration // between two looks
	Results  string        // folder whose images are none, as by LeaveOut; "" for none
	// Wrong, where not nil, is told what is wrong with a place, once until it changes.
	Wrong func(text string)
}

// An arrival is a file as it was at a look.
type arrival struct {
	size int64
	at   time.Time
}

// NewInbox returns an inbox of what args, one or more, name: each a folder, a file or
// a pattern. What is not there is an error, unless it is a pattern.
func NewInbox(args []string, o InboxOptions) (*Inbox, error) {
	b := &Inbox{args: args, options: o, seen: map[string]arrival{}, done: map[string]arrival{}}
	var folders []string
	for _, arg := range args {
		folder, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(folder); err != nil && !isPattern(arg) {
			return nil, err
		} else if err != nil || !info.IsDir() {
			for folder = filepath.Dir(folder); isPattern(folder); {
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

func isPattern(arg string) bool { return strings.ContainsAny(arg, "*?[") }

// below reports whether a path lies in a folder; both are absolute.
func below(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// atOnce is how many images are handed on before idle has its turn.
const atOnce = 256

// Serve hands on images as they come until ctx ends, which is its error, or handle
// or idle fail. Between images, and after each look, idle is called.
func (b *Inbox) Serve(ctx context.Context, handle func([]dataset.Sample) error, idle func() error) error {
	for {
		began := time.Now()
		samples := b.look()
		// Where there is much to look at, it is not all that is done.
		wait := max(b.options.Interval, 5*time.Since(began))
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
func (b *Inbox) look() []dataset.Sample {
	now := map[string]arrival{}
	var samples []dataset.Sample
	var wrong []string
	named := map[string]bool{} // by the arguments before
	for _, arg := range b.args {
		found, err := dataset.Find(arg)
		found, _ = LeaveOut(found, b.options.Results)
		if err != nil && !errors.Is(err, dataset.ErrEmpty) && !(errors.Is(err, fs.ErrNotExist) && isPattern(arg)) {
			wrong = append(wrong, err.Error())
		}
		for _, s := range found {
			if named[s.Path] {
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
		if text != "" && b.options.Wrong != nil {
			b.options.Wrong(text)
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
func (b *Inbox) name(s *dataset.Sample) string {
	rel, err := filepath.Rel(b.root, s.Path)
	if err != nil || !filepath.IsLocal(rel) {
		return s.Name
	}
	if rel = filepath.ToSlash(rel); s.Row >= 0 {
		rel += fmt.Sprintf("#%d", s.Row)
	}
	return rel
}
