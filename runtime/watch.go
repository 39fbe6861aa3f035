package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/settle"
)

// WatchOptions are options of [Detector.Watch]; nil is all defaults.
type WatchOptions struct {
	// Interval is the time between two looks at the files; 0 is a second.
	Interval time.Duration
	// Try, where not nil, is given a new model, as [OpenBytes] takes it, before this
	// process opens it, and may refuse it by an error: a program that runs the
	// model's self-test in a process of its own loses only that to a model which
	// kills the library that computes.
	Try func(ctx context.Context, model []byte) error
	// Timeout is how long Try and the opening of a new model may take together, its
	// self-test included but not the Gate; 0 is ten minutes. A model that never
	// ends does not hold up those that come after it.
	Timeout time.Duration
	// Gate, where not nil, may refuse a model that has loaded and passed its
	// self-test: by an error, which is reported. Both detectors can be used until
	// it returns, which ends the candidate; neither may be closed or swapped, for
	// that would wait for the gate. The current one works on.
	Gate func(ctx context.Context, current, candidate *Detector) error
	// Swapped, where not nil, is told of each swap; else Options.Logf is.
	Swapped func(path string, old, new ModelInfo)
	// Failed, where not nil, is told why a model is not used; else Options.Logf is.
	Failed func(path string, err error)
}

func (o *WatchOptions) withDefaults(logf func(string, ...any)) WatchOptions {
	c := WatchOptions{}
	if o != nil {
		c = *o
	}
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Minute)
	if c.Swapped == nil {
		c.Swapped = func(path string, old, new ModelInfo) { logf("%s", swapped(path, old, new)) }
	}
	if c.Failed == nil {
		c.Failed = func(path string, err error) { logf("the model in use stays: %v", err) }
	}
	return c
}

func (o *WatchOptions) validate() error {
	if o.Interval < 0 {
		return fmt.Errorf("%w: interval: got %v, want 0 or more", ErrInput, o.Interval)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("%w: timeout: got %v, want 0 or more", ErrInput, o.Timeout)
	}
	return nil
}

// Watch keeps the detector's model that of a file, or of a folder ([Latest] says
// which file in it), and returns when ctx ends, with ctx.Err(), or the detector is
// closed, with ErrClosed. A new content is loaded, its self-test checked, warmed
// up and passed through o.Gate while the old model works on; then it is swapped in
// as by [Detector.Swap]. Whatever goes wrong, the old model stays and the error is
// told once for each content, which is tried again when the file is touched.
//
// Replace the file by renaming another one of the same file system to it: that is
// one step. A file that is copied into place is read when two looks have seen it
// with the same size and time, and used if it is a whole model then; what comes
// later is seen as another change. What counts is the content, a model's weights in
// other files included: a file that is touched, or written again, is no new model.
//
// Files are looked at and not waited for: on network file systems, for folders
// mounted into containers and behind links that are set anew (as Kubernetes does
// with a ConfigMap) systems do not tell of changes reliably, and a look costs
// microseconds.
func (d *Detector) Watch(ctx context.Context, path string, o *WatchOptions) error {
	w := &watcher{detector: d, options: o.withDefaults(d.options.Logf), path: path, files: settle.Files{Identity: true}}
	if err := w.options.validate(); err != nil {
		return err
	}
	tick := time.NewTicker(w.options.Interval)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.closing.Done():
			return ErrClosed
		}
	}
}

// A watcher is the state of a Watch.
type watcher struct {
	detector *Detector
	options  WatchOptions
	path     string // as it was given

	beside []string     // names of files in the model's folder that belong to it
	files  settle.Files // the model and those; taken are the ones read last
	failed string       // what was told last, and of which content; "" after a success
}

// look compares what is there with what was, and swaps where it has settled as
// something new. Its error ends the Watch.
func (w *watcher) look(ctx context.Context) error {
	path, err := Latest(w.path)
	if err != nil {
		w.files.Again()
		w.fail(w.path, "", err)
		return nil
	}
	paths := []string{path}
	for _, name := range w.beside {
		paths = append(paths, filepath.Join(filepath.Dir(path), name))
	}
	w.files.Look(paths)
	if !all(paths, w.files.Settled) || all(paths, w.files.Taken) {
		return nil
	}
	b, err := readBytes(path)
	if err != nil { // which may pass without a change of the file: rights are given
		w.fail(path, "", err)
		return nil
	}
	f, err := onnx.Read(b)
	var beside []string
	if err == nil {
		beside = f.Beside()
	}
	if !slices.Equal(beside, w.beside) {
		w.beside = beside
		w.files.Again() // they have to settle too
		return nil
	}
	if err == nil {
		err = f.Gather(path, w.detector.options.maxMemory())
	}
	if err == nil {
		b, err = f.Bytes()
	}
	hash := Hash(b)
	if !all(paths, w.files.Still) {
		w.files.Again() // it changed while it was read
		return nil
	}
	if !errors.Is(err, fs.ErrPermission) {
		for _, path := range paths {
			w.files.Take(path)
		}
	}
	old := w.detector.Info()
	switch {
	case err != nil:
		w.fail(path, hash, fmt.Errorf("%s: %w: %w", path, ErrModel, err))
		return nil
	case hash == old.Hash:
		w.failed = ""
		return nil
	}
	err = w.take(ctx, f, b)
	switch {
	case err == nil:
		w.failed = ""
		w.options.Swapped(path, old, w.detector.Info())
	case w.detector.closing.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		w.fail(path, hash, fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

// all reports whether is holds for all paths.
func all(paths []string, is func(string) bool) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return !is(path) })
}

// take swaps a new model in.
func (w *watcher) take(ctx context.Context, f *onnx.File, b []byte) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := fmt.Errorf("%w: it was not open and tested after %v", ErrModel, w.options.Timeout)
	timer := time.AfterFunc(w.options.Timeout, func() { cancel(late) })
	defer timer.Stop()
	gate := w.options.Gate
	err := error(nil)
	if w.options.Try != nil {
		err = w.options.Try(limited, b)
	}
	if err == nil {
		err = w.detector.swap(limited, f, w.detector.verified(func(_ context.Context, current, candidate *Detector) error {
			if !timer.Stop() || gate == nil { // what follows takes as long as it takes
				return nil
			}
			return gate(ctx, current, candidate)
		}))
	}
	if err != nil && ctx.Err() == nil && context.Cause(limited) == late {
		return late
	}
	return err
}

// fail tells of an error, once for the same content, or the same lack of one.
func (w *watcher) fail(path, hash string, err error) {
	if what := hash + " " + err.Error(); what != w.failed {
		w.failed = what
		w.options.Failed(path, err)
	}
}

// verified returns what a model must pass before it is swapped in: its self-test,
// and a gate that is not nil.
func (d *Detector) verified(gate func(ctx context.Context, current, candidate *Detector) error) func(context.Context, *loaded) error {
	return func(ctx context.Context, next *loaded) error {
		tested, err := next.verify(ctx)
		if err != nil {
			return err
		}
		if !tested {
			d.options.Logf("the model has no self-test: it is used as it is")
		}
		if gate == nil {
			return nil
		}
		candidate := newDetector(next, d.options)
		err = gate(ctx, d, candidate)
		var left *loaded
		candidate.retire(func(l *loaded) error { left = l; return nil }) // once nobody uses it any more
		if left == next {
			return err
		}
		if left != nil {
			left.close()
		}
		return cmp.Or(err, fmt.Errorf("%w: the gate closed or swapped the candidate", ErrInput))
	}
}
