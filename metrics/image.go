package metrics

import (
	"fmt"
	"math"
	"slices"
)

// Labelled returns the scores of good and anomalous samples as [AUROC] takes them: the
// good ones first, which of them are anomalous beside.
func Labelled(good, anomalous []float64) (scores []float64, are []bool) {
	return slices.Concat(good, anomalous), slices.Concat(make([]bool, len(good)), slices.Repeat([]bool{true}, len(anomalous)))
}

// AUROC returns the area under the ROC curve, in [0,1], of scores[i] for
// samples that are anomalous where anomalous[i] is true: the probability that an
// anomalous sample outscores a good one, ties counting one half.
//
// Like AveragePrecision and F1Max it fails where the lengths differ, a score is
// NaN, or samples of one class are missing (ErrOneClass).
func AUROC(scores []float64, anomalous []bool) (float64, error) {
	s, err := newSweep(scores, anomalous)
	if err != nil {
		return 0, err
	}
	return s.auroc(), nil
}

// AveragePrecision returns the area under the precision-recall curve, in (0,1],
// as the sum over thresholds of precision times the recall gained there, with
// no interpolation (scikit-learn's average_precision_score).
func AveragePrecision(scores []float64, anomalous []bool) (float64, error) {
	s, err := newSweep(scores, anomalous)
	if err != nil {
		return 0, err
	}
	return s.averagePrecision(), nil
}

// F1Max returns the best F1 score, in (0,1], over all thresholds, and the
// highest threshold that reaches it. It is one of the scores, and the verdict it
// stands for is score >= threshold; for a strict score > t take a t between it
// and the next lower score.
func F1Max(scores []float64, anomalous []bool) (f1, threshold float64, err error) {
	s, err := newSweep(scores, anomalous)
	if err != nil {
		return 0, 0, err
	}
	f1, threshold = s.f1Max()
	return f1, threshold, nil
}

func newSweep(scores []float64, anomalous []bool) (sweep, error) {
	if len(scores) != len(anomalous) {
		return sweep{}, fmt.Errorf("metrics: got %d scores and %d labels, want as many of each", len(scores), len(anomalous))
	}
	type sample struct {
		score float64
		bad   bool
	}
	var s sweep
	samples := make([]sample, len(scores))
	for i, v := range scores {
		if math.IsNaN(v) {
			return sweep{}, fmt.Errorf("metrics: score %d is NaN", i)
		}
		samples[i] = sample{v, anomalous[i]}
		if anomalous[i] {
			s.bad++
		} else {
			s.good++
		}
	}
	if s.good == 0 || s.bad == 0 {
		return sweep{}, fmt.Errorf("metrics: got %d good and %d anomalous samples: %w", s.good, s.bad, ErrOneClass)
	}
	slices.SortFunc(samples, func(a, b sample) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	s.steps = func(yield func(step) bool) {
		for i := 0; i < len(samples); {
			st := step{score: samples[i].score}
			for ; i < len(samples) && samples[i].score == st.score; i++ {
				if samples[i].bad {
					st.bad++
				} else {
					st.good++
				}
			}
			if !yield(st) {
				return
			}
		}
	}
	return s, nil
}
