package train

import (
	"cmp"
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
	var err error
	if p.AUROC, err = metrics.AUROC(metrics.Labelled(good, scores)); err != nil {
		return p, fmt.Errorf("train: %w", err)
	}
	return p, nil
}

// Found says what share of the defects a threshold finds.
func (p *PseudoDefects) Found(threshold float32) calibrate.Share {
	return calibrate.ShareAbove(threshold, p.Scores)
}

// scorePseudo scores a stage's share of pseudoDefects, on the images that it holds
// back: each as often as any other, or once.
func (t *trainer) scorePseudo(ctx context.Context, det *anrt.Detector, stage int) ([]float64, error) {
	made, err := t.makePseudo(stage)
	if err != nil {
		return nil, err
	}
	return scores(ctx, det, len(made), func(i int) []uint8 { return made[i].pixels })
}

// A pseudo is a row of the data with a defect.
type pseudo struct {
	row    int
	pixels []uint8 // [H,W,C]
}

// makePseudo makes a stage's share of pseudoDefects.
func (t *trainer) makePseudo(stage int) ([]pseudo, error) {
	held := t.stages[stage].heldBack
	if t.keep || min(t.height, t.width) < corrupt.LeastSide {
		return nil, nil
	}
	if t.defects = cmp.Or(t.defects, t.corrupt); t.defects == nil {
		region, err := t.region()
		if err != nil {
			return nil, err
		}
		if t.defects, err = corrupt.New(t.data.Pixels, t.height, t.width, t.channels, &corrupt.Options{Seed: t.settings.Seed, Region: region}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSettings, err)
		}
	}
	all := 0
	for _, s := range t.stages {
		all += len(s.heldBack)
	}
	n := (pseudoDefects*len(held) + all - 1) / all
	made := make([]pseudo, n)
	parallel.Each(n, func(i int) {
		row := held[i%len(held)]
		if t.first != nil && n < len(held) { // of all images, whose tiles lie side by side
			row = held[i*len(held)/n]
		}
		pixels := make([]uint8, t.size)
		if t.defects.Defect(pixels, nil, row, uint64(i/len(held))) {
			made[i] = pseudo{row, pixels}
		}
	})
	return slices.DeleteFunc(made, func(p pseudo) bool { return p.pixels == nil }), nil
}
