package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/corrupt"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/metrics"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// PseudoDefects say how a network scores artificial defects, which stand for real
// ones where there are none: images that it was not trained on, those whose scores
// the threshold is set from, with one defect each that [corrupt.Generator.Defect]
// makes. Real ones may be easier to find or harder; a detector that does not find
// these finds little. They flatter one that is trained on corrupted images, which
// has seen their like.
type PseudoDefects struct {
	Scores []float64 // ascending; none where nothing that was tried could be seen on the images
	AUROC  float64   // of the scores against those of the images without a defect; 0 without any
}

// pseudoDefects is how many are made: so many tell a share to within a tenth, and
// scoring them takes seconds.
const pseudoDefects = 96

// newPseudoDefects completes what the stages' networks gave.
func newPseudoDefects(scores, good []float64) (PseudoDefects, error) {
	p := PseudoDefects{Scores: slices.Sorted(slices.Values(scores))}
	if len(scores) == 0 {
		return p, nil
	}
	anomalous := make([]bool, len(good)+len(scores))
	for i := range scores {
		anomalous[len(good)+i] = true
	}
	var err error
	if p.AUROC, err = metrics.AUROC(slices.Concat(good, scores), anomalous); err != nil {
		return p, fmt.Errorf("train: %w", err)
	}
	return p, nil
}

// Found says what share of the defects a threshold finds.
func (p *PseudoDefects) Found(threshold float32) calibrate.Share {
	return calibrate.ShareAbove(threshold, p.Scores)
}

// defectsOf returns how many of pseudoDefects a stage has: each of the images that
// it holds back has as many as any other, or one at most.
func (t *trainer) defectsOf(stage int) int {
	all := 0
	for _, s := range t.stages {
		all += len(s.heldBack)
	}
	return (pseudoDefects*len(t.stages[stage].heldBack) + all - 1) / all
}

// prepareDefects makes the generator of pseudo-defects, of no more images than get one.
func (t *trainer) prepareDefects() error {
	var pixels []uint8
	t.defective = map[int]int{}
	for i, s := range t.stages {
		for _, image := range s.heldBack[:min(len(s.heldBack), t.defectsOf(i))] {
			t.defective[image] = len(t.defective)
			pixels = append(pixels, t.data.Pixels[image*t.size:][:t.size]...)
		}
	}
	var err error
	if t.defects, err = corrupt.New(pixels, t.height, t.width, t.channels, &corrupt.Options{Seed: t.settings.Seed}); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	return nil
}

// scorePseudo scores a stage's pseudo-defects, on the images that it holds back.
func (t *trainer) scorePseudo(ctx context.Context, det *anrt.Detector, stage int) ([]float64, error) {
	if t.keep || min(t.height, t.width) < corrupt.LeastSide {
		return nil, nil
	}
	if t.defects == nil {
		if err := t.prepareDefects(); err != nil {
			return nil, err
		}
	}
	held := t.stages[stage].heldBack
	made := make([][]uint8, t.defectsOf(stage))
	parallel.Each(len(made), func(i int) {
		pixels := make([]uint8, t.size)
		if t.defects.Defect(pixels, nil, t.defective[held[i%len(held)]], uint64(i/len(held))) {
			made[i] = pixels
		}
	})
	made = slices.DeleteFunc(made, func(pixels []uint8) bool { return pixels == nil })
	return scores(ctx, det, len(made), func(i int) []uint8 { return made[i] })
}
