package outputs

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/google/uuid"
)

// A message is an event on its way, as it lies in a spool.
type message struct {
	ID      string        `json:"id"` // a UUID: of an event's own ID, or by time
	Time    time.Time     `json:"time"`
	Score   float32       `json:"score"`
	Verdict string        `json:"verdict"`         // a runtime.Verdict, none or failed
	Good    bool          `json:"good"`            // judged, and neither anomalous nor to be looked at again
	Reject  bool          `json:"reject"`          // anomalous, or rejected where there is a review band
	JSON    []byte        `json:"json"`            // what is delivered
	Image   []byte        `json:"image,omitempty"` // of a reject, for outputs that keep images
	Drift   *drift.Report `json:"drift,omitempty"` // of a drift, which has no score, verdict and image
}

// Verdicts of a message besides those of a model.
const (
	verdictNone   = "none"   // the model does not say
	verdictFailed = "failed" // the image could not be read or computed
)

// kindDrift is the "kind" in the JSON of a drift; findings have none.
const kindDrift = "drift"

// newMessage returns the message of an event. Its JSON is that of the finding with
// "id", "time", "model_name" and "model_hash".
func newMessage(e *judge.Event) (*message, error) {
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(e.ID))
	if e.ID == "" {
		var err error
		if id, err = uuid.NewV7(); err != nil {
			return nil, err
		}
	}
	f := e.Finding
	m := &message{ID: id.String(), Time: time.Now().UTC(), Score: f.Score, Verdict: string(f.Verdict)}
	switch {
	case f.Err != nil:
		m.Verdict, m.Score = verdictFailed, 0
	case m.Verdict == "":
		m.Verdict = verdictNone
	}
	m.Good = f.Verdict == runtime.Good || f.Verdict == runtime.Accept
	m.Reject = f.Verdict == runtime.Anomalous || f.Verdict == runtime.Reject
	return m, m.encode("", e.ModelName, e.ModelHash, f)
}

// newDriftMessage returns the message of a drift. Its JSON is that of the report with what
// findings have besides, "kind" and "what" it is in words.
func newDriftMessage(e *drift.Event) (*message, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	m := &message{ID: id.String(), Time: time.Now().UTC(), Drift: &e.Report}
	return m, m.encode(kindDrift, e.ModelName, e.ModelHash, struct {
		drift.Report
		What string `json:"what"`
	}{e.Report, e.String()})
}

// encode makes a message's JSON: that of what, an object, with what all have before it.
func (m *message) encode(kind, modelName, modelHash string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	head, err := json.Marshal(struct {
		ID        string    `json:"id"`
		Time      time.Time `json:"time"`
		Kind      string    `json:"kind,omitempty"`
		ModelName string    `json:"model_name,omitempty"`
		ModelHash string    `json:"model_hash,omitempty"`
	}{m.ID, m.Time, kind, modelName, modelHash})
	if err != nil {
		return err
	}
	m.JSON = slices.Concat(head[:len(head)-1], []byte(","), body[1:])
	return nil
}

// extension is that of an image's file, by what it begins with.
func extension(image []byte) string {
	if s := string(image[:min(len(image), 4)]); s == "II*\x00" || s == "MM\x00*" {
		return ".tiff"
	}
	switch kind, name, _ := strings.Cut(http.DetectContentType(image), "/"); {
	case kind != "image":
		return ".image"
	case name == "jpeg":
		return ".jpg"
	default:
		return "." + name
	}
}
