package judge

import (
	"encoding/json"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// Training is what a model's metadata says of how it came about. What it does not
// say is zero.
type Training struct {
	Model       string  // name of the network
	Images      int     // it was trained on, with those that were held back
	HeldBack    int     // good images that training set the threshold from, by scores of networks that had not seen them
	FalseReject float64 // that the threshold was set for, unless Rule is [calibrate.Max]
	Rule        calibrate.Rule
	Epochs      int
	// LateFall is the share of all that the loss fell by, in [0,1], that it fell by in the second half.
	LateFall float64

	Levels, Scores []float64 // quantiles of the good images' scores
	Pseudo         []float64 // scores of pseudo-defects on them, ascending
	PseudoAUROC    float64   // of those against these

	Width, Height         int // pixels, of the usual image
	SeenWidth, SeenHeight int // that it is brought to
}

// ReadTraining reads it from a model's metadata; nil where there is nothing, as of
// models of other tools. What cannot be read is left out.
func ReadTraining(metadata map[string]string) *Training {
	if metadata[onnx.KeyDataHash] == "" {
		return nil
	}
	t := &Training{}
	read := func(key string, into any) { json.Unmarshal([]byte(metadata[key]), into) }
	var spec struct {
		Model         string `json:"model"`
		Height, Width int
	}
	read(onnx.KeyModel, &spec)
	t.Model, t.SeenHeight, t.SeenWidth = spec.Model, spec.Height, spec.Width
	var settings struct {
		FalseReject float64        `json:"false_reject"`
		Rule        calibrate.Rule `json:"threshold_rule"`
	}
	read(onnx.KeySettings, &settings)
	t.FalseReject, t.Rule = settings.FalseReject, settings.Rule
	if normal := onnx.ReadNormal(metadata); len(normal.Levels) == len(normal.Score) {
		t.Levels, t.Scores = normal.Levels, normal.Score
	}
	read(onnx.KeyDataImages, &t.Images)
	read(onnx.KeyNormalCount, &t.HeldBack)
	read(onnx.KeyEpoch, &t.Epochs)
	read(onnx.KeyLateFall, &t.LateFall)
	read(onnx.KeyPseudoScores, &t.Pseudo)
	read(onnx.KeyPseudoAUROC, &t.PseudoAUROC)
	t.Width, t.Height = onnx.DataSize(metadata)
	return t
}

// FileEvidence returns what a model's metadata tell of it at a threshold, nil for none.
func FileEvidence(metadata map[string]string, threshold *float32) *Evidence {
	e := &Evidence{Threshold: threshold, Training: ReadTraining(metadata), Calibration: ReadCalibration(metadata)}
	if e.Training != nil && metadata[onnx.KeyProfile] == onnxexport.Anomalib.String() {
		e.Training.ForgetScores() // which are not normalised as the threshold is
	}
	return e
}

// ForgetScores leaves out the scores, where they are not such as the threshold is
// compared with: those of another map, or with areas left out.
func (t *Training) ForgetScores() { t.Levels, t.Scores, t.Pseudo = nil, nil, nil }

// Asked is the share of good images that training set the threshold to reject, of nil and
// where nothing says the default.
func (t *Training) Asked() float64 {
	if t != nil && t.FalseReject > 0 {
		return t.FalseReject
	}
	return calibrate.DefaultFalseReject
}

// better is what to try for a better detector.
func (t *Training) better() string {
	switch {
	case t == nil || t.Model == "":
		return "train one with anomaly train on images of these parts"
	case t.Model != "features":
		return "train with the default network: leave out --model"
	}
	return "try --preset best or a larger --size, and more images of good parts"
}

// largest returns the largest of the good images' scores, if it is known.
func (t *Training) largest() (score float64, known bool) {
	if len(t.Scores) == 0 {
		return 0, false
	}
	return t.Scores[len(t.Scores)-1], true
}

// above returns the share of the held-back good images that are above a threshold, nil
// for none, at the least: what the next quantile above it tells. Between two quantiles
// scores may lie anywhere.
func (t *Training) above(threshold *float32) float64 {
	if threshold == nil {
		return 0
	}
	for i, s := range t.Scores {
		if s > float64(*threshold) {
			return 1 - t.Levels[i]
		}
	}
	return 0
}
