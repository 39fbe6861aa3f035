package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const serverName = "anomaly"

// extensions of the protocol that are served.
var extensions = []string{"model_repository", "binary_tensor_data"}

// platform is what metadata say of a model: how its file is written.
const platform = "onnx_anomaly"

func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]bool{"live": true})
}

func (s *Server) readiness(w http.ResponseWriter, r *http.Request) error {
	ready := s.ready()
	return writeJSON(w, readyStatus(ready), map[string]bool{"ready": ready})
}

// readyStatus is the status of an answer to who asks whether something is ready.
func readyStatus(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (s *Server) serverMetadata(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"name": serverName, "version": s.options.Version, "extensions": extensions})
}

// A description describes a model in the protocol's terms.
type description struct {
	Name     string      `json:"name"`
	Versions []string    `json:"versions"`
	Platform string      `json:"platform"`
	Inputs   []signature `json:"inputs"`
	Outputs  []signature `json:"outputs"`
}

func (s *Server) describe(name, version string) (*description, error) {
	m, err := s.repository.model(name)
	if err != nil {
		return nil, err
	}
	l, release, err := m.acquire(version)
	if err != nil {
		return nil, err
	}
	defer release()
	d := &description{Name: name, Versions: []string{l.name}, Platform: platform}
	d.Inputs, d.Outputs = signatures(&l.info)
	return d, nil
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	d, err := s.describe(r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

// canUse reports whether a version of a model can be asked, "" being the one in use.
func (s *Server) canUse(name, version string) (bool, error) {
	m, err := s.repository.model(name)
	if err != nil {
		return false, err
	}
	_, release, err := m.acquire(version)
	if err == nil {
		release()
	}
	return err == nil && !s.draining.Load(), nil
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	ready, err := s.canUse(name, r.PathValue("version"))
	if err != nil {
		return err
	}
	return writeJSON(w, readyStatus(ready), map[string]any{"name": name, "ready": ready})
}

// admit lets a request for a model in, before its body is read; leave ends it.
func (s *Server) admit(name string) (leave func(), err error) {
	if _, err := s.repository.model(name); err != nil {
		return nil, err
	}
	return s.admission.enter()
}

func (s *Server) inferHTTP(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	leave, err := s.admit(name)
	if err != nil {
		return err
	}
	defer leave()
	length := -1
	if h := r.Header.Get(headerLength); h != "" {
		if length, err = strconv.Atoi(h); err != nil || length < 0 {
			return fmt.Errorf("%w: %s: got %.32q, want a number of bytes", ErrInput, headerLength, h)
		}
	}
	began := time.Now()
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	q, binaries, err := decodeInference(body, length)
	if err != nil {
		return err
	}
	s.metrics.stage(name, "read", began)
	q.model, q.version = name, r.PathValue("version")
	ctx, cancel := s.computing(r.Context())
	defer cancel()
	a, err := s.infer(ctx, q)
	if err != nil {
		return err
	}
	return writeInferred(w, q, a, binaries)
}

// An indexEntry is a version of a model in the repository.
type indexEntry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"` // READY or UNAVAILABLE
	Reason  string `json:"reason,omitempty"`
}

// index lists all versions of all models, or those in use alone.
func (s *Server) index(ready bool) []indexEntry {
	entries := []indexEntry{}
	for _, m := range s.repository.list() {
		state := m.state()
		for _, v := range state.versions {
			e := indexEntry{m.name, v.name, "UNAVAILABLE", ""}
			f, failed := state.failed[v.name]
			switch {
			case state.current != nil && state.current.name == v.name:
				e.State = "READY"
			case failed:
				e.Reason = f.err.Error()
			case state.unloaded:
				e.Reason = "unloaded by request"
			default:
				e.Reason = "not loaded"
			}
			if e.State == "READY" || !ready {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

func (s *Server) indexHTTP(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Ready bool `json:"ready"`
	}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.index(q.Ready))
}

// load loads the newest version of a model, or the chosen one.
func (s *Server) load(ctx context.Context, name string) error {
	m, err := s.repository.refresh(name)
	if err != nil {
		return err
	}
	return m.loadNow(ctx, requestOf(ctx).who.String())
}

func (s *Server) unload(ctx context.Context, name string) error {
	m, err := s.repository.model(name)
	if err != nil {
		return err
	}
	m.unload(requestOf(ctx).who.String())
	return nil
}

func (s *Server) loadHTTP(w http.ResponseWriter, r *http.Request) error {
	var q struct { // of which Triton knows more: a configuration, and files in the request
		Parameters map[string]any `json:"parameters"`
	}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	if len(q.Parameters) > 0 {
		return fmt.Errorf("%w: load takes no parameters: models are loaded as they lie in the repository", ErrInput)
	}
	if err := s.load(r.Context(), r.PathValue("model")); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct{}{})
}

func (s *Server) unloadHTTP(w http.ResponseWriter, r *http.Request) error {
	var q struct{}
	if err := s.readJSON(w, r, &q); err != nil {
		return err
	}
	if err := s.unload(r.Context(), r.PathValue("model")); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct{}{})
}

// readJSON reads a small object, or an empty body, which leaves value as it is.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, value any) error {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	body, err := s.readBody(w, r)
	if err != nil || len(body) == 0 {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return fmt.Errorf("%w: JSON: want an object", ErrInput)
	}
	if err := json.Unmarshal(body, value); err != nil {
		return fmt.Errorf("%w: JSON: %w", ErrInput, err)
	}
	return nil
}
