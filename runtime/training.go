package runtime

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

// TrainingScores are what the metadata of a model says of its scores of images
// that it was not trained on. They are raw scores, as the metadata's threshold
// is, whatever the profile.
type TrainingScores struct {
	Good      int       // images of good parts that were scored; 0 where it is not known
	Levels    []float64 // of Quantiles, in [0,1], ascending; nil where the file has none
	Quantiles []float64 // of those scores
	// Pseudo are the scores of artificial defects on such images, ascending: what
	// share of them a threshold finds is calibrate.ShareAbove's to say. Nil where
	// the file has none.
	Pseudo []float64
	AUROC  float64 // of Pseudo against the good images' scores; 0 without any
}

// ReadTrainingScores reads them from a model's metadata, as [ModelInfo] and
// [Description] have it. What is absent is left out; what is damaged is an ErrModel.
func ReadTrainingScores(metadata map[string]string) (*TrainingScores, error) {
	t := &TrainingScores{}
	var normal struct{ Levels, Score []float64 }
	var pseudo []float32 // as they are written, to the last bit of what a threshold is held against
	for key, into := range map[string]any{onnx.KeyNormalCount: &t.Good, onnx.KeyNormalQuantiles: &normal, onnx.KeyPseudoScores: &pseudo, onnx.KeyPseudoAUROC: &t.AUROC} {
		if s, ok := metadata[key]; ok {
			if err := json.Unmarshal([]byte(s), into); err != nil {
				return nil, fmt.Errorf("%w: metadata %s: got %q: %w", ErrModel, key, s, err)
			}
		}
	}
	for _, s := range pseudo {
		t.Pseudo = append(t.Pseudo, float64(s))
	}
	if normal.Score != nil {
		t.Levels, t.Quantiles = normal.Levels, normal.Score
	}
	ascending := slices.IsSorted(t.Pseudo) && slices.IsSorted(t.Levels) && slices.IsSorted(t.Quantiles)
	if !ascending || len(t.Levels) != len(t.Quantiles) || t.Good < 0 || !(t.AUROC >= 0 && t.AUROC <= 1) {
		return nil, fmt.Errorf("%w: metadata: scores of training got %+v, want ascending numbers, as many quantiles as levels, and an AUROC in [0,1]", ErrModel, *t)
	}
	return t, nil
}
