package serve

import (
	_ "embed"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/runtime"
)

// A modelStatus is what GET /v1/models says of a model.
type modelStatus struct {
	Name      string          `json:"name"`
	Ready     bool            `json:"ready"`
	Version   string          `json:"version,omitempty"` // in use
	Hash      string          `json:"hash,omitempty"`
	Provider  string          `json:"provider,omitempty"`
	Height    int             `json:"height,omitempty"`
	Width     int             `json:"width,omitempty"`
	Channels  int             `json:"channels,omitempty"`
	Threshold *float32        `json:"threshold"`
	Review    *reviewBand     `json:"review"`
	Maps      bool            `json:"maps"`
	Feedback  bool            `json:"feedback"`         // is kept
	Drift     []drift.Report  `json:"drift"`            // of the last full windows
	Reason    string          `json:"reason,omitempty"` // why it is not ready
	Before    string          `json:"before,omitempty"` // the version that was in use before
	Versions  []versionStatus `json:"versions"`
	Shadow    *shadowStatus   `json:"shadow"`
}

type reviewBand struct {
	Low  float32 `json:"low"`
	High float32 `json:"high"`
}

type versionStatus struct {
	Version string `json:"version"`
	Ready   bool   `json:"ready"`
	Reason  string `json:"reason,omitempty"` // why it cannot be used
}

// A shadowStatus is a runtime.ShadowReport without the images.
type shadowStatus struct {
	Version     string   `json:"version"`
	Hash        string   `json:"hash"`
	Images      int      `json:"images"`
	Skipped     int      `json:"skipped"`
	Failed      int      `json:"failed"`
	Changed     int      `json:"changed"`
	Found       int      `json:"found"`
	Lost        int      `json:"lost"`
	Correlation *float64 `json:"correlation"`
	Shift       *float64 `json:"shift"`
	Done        bool     `json:"done"`
	Promote     bool     `json:"promote"`
	Why         string   `json:"why"`
}

func newModelStatus(m *model) modelStatus {
	state := m.state()
	s := modelStatus{Name: m.name, Before: state.before, Versions: []versionStatus{}, Reason: state.reason, Feedback: m.options.Feedback != nil, Drift: []drift.Report{}}
	if l := state.current; l != nil {
		i := &l.info
		s.Ready, s.Version, s.Hash, s.Provider = true, l.name, i.Hash, string(i.Provider)
		s.Height, s.Width, s.Channels, s.Threshold, s.Maps = i.Height, i.Width, i.Channels, i.Threshold, i.Maps
		s.Drift = append(s.Drift, l.drift.Last()...)
		if i.Review != nil {
			s.Review = &reviewBand{i.Review.Low, i.Review.High}
		}
	}
	for _, v := range state.versions {
		status := versionStatus{Version: v.name, Ready: state.current != nil && state.current.name == v.name}
		if f, ok := state.failed[v.name]; ok && !status.Ready {
			status.Reason = f.err.Error()
		}
		s.Versions = append(s.Versions, status)
	}
	if state.shadow != nil {
		r := state.shadow.Report()
		s.Shadow = &shadowStatus{
			state.shadow.version, r.Candidate, r.Images, r.Skipped, r.Failed, r.Changed, r.Found, r.Lost,
			number(r.Correlation), number(r.Shift), r.Done, r.Promote, r.Why,
		}
	}
	return s
}

// number is x for JSON: nil where it is none.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func (s *Server) models(w http.ResponseWriter, r *http.Request) error {
	if name := r.PathValue("model"); name != "" {
		m, err := s.repository.model(name)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, newModelStatus(m))
	}
	all := []modelStatus{}
	for _, m := range s.repository.list() {
		all = append(all, newModelStatus(m))
	}
	return writeJSON(w, http.StatusOK, all)
}

// changed does something to a model and answers with what it is then.
func (s *Server) changed(w http.ResponseWriter, r *http.Request, change func(m *model, by string) error) error {
	m, err := s.repository.refresh(r.PathValue("model"))
	if err != nil {
		return err
	}
	if err := change(m, requestOf(r.Context()).who.String()); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newModelStatus(m))
}

func (s *Server) useHTTP(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Version *string `json:"version"` // "" is the newest
	}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	if q.Version == nil {
		return fmt.Errorf("%w: want a version, \"\" for the newest", ErrInput)
	}
	return s.changed(w, r, func(m *model, by string) error { return m.use(r.Context(), *q.Version, by) })
}

func (s *Server) rollbackHTTP(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, func(m *model, by string) error { return m.rollback(r.Context(), by) })
}

func (s *Server) shadowHTTP(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Version *string  `json:"version"`
		Images  int      `json:"images"`  // 0 is 200
		Seconds float64  `json:"seconds"` // 0 is no limit
		Changed *float64 `json:"changed"` // share of verdicts; null is 0.01
	}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	if q.Version == nil {
		return fmt.Errorf("%w: want a version", ErrInput)
	}
	o := &runtime.ShadowOptions{Images: q.Images, Duration: time.Duration(q.Seconds * float64(time.Second)), MaxChanged: q.Changed}
	return s.changed(w, r, func(m *model, by string) error { return m.startShadow(*q.Version, o, by) })
}

func (s *Server) unshadowHTTP(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, func(m *model, by string) error { return m.endShadow(by) })
}

func (s *Server) promoteHTTP(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, func(m *model, by string) error { return m.promote(r.Context(), by) })
}

// openapi describes the HTTP side.
//
//go:embed openapi.json
var openapi []byte

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(openapi)
	return err
}
