package calibrate

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/metrics"
)

// F1 returns the threshold at which score > threshold has the best F1
// score: of several, between the highest pair of neighbouring scores that do.
// Scores are float32 values.
func F1(good, anomalous []float64) (float32, error) {
	scores, labels, err := labelled(good, anomalous)
	if err != nil {
		return 0, err
	}
	_, lowest, err := metrics.F1Max(scores, labels)
	if err != nil {
		return 0, err
	}
	return below(lowest, scores), nil
}

// Recall returns the highest threshold, between neighbouring scores, at
// which the share recall, in (0,1], of the anomalous images scores above it.
// Scores are float32 values.
func Recall(good, anomalous []float64, recall float64) (float32, error) {
	scores, _, err := labelled(good, anomalous)
	if err != nil {
		return 0, err
	}
	if !(recall > 0 && recall <= 1) {
		return 0, fmt.Errorf("%w: recall: got %v, want more than 0, at most 1", ErrInput, recall)
	}
	n := len(anomalous)
	if n == 0 {
		return 0, fmt.Errorf("%w: recall: got no anomalous images", ErrInput)
	}
	found := 1 // the fewest that are enough
	for float64(found)/float64(n) < recall {
		found++
	}
	return below(slices.Sorted(slices.Values(anomalous))[n-found], scores), nil
}

// below returns a threshold that score is above, strictly, and no smaller one of
// scores is: in the middle between the two.
func below(score float64, scores []float64) float32 {
	next := math.Inf(-1)
	for _, s := range scores {
		if s < score {
			next = max(next, s)
		}
	}
	if math.IsInf(next, -1) {
		return math.Nextafter32(float32(score), float32(next))
	}
	t := float32(next + (score-next)/2)
	if float64(t) >= score { // neighbours among float32
		t = float32(next)
	}
	return t
}

func labelled(good, anomalous []float64) (scores []float64, labels []bool, err error) {
	scores, labels = metrics.Labelled(good, anomalous)
	return scores, labels, checkScores(scores)
}

func checkScores(scores []float64) error {
	for i, s := range scores {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("%w: scores: got %v at %d, want finite numbers", ErrInput, s, i)
		}
	}
	return nil
}
