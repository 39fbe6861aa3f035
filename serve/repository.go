package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/drift"
)

// A repository is the models of a folder, or of one file.
type repository struct {
	root    string
	options *Options
	metrics *metrics

	looking sync.Mutex // held by a look

	mu     sync.Mutex
	models map[string]*model
	said   string // what was said last that is wrong with the repository
}

// openRepository looks at root once and loads what is there.
func openRepository(ctx context.Context, root string, o *Options, metrics *metrics) (*repository, error) {
	r := &repository{root: root, options: o, metrics: metrics, models: map[string]*model{}}
	if err := r.look(ctx, true); err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() && !r.ready() {
		for _, f := range r.list()[0].state().failed {
			return nil, f.err
		}
	}
	return r, nil
}

func (r *repository) newModel(name string) *model {
	return &model{name: name, dir: filepath.Join(r.root, name), options: r.options, metrics: r.metrics, drifts: drift.NewWatch(r.options.TellDrift)}
}

// watch looks until ctx ends.
func (r *repository) watch(ctx context.Context) {
	tick := time.NewTicker(r.options.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			err := r.look(ctx, false)
			if err != nil && ctx.Err() == nil {
				r.say(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// look brings the models in line with what lies on disk. At first what is there is
// taken as it is; later only what two looks have seen alike. What cannot be used is
// logged; the error is of a repository that cannot be read.
func (r *repository) look(ctx context.Context, first bool) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	found, problems, err := survey(r.root)
	if err != nil {
		return err
	}
	for name := range found {
		r.mu.Lock()
		if r.models[name] == nil {
			r.models[name] = r.newModel(name)
		}
		r.mu.Unlock()
	}
	for _, m := range r.list() {
		if !m.see(found[m.name], first) {
			continue
		}
		err := m.update(ctx, false, "repository")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrState) || errors.Is(err, ErrModel) { // others are of a version, and logged with it
			problems = append(problems, err)
		}
		if m.gone() {
			r.mu.Lock()
			delete(r.models, m.name)
			r.mu.Unlock()
		}
	}
	r.say(problems...)
	return nil
}

// say logs what is wrong with the repository, once.
func (r *repository) say(problems ...error) {
	text := ""
	if err := errors.Join(problems...); err != nil {
		text = err.Error()
	}
	if text != r.said && text != "" {
		r.options.Logger.Warn("repository", "error", text)
	}
	r.said = text
}

// list returns the models by name.
func (r *repository) list() []*model {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.models), func(a, b *model) int { return cmp.Compare(a.name, b.name) })
}

// model returns a model, loaded or not.
func (r *repository) model(name string) (*model, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.models[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: there is no model %.128q", ErrModel, name)
}

// refresh looks again before something is done by request, and takes what it finds
// without waiting for a second look.
func (r *repository) refresh(name string) (*model, error) {
	r.looking.Lock()
	defer r.looking.Unlock()
	found, _, err := survey(r.root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	r.mu.Lock()
	if r.models[name] == nil && found[name] != nil {
		r.models[name] = r.newModel(name)
	}
	r.mu.Unlock()
	m, err := r.model(name)
	if err == nil {
		m.see(found[name], true)
	}
	return m, err
}

// ready reports whether every model that is to be in use is.
func (r *repository) ready() bool {
	for _, m := range r.list() {
		if s := m.state(); s.current == nil && !s.unloaded {
			return false
		}
	}
	return true
}

// close frees all models, once nobody uses them.
func (r *repository) close() {
	for _, m := range r.list() {
		m.changing.Lock()
		m.stopShadow()
		m.replace(nil)
		m.changing.Unlock()
	}
}

// audit logs a change of a model.
func audit(logger *slog.Logger, m *model, by, what string, args ...any) {
	logger.Info("model "+what, append([]any{"audit", true, "model", m.name, "by", by}, args...)...)
}
