package serve

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
	"sync"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/text"
	"github.com/anomaly-go/anomaly/runtime"
)

// A model is one of a repository: its versions on disk, and the one in use.
type model struct {
	name    string
	dir     string // of its versions, if it has numbered ones
	options *Options
	metrics *metrics

	changing sync.Mutex // held while another version is loaded

	mu       sync.Mutex
	versions []version // on disk, the newest first
	settled  []version // those that two looks have seen alike
	missed   int       // looks in a row that have not seen it
	unloaded bool      // by request, until it is loaded by one
	current  *loaded   // nil: none
	before   string    // the version that was in use before this one; "" for none
	failed   map[string]failure
	shadow   *shadow // nil: none

	recent recent

	drifts *drift.Watch
}

// A failure is why a version cannot be used, as long as its files stay as they are.
type failure struct {
	stamp stamp
	err   error
}

// A loaded model is freed when nobody uses it any more.
type loaded struct {
	version
	detector *runtime.Detector
	info     runtime.ModelInfo
	drift    *drift.Monitor
	users    sync.WaitGroup // grows under model.mu, and only as long as it is the model's current
}

// acquire returns the model in use, which stays until release is called, or why
// there is none. A version that is not "" must be that one.
func (m *model) acquire(version string) (l *loaded, release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.current == nil:
		return nil, nil, fmt.Errorf("%w: %s is not loaded%s", ErrModel, m.name, m.reason())
	case version != "" && version != m.current.name:
		return nil, nil, fmt.Errorf("%w: %s: version %.32q is not loaded; %s is", ErrModel, m.name, version, m.current.name)
	}
	m.current.users.Add(1)
	return m.current, sync.OnceFunc(m.current.users.Done), nil
}

// reason says why no version is in use; m.mu is held.
func (m *model) reason() string {
	if m.unloaded {
		return ": unloaded by request"
	}
	for _, v := range m.versions {
		if f, ok := m.failed[v.name]; ok {
			return ": " + f.err.Error()
		}
	}
	return ""
}

// A modelState is what a model is like at a time.
type modelState struct {
	versions []version
	current  *loaded // not to be used, for it may be freed; its fields may be read
	unloaded bool
	before   string
	failed   map[string]failure
	reason   string
	shadow   *shadow
}

func (m *model) state() modelState {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := map[string]failure{}
	for name, f := range m.failed {
		failed[name] = f
	}
	s := modelState{slices.Clone(m.versions), m.current, m.unloaded, m.before, failed, "", m.shadow}
	if m.current == nil {
		s.reason = strings.TrimPrefix(m.reason(), ": ")
	}
	return s
}

// see takes note of the versions on disk and reports whether there may be something
// to do. At once takes them without a second look.
func (m *model) see(versions []version, atOnce bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(versions) == 0 && !atOnce {
		if m.missed++; m.missed < 2 {
			return false
		}
	} else {
		m.missed = 0
	}
	m.settled = nil
	for _, v := range versions {
		if atOnce || slices.ContainsFunc(m.versions, func(w version) bool { return v.name == w.name && v.stamp.equal(w.stamp) }) {
			m.settled = append(m.settled, v)
		}
	}
	m.versions = versions
	return true
}

// gone reports whether there is nothing left of the model.
func (m *model) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.versions) == 0 && m.current == nil && m.missed >= 2
}

// update makes the version that is to be in use the current one: the chosen one, or
// the newest that can be used. Whatever goes wrong the old one stays. Versions that
// have failed are tried again when they have changed, or always.
func (m *model) update(ctx context.Context, always bool, by string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	return m.updateLocked(ctx, always, by)
}

func (m *model) updateLocked(ctx context.Context, always bool, by string) error {
	chosen, err := m.choice()
	if err != nil {
		return err
	}
	m.mu.Lock()
	settled, all, current, unloaded := m.settled, m.versions, m.current, m.unloaded
	m.mu.Unlock()
	switch {
	case unloaded:
		return nil
	case len(all) == 0:
		if current != nil {
			m.stopShadow()
			m.replace(nil)
			audit(m.options.Logger, m, by, "unloaded", "version", current.name, "hash", current.info.Hash, "why", "its files are gone")
		}
		return nil
	}
	var failures []error
	for _, v := range settled {
		if chosen != "" && v.name != chosen {
			continue
		}
		if current != nil && v.name == current.name && v.stamp.equal(current.stamp) {
			return errors.Join(failures...)
		}
		m.mu.Lock()
		f, tried := m.failed[v.name]
		m.mu.Unlock()
		if tried && f.stamp.equal(v.stamp) && !always {
			continue
		}
		err := m.load(ctx, v, by)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 && current == nil {
		if chosen != "" {
			return fmt.Errorf("%w: %s: version %s, which is to be used, is not there", ErrModel, m.name, chosen)
		}
	}
	return errors.Join(failures...)
}

// load opens a version, checks it and puts it in the place of the current one. An
// error is logged, and kept as the reason.
func (m *model) load(ctx context.Context, v version, by string) (err error) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err == nil {
			delete(m.failed, v.name)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if m.failed == nil {
			m.failed = map[string]failure{}
		}
		if before, ok := m.failed[v.name]; !ok || before.err.Error() != err.Error() {
			m.options.Logger.Warn("model not loaded", "audit", true, "model", m.name, "by", by, "version", v.name, "error", err.Error())
		}
		m.failed[v.name] = failure{v.stamp, err}
	}()
	next, err := m.open(ctx, v)
	if err != nil {
		return err
	}
	m.mu.Lock()
	current := m.current
	if current != nil && current.name == v.name && current.info.Hash == next.info.Hash { // it was touched
		current.stamp = v.stamp
		m.mu.Unlock()
		return next.detector.Close()
	}
	m.mu.Unlock()
	if m.options.Gate != nil && current != nil {
		if err := m.options.Gate(ctx, m.name, current.detector, next.detector); err != nil {
			next.detector.Close()
			return err
		}
	}
	m.replace(next)
	args := []any{"version", v.name, "hash", next.info.Hash}
	if current != nil {
		args = append(args, "before", current.name, "hash_before", current.info.Hash)
	}
	audit(m.options.Logger, m, by, "loaded", args...)
	return nil
}

