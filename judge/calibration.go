package judge

import (
	"encoding/json"
	"fmt"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// Rules by which a threshold is set anew.
const (
	RuleGiven       = "given" // by hand
	RuleFalseReject = "false-reject"
	RuleMax         = "max"
	RuleF1          = "f1"
	RuleRecall      = "recall"
)

// A Calibration says how a threshold was set that training did not set, and what it
// did to the images that it was set from.
type Calibration struct {
	Rule      string   `json:"rule"`
	Target    float64  `json:"target,omitempty"` // share of images, of RuleFalseReject and RuleRecall
	Good      int      `json:"good,omitempty"`   // images that it was set from
	Anomalous int      `json:"anomalous,omitempty"`
	Trained   *float32 `json:"trained"` // threshold that training had set; nil for none

	// What was measured then: of good images alone the share above the threshold, of
	// labelled ones all. Nil where there were none.
	FalseReject *calibrate.Share `json:"false_reject,omitempty"`
	Measured    *Evaluation      `json:"measured,omitempty"`
	Unlike      *calibrate.Share `json:"unlike,omitempty"` // of the images, as runtime.Result says

	// How images were scored: others say nothing of scores that come about otherwise.
	MinArea int  `json:"min_area,omitempty"` // 0 for none
	Zones   bool `json:"zones,omitempty"`
}

// ReadCalibration reads it from a model's metadata; nil where the threshold is that of
// training, or nothing is said.
func ReadCalibration(metadata map[string]string) *Calibration {
	var c Calibration
	if json.Unmarshal([]byte(metadata[onnx.KeyCalibration]), &c) != nil {
		return nil
	}
	return &c
}

// Given is the Calibration of a threshold that was given by hand: nil if it is the one
// that training had set, nil for none.
func Given(threshold float32, trained *float32) *Calibration {
	if trained != nil && *trained == threshold {
		return nil
	}
	return &Calibration{Rule: RuleGiven, Trained: trained}
}

// Store puts it into a model's metadata; nil removes what is there.
func (c *Calibration) Store(metadata map[string]string) error {
	if c == nil {
		delete(metadata, onnx.KeyCalibration)
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("judge: calibration: %w", err)
	}
	metadata[onnx.KeyCalibration] = string(b)
	return nil
}

// ForgetScores leaves out what was measured, where images are scored otherwise now.
func (c *Calibration) ForgetScores() { c.FalseReject, c.Measured, c.Unlike = nil, nil, nil }

// Source says in words what the threshold of a file rests on, "" where nothing says.
func Source(t *Training, c *Calibration) string {
	switch {
	case c == nil && (t == nil || t.HeldBack == 0):
		return ""
	case c == nil:
		return fmt.Sprintf("from scores of %s held back", countOf(t.HeldBack, "good image"))
	case c.Rule == RuleFalseReject:
		return fmt.Sprintf("calibrated from %s, to reject %s of them", countOf(c.Good, "good image"), percent(c.Target))
	case c.Rule == RuleMax:
		return fmt.Sprintf("calibrated, the largest score of %s", countOf(c.Good, "good image"))
	case c.Rule == RuleF1:
		return fmt.Sprintf("calibrated for the best F1 of %d good and %s", c.Good, countOf(c.Anomalous, "anomalous image"))
	case c.Rule == RuleRecall:
		return fmt.Sprintf("calibrated to find %s of %s", percent(c.Target), countOf(c.Anomalous, "anomalous image"))
	}
	return "given by hand"
}
