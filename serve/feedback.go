package serve

import (
	"fmt"
	"net/http"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/judge"
)

// feedback returns where feedback is kept.
func (s *Server) feedback() (Feedback, error) {
	if s.options.Feedback == nil {
		return nil, fmt.Errorf("%w: this server keeps no feedback: serve --feedback DIR does", ErrState)
	}
	return s.options.Feedback, nil
}

// feedbackOn returns where feedback is kept, and the model that a request names.
func (s *Server) feedbackOn(r *http.Request) (Feedback, *model, error) {
	store, err := s.feedback()
	if err != nil {
		return nil, nil, err
	}
	m, err := s.repository.model(r.PathValue("model"))
	return store, m, err
}

// feedbackHTTP answers with what is said of a model's verdicts, the oldest first.
func (s *Server) feedbackHTTP(w http.ResponseWriter, r *http.Request) error {
	store, m, err := s.feedbackOn(r)
	if err != nil {
		return err
	}
	all, err := store.List(r.Context())
	if err != nil {
		return err
	}
	entries := []feedback.Entry{}
	for _, e := range all {
		if e.Model == m.name {
			e.Path = ""
			entries = append(entries, e)
		}
	}
	return writeJSON(w, http.StatusOK, entries)
}

// markHTTP keeps what somebody says of a verdict: on images of the body, which the model
// in use judges anew, or on one of the last rejects.
func (s *Server) markHTTP(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.feedback(); err != nil {
		return err
	}
	mark, err := feedback.ParseMark(r.URL.Query().Get("mark"))
	if err != nil {
		return err
	}
	if r.URL.Query().Has("recent") {
		return s.markReject(w, r, mark)
	}
	leave, err := s.admit(r.PathValue("model"))
	if err != nil {
		return err
	}
	defer leave()
	pics, several, err := s.readImages(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := s.computing(r.Context())
	defer cancel()
	job, err := s.begin(ctx, r.PathValue("model"), "")
	if err != nil {
		return err
	}
	defer job.end()
	if err := job.judge(ctx, pics, false); err != nil {
		return err
	}
	items := make([]any, len(pics))
	for i, p := range pics {
		var e *feedback.Entry
		if err = p.err; err == nil {
			e, err = s.keep(r, feedback.Entry{Model: job.model.name, Mark: mark, Version: job.loaded.name}, p.finding, p.file)
		}
		switch {
		case err != nil && !several:
			return err
		case err != nil:
			items[i] = judge.Finding{Path: p.name, Err: err}
		default:
			items[i] = e
		}
	}
	if !several {
		return writeJSON(w, http.StatusOK, items[0])
	}
	return writeJSON(w, http.StatusOK, items)
}

// markReject keeps what somebody says of one of the last rejects.
func (s *Server) markReject(w http.ResponseWriter, r *http.Request, mark feedback.Mark) error {
	m, err := s.repository.model(r.PathValue("model"))
	if err != nil {
		return err
	}
	reject, err := m.recent.reject(r.URL.Query().Get("recent"))
	if err != nil {
		return err
	}
	if mark == feedback.Miss {
		return fmt.Errorf("%w: mark: reject %d was found, which is no %s", ErrInput, reject.Number, mark)
	}
	file := reject.file
	if p := reject.picture; p != nil && reject.raw {
		if file, err = encodePNG(imageio.FromPixels(p.pixels, p.height, p.width, p.channels)); err != nil {
			return err
		}
	}
	if file == nil {
		return fmt.Errorf("%w: the image of reject %d was not kept: send it", ErrModel, reject.Number)
	}
	e, err := s.keep(r, feedback.Entry{Model: m.name, Mark: mark, Version: reject.version}, reject.finding, file)
	if err != nil {
		return err
	}
	m.recent.say(func(of *recentReject) bool { return of.Number == reject.Number }, e)
	return writeJSON(w, http.StatusOK, e)
}

// keep keeps a mark with an image and what was found in it.
func (s *Server) keep(r *http.Request, e feedback.Entry, f *judge.Finding, file []byte) (*feedback.Entry, error) {
	by := requestOf(r.Context()).who.String()
	e.Hash, e.Name, e.Score, e.Threshold, e.By = f.Result.Model, f.Path, &f.Score, f.Threshold, by
	stored, added, err := s.options.Feedback.Add(r.Context(), e, file)
	if err != nil {
		return nil, err
	}
	if added {
		s.log.Info("marked", "model", e.Model, "by", by, "mark", e.Mark, "image", stored.Image)
	}
	answer := *stored
	answer.Path = "" // nobody else's business
	return &answer, nil
}

// unmarkHTTP takes back what is said of an image.
func (s *Server) unmarkHTTP(w http.ResponseWriter, r *http.Request) error {
	store, m, err := s.feedbackOn(r)
	if err != nil {
		return err
	}
	removed, err := store.Remove(r.Context(), r.PathValue("image"), m.name)
	if err != nil {
		return err
	}
	image := removed[0].Image
	m.recent.say(func(of *recentReject) bool { return of.said != nil && of.said.Image == image }, nil)
	s.log.Info("mark taken back", "model", m.name, "by", requestOf(r.Context()).who.String(), "image", image)
	removed[0].Path = ""
	return writeJSON(w, http.StatusOK, removed[0])
}
