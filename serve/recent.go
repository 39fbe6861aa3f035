package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/judge"
)

const (
	recentScores  = 1000    // of a model that are remembered
	recentRejects = 24      // of a model whose pictures are
	recentPixels  = 1 << 20 // of the largest picture that is
	recentBytes   = 1 << 25 // of a model's rejects' files together, which are kept where there is feedback
)

// recent is what a model found last.
type recent struct {
	mu      sync.Mutex
	number  int // of images so far
	scores  []recentScore
	rejects []recentReject
}

// A recentScore is of one image, whose verdict can be counted anew.
type recentScore struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Score  float32   `json:"score"`
}

// A recentReject is an image that was anomalous, as the model saw it.
type recentReject struct {
	recentScore
	finding *judge.Finding
	version string
	picture *picture        // nil where it is too large to be kept
	file    []byte          // nil where it is not kept
	raw     bool            // it came as pixels
	said    *feedback.Entry // nil: nothing
}

// add takes note of a picture with a result and its pixels, of a version of the model.
func (r *recent) add(p *picture, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	s := recentScore{r.number, time.Now(), p.result.Score}
	r.scores = last(append(r.scores, s), recentScores)
	if !p.result.Anomalous {
		return
	}
	reject := recentReject{recentScore: s, finding: p.finding, version: version, file: p.file, raw: p.file == nil}
	if p.result.Map != nil && p.pixels != nil && p.height*p.width <= recentPixels {
		reject.picture = &picture{pixels: slices.Clone(p.pixels), height: p.height, width: p.width, channels: p.channels, result: p.result}
	}
	r.rejects = last(append(r.rejects, reject), recentRejects)
	room := recentBytes
	for i := len(r.rejects) - 1; i >= 0; i-- {
		if room -= len(r.rejects[i].file); room < 0 {
			r.rejects[i].file = nil
		}
	}
}

// reject returns one of the rejects by its number.
func (r *recent) reject(number string) (recentReject, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return recentReject{}, fmt.Errorf("%w: number: got %.32q", ErrInput, number)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reject := range r.rejects {
		if reject.Number == n {
			return reject, nil
		}
	}
	return recentReject{}, fmt.Errorf("%w: there is no reject %d any more", ErrModel, n)
}

// say takes note of what is said of a reject; nil is nothing any more.
func (r *recent) say(of func(*recentReject) bool, e *feedback.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rejects {
		if of(&r.rejects[i]) {
			r.rejects[i].said = e
		}
	}
}

// last returns the last n of a list, without holding on to the others for long.
func last[T any](list []T, n int) []T {
	if len(list) < 2*n {
		return list
	}
	return append([]T(nil), list[len(list)-n:]...)
}

// recentHTTP answers with the last scores, the oldest first, and rejects, the newest
// first.
func (s *Server) recentHTTP(w http.ResponseWriter, r *http.Request) error {
	m, err := s.repository.model(r.PathValue("model"))
	if err != nil {
		return err
	}
	type reject struct {
		recentScore
		Picture bool            `json:"picture"`
		Mark    feedback.Mark   `json:"mark,omitempty"`  // what is said of it
		Image   string          `json:"image,omitempty"` // its hash, where something is
		Finding json.RawMessage `json:"finding"`
	}
	answer := struct {
		Scores  []recentScore `json:"scores"`
		Rejects []reject      `json:"rejects"`
	}{Scores: []recentScore{}, Rejects: []reject{}}
	m.recent.mu.Lock()
	answer.Scores = append(answer.Scores, m.recent.scores[max(0, len(m.recent.scores)-recentScores):]...)
	rejects := append([]recentReject(nil), m.recent.rejects[max(0, len(m.recent.rejects)-recentRejects):]...)
	m.recent.mu.Unlock()
	for i := len(rejects) - 1; i >= 0; i-- {
		b, err := json.Marshal(rejects[i].finding)
		if err != nil {
			return err
		}
		r := reject{recentScore: rejects[i].recentScore, Picture: rejects[i].picture != nil, Finding: b}
		if said := rejects[i].said; said != nil {
			r.Mark, r.Image = said.Mark, said.Image
		}
		answer.Rejects = append(answer.Rejects, r)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// recentPicture answers with the picture of a reject: what the model saw, marked.
func (s *Server) recentPicture(w http.ResponseWriter, r *http.Request) error {
	m, err := s.repository.model(r.PathValue("model"))
	if err != nil {
		return err
	}
	reject, err := m.recent.reject(r.PathValue("number"))
	if err != nil {
		return err
	}
	p := reject.picture
	if p == nil {
		return fmt.Errorf("%w: the picture of reject %d was not kept", ErrModel, reject.Number)
	}
	img := imageio.FromPixels(p.pixels, p.height, p.width, p.channels)
	if t := p.result.PixelThreshold; t != nil {
		img = heatmap.Overlay(img, p.result.Map, *t, nil)
	}
	b, err := encodePNG(img)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/png")
	_, err = w.Write(b)
	return err
}
