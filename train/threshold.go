package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/metrics"
	"github.com/anomaly-go/anomaly/models"
)

// Calibrate sets a threshold from scores of two or more good images that the
// network did not train on. A rate of 0 and the rule "" are the defaults of [Settings].
func Calibrate(good []float64, falseReject float64, rule ThresholdRule) (Calibration, error) {
	s := Settings{FalseReject: falseReject, ThresholdRule: rule}
	if err := s.Validate(); err != nil {
		return Calibration{}, err
	}
	if err := checkScores(good); err != nil {
		return Calibration{}, err
	}
	if len(good) < 2 {
		return Calibration{}, fmt.Errorf("%w: scores: got %d of good images, want two or more", ErrSettings, len(good))
	}
	s = s.withDefaults(models.Spec{})
	return calibrate(good, s.FalseReject, s.ThresholdRule), nil
}

// F1Threshold returns the threshold at which score > threshold has the best F1
// score: of several, between the highest pair of neighbouring scores that do.
// Scores are float32 values.
func F1Threshold(good, anomalous []float64) (float32, error) {
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

// RecallThreshold returns the highest threshold, between neighbouring scores, at
// which the share recall, in (0,1], of the anomalous images scores above it.
// Scores are float32 values.
func RecallThreshold(good, anomalous []float64, recall float64) (float32, error) {
	scores, _, err := labelled(good, anomalous)
	if err != nil {
		return 0, err
	}
	if !(recall > 0 && recall <= 1) {
		return 0, fmt.Errorf("%w: recall: got %v, want more than 0, at most 1", ErrSettings, recall)
	}
	n := len(anomalous)
	if n == 0 {
		return 0, fmt.Errorf("%w: recall: got no anomalous images", ErrSettings)
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
	scores = slices.Concat(good, anomalous)
	labels = make([]bool, len(scores))
	for i := len(good); i < len(labels); i++ {
		labels[i] = true
	}
	return scores, labels, checkScores(scores)
}

func checkScores(scores []float64) error {
	for i, s := range scores {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return fmt.Errorf("%w: scores: got %v at %d, want finite numbers", ErrSettings, s, i)
		}
	}
	return nil
}

// Confidence of the bounds in a [Share] and a [Calibration], one-sided.
const Confidence = .95

// A Share says of how many scores how many are above a threshold.
type Share struct {
	Above int     `json:"above"`
	Of    int     `json:"of"`
	Share float64 `json:"share"`
	// AtMost and AtLeast are Clopper and Pearson's bounds of the share among all
	// such images, each with the confidence of Confidence (The use of confidence
	// or fiducial limits, Biometrika 1934). They hold for images that the
	// threshold was not chosen from.
	AtMost  float64 `json:"at_most"`
	AtLeast float64 `json:"at_least"`
}

// ShareAbove counts the scores, at least one, above a threshold.
func ShareAbove(threshold float32, scores []float64) Share {
	s := Share{Of: len(scores)}
	for _, x := range scores {
		if x > float64(threshold) {
			s.Above++
		}
	}
	s.Share = float64(s.Above) / float64(s.Of)
	s.AtMost = clopperPearson(s.Above, s.Of, Confidence)
	s.AtLeast = 1 - clopperPearson(s.Of-s.Above, s.Of, Confidence)
	return s
}