// open opens a version and runs its self-test.
func (m *model) open(ctx context.Context, v version) (*loaded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.options.LoadTimeout)
	defer cancel()
	if m.options.Try != nil {
		b, err := runtime.ReadFile(v.path)
		if err != nil {
			return nil, err
		}
		if err := m.options.Try(ctx, b); err != nil {
			return nil, fmt.Errorf("%s: %w", v.path, err)
		}
	}
	o := m.options.Detector
	o.OnBatch = func(images int) { m.metrics.batches.WithLabelValues(m.name).Observe(float64(images)) }
	det, err := runtime.OpenContext(ctx, v.path, &o)
	if err != nil {
		return nil, err
	}
	if _, err := det.Verify(ctx); err != nil {
		det.Close()
		return nil, err
	}
	l := &loaded{version: v, detector: det, info: det.Info()}
	if l.drift, err = drift.New(&l.info, &m.options.Drift); err != nil {
		det.Close()
		return nil, err
	}
	return l, nil
}

// replace puts next, which may be nil, in the current one's place and frees that
// once nobody uses it.
func (m *model) replace(next *loaded) {
	m.mu.Lock()
	old := m.current
	m.current = next
	if next != nil && old != nil && next.name != old.name {
		m.before = old.name
	}
	m.mu.Unlock()
	if old == nil {
		return
	}
	old.users.Wait()
	if err := old.detector.Close(); err != nil {
		m.options.Logger.Error("model not freed", "model", m.name, "version", old.name, "error", err.Error())
	}
}

// plain reports whether the model is a file without versions.
func (m *model) plain() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.versions) > 0 && m.versions[0].plain
}

// choice returns the version that the model's folder says is to be used; "" for the
// newest.
func (m *model) choice() (string, error) {
	if m.plain() {
		return "", nil
	}
	name, err := text.Read(filepath.Join(m.dir, choiceFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return "", fmt.Errorf("%w: %w", ErrState, err)
	}
	return strings.TrimSpace(name), nil
}

// use makes a version the one in use, now and after a restart: it is written to the
// model's folder. "" is the newest, whatever comes.
func (m *model) use(ctx context.Context, name, by string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	at := slices.IndexFunc(m.versions, func(v version) bool { return v.name == name })
	wasUnloaded := m.unloaded
	m.mu.Unlock()
	switch {
	case m.plain():
		return fmt.Errorf("%w: %s is a plain file and has no versions: put another in its place", ErrState, m.name)
	case name != "" && at < 0:
		return fmt.Errorf("%w: %s: there is no version %.32q", ErrModel, m.name, name)
	}
	before, err := m.choice()
	if err != nil {
		return err
	}
	if err := m.choose(name); err != nil {
		return fmt.Errorf("%w: the choice cannot be kept: %w", ErrState, err)
	}
	m.mu.Lock()
	m.unloaded = false
	m.mu.Unlock()
	if err := m.updateLocked(ctx, true, by); err != nil {
		m.mu.Lock()
		m.unloaded = wasUnloaded
		m.mu.Unlock()
		return errors.Join(err, m.choose(before))
	}
	audit(m.options.Logger, m, by, "chosen", "version", cmp.Or(name, "newest"))
	return nil
}

// choose writes which version is to be used; "" is the newest.
func (m *model) choose(name string) error {
	path := filepath.Join(m.dir, choiceFile)
	if name == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return atomicfile.WriteBytes(path, []byte(name+"\n"))
}

// rollback goes back to the version that was in use before, or the next older one;
// of a plain file to the model that package runtime's Deploy has kept beside it.
func (m *model) rollback(ctx context.Context, by string) error {
	s := m.state()
	if m.plain() {
		back, err := runtime.Rollback(s.versions[0].path)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrState, m.name, err)
		}
		audit(m.options.Logger, m, by, "rolled back", "hash", back.Hash)
		return m.loadNow(ctx, by)
	}
	to := s.before
	if s.current != nil && to == "" {
		if at := slices.IndexFunc(s.versions, func(v version) bool { return v.name == s.current.name }); at >= 0 && at+1 < len(s.versions) {
			to = s.versions[at+1].name
		}
	}
	if to == "" {
		return fmt.Errorf("%w: %s: there is no version to go back to", ErrState, m.name)
	}
	return m.use(ctx, to, by)
}

// loadNow loads a model by request, whatever was tried before.
func (m *model) loadNow(ctx context.Context, by string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	m.unloaded = false
	m.mu.Unlock()
	if err := m.updateLocked(ctx, true, by); err != nil {
		return err
	}
	_, release, err := m.acquire("")
	if err == nil {
		release()
	}
	return err
}

// unload takes a model out of use until it is loaded by request.
func (m *model) unload(by string) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	m.unloaded = true
	current := m.current
	m.mu.Unlock()
	m.stopShadow()
	m.replace(nil)
	if current != nil {
		audit(m.options.Logger, m, by, "unloaded", "version", current.name, "hash", current.info.Hash)
	}
}
