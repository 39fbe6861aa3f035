package serve

import (
	"context"
	"fmt"
	"image"
	"slices"

	"github.com/anomaly-go/anomaly/runtime"
)

// A shadow is another version that runs beside the one in use and is compared.
type shadow struct {
	version string
	*runtime.Shadow
}

// startShadow begins to compare a version with the one in use.
func (m *model) startShadow(name string, o *runtime.ShadowOptions, by string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	s := m.state()
	at := slices.IndexFunc(s.versions, func(v version) bool { return v.name == name })
	switch {
	case s.current == nil:
		return fmt.Errorf("%w: %s is not loaded", ErrState, m.name)
	case at < 0:
		return fmt.Errorf("%w: %s: there is no version %.32q", ErrModel, m.name, name)
	case name == s.current.name:
		return fmt.Errorf("%w: %s: version %s is the one in use", ErrState, m.name, name)
	}
	beside, err := runtime.NewShadow(s.current.detector, s.versions[at].path, o)
	if err != nil {
		return err
	}
	m.stopShadow()
	m.mu.Lock()
	m.shadow = &shadow{name, beside}
	m.mu.Unlock()
	audit(m.options.Logger, m, by, "shadowed", "version", name, "hash", beside.Report().Candidate)
	return nil
}

// stopShadow ends the comparison, if there is one; m.changing is held.
func (m *model) stopShadow() {
	m.mu.Lock()
	s := m.shadow
	m.shadow = nil
	m.mu.Unlock()
	if s != nil {
		if err := s.Close(); err != nil {
			m.options.Logger.Error("shadow not freed", "model", m.name, "version", s.version, "error", err.Error())
		}
	}
}

// endShadow is stopShadow by request.
func (m *model) endShadow(by string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	s := m.state().shadow
	if s == nil {
		return fmt.Errorf("%w: %s has no shadow", ErrState, m.name)
	}
	m.stopShadow()
	audit(m.options.Logger, m, by, "unshadowed", "version", s.version)
	return nil
}

// promote makes the version in the shadow the one in use, if its report says so.
func (m *model) promote(ctx context.Context, by string) error {
	s := m.state().shadow
	if s == nil {
		return fmt.Errorf("%w: %s has no shadow", ErrState, m.name)
	}
	if r := s.Report(); !r.Promote {
		return fmt.Errorf("%w: %s: the shadow is not to be promoted: %s", ErrState, m.name, r.Why)
	}
	if err := m.use(ctx, s.version, by); err != nil {
		return err
	}
	return m.endShadow(by)
}

// offer hands images and what was found in them to the shadow, if there is one.
func (m *model) offer(imgs []image.Image, results []runtime.Result, names []string) {
	m.mu.Lock()
	s := m.shadow
	m.mu.Unlock()
	if s != nil {
		s.Offer(imgs, results, names)
	}
}

func (m *model) shadowed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shadow != nil
}
