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
	"github.com/anomaly-go/anomaly/internal/settle"
)

// An Inbox finds images as they come, at the places that arguments name as for
// [dataset.Find]. It is used by one goroutine.
type Inbox struct {
	args    []string
	root    string // that the images' names are relative to, absolute
	options InboxOptions

	files settle.Files // taken are those handed on
	said  string       // what was said last that is wrong
}

// InboxOptions are options of an [Inbox].
type InboxOptions struct {
	Interval time.Duration // between two looks
	Results  string        // folder whose images are none, as by LeaveOut; "" for none
	// Decoding is how its images are read; its Notes get what is passed over.
	Decoding *dataset.Decoding
	// Wrong, where not nil, is told what is wrong with a place, once until it changes.
	Wrong func(text string)
}

// NewInbox returns an inbox of what args, one or more, name: each a folder, a file or
// a pattern. What is not there is an error, unless it is a pattern.
func NewInbox(args []string, o InboxOptions) (*Inbox, error) {
	b := &Inbox{args: args, options: o}
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
	var samples []dataset.Sample
	var paths, wrong []string
	named := map[string]bool{} // by the arguments before
	for _, arg := range b.args {
		found, err := (&dataset.Options{Decoding: b.options.Decoding}).Find(arg)
		found, _ = LeaveOut(found, b.options.Results)
		if err != nil && !errors.Is(err, dataset.ErrEmpty) && !(errors.Is(err, fs.ErrNotExist) && isPattern(arg)) {
			wrong = append(wrong, err.Error())
		}
		for _, s := range found {
			if !named[s.Path] {
				samples, paths = append(samples, s), append(paths, s.Path)
			}
		}
		for _, path := range paths {
			named[path] = true
		}
	}
	if text := strings.Join(wrong, "; "); text != b.said {
		b.said = text
		if text != "" && b.options.Wrong != nil {
			b.options.Wrong(text)
		}
	}
	b.files.Look(slices.Compact(paths)) // a file's rows follow one another
	samples = slices.DeleteFunc(samples, func(s dataset.Sample) bool {
		info := b.files.Info(s.Path)
		return info == nil || info.Size() == 0 || !b.files.Settled(s.Path) || b.files.Taken(s.Path)
	})
	for i := range samples {
		samples[i].Name = b.name(&samples[i])
		b.files.Take(samples[i].Path)
	}
	slices.SortStableFunc(samples, func(x, y dataset.Sample) int {
		return cmp.Or(b.files.Info(x.Path).ModTime().Compare(b.files.Info(y.Path).ModTime()), cmp.Compare(x.Path, y.Path))
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
