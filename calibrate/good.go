package calibrate

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// ErrInput is wrapped by the errors for scores, rates and rules that no threshold
// can be set from.
var ErrInput = errors.New("calibrate")

// A Rule says how a threshold is set from the scores of good images.
type Rule string

const (
	// Rate sets the threshold for a target false-reject rate. With enough
	// scores (299 for a rate of 1 %, 29 for 10 %) it is the score that, with 95 %
	// confidence, so few good images exceed, whatever the distribution (Hahn and
	// Meeker, Statistical Intervals, section 5.3). With n, which are fewer, it is
	// the prediction bound for one more good image, the logarithms of the scores
	// taken as normal (section 4.8), at that rate or the largest score's, 1/(n+1),
	// whichever is less. As many scores as that rate lets be rejected do not widen
	// it at either end: it is of the trimmed mean and the winsorised deviation
	// (Tukey and McLaughlin, Sankhyā A 25, 1963), and never below the quantile of
	// the scores themselves.
	Rate Rule = "rate"
	// Max takes the largest score of a good image.
	Max Rule = "max"
)

// DefaultFalseReject is the rate that [Rate] aims at unless told otherwise. It is
// kept with confidence, so that from 200 scores 6 % are rejected, from 90 3 %;
// aiming lower, at rates that so few images do not tell, gives thresholds that few
// defects exceed.
const DefaultFalseReject = .1

// A Calibration is a threshold and what it rests on.
type Calibration struct {
	Threshold   float32 `json:"threshold"` // a score above it is anomalous
	Rule        Rule    `json:"rule"`
	FalseReject float64 `json:"false_reject"` // the target
	// Bound is the false-reject rate that the threshold stays below with 95 %
	// confidence whatever the scores' distribution: 1-0.05^(1/n) if none of the n
	// scores exceeds it (Clopper and Pearson).
	Bound  float64   `json:"bound"`
	Scores []float64 `json:"scores"` // of good images the network did not train on, ascending
}

// FromGood sets a threshold from the scores of two or more good images that the
// network did not train on. falseReject is in (0,1), 0 for [DefaultFalseReject];
// the rule "" is [Rate].
func FromGood(scores []float64, falseReject float64, rule Rule) (Calibration, error) {
	if falseReject == 0 {
		falseReject = DefaultFalseReject
	}
	if rule == "" {
		rule = Rate
	}
	n := len(scores)
	switch {
	case rule != Rate && rule != Max:
		return Calibration{}, fmt.Errorf("%w: threshold rule: got %q, want %q or %q", ErrInput, rule, Rate, Max)
	case !(falseReject > 0 && falseReject < 1):
		return Calibration{}, fmt.Errorf("%w: false-reject rate: got %v, want a number between 0 and 1", ErrInput, falseReject)
	case n < 2:
		return Calibration{}, fmt.Errorf("%w: scores: got %d of good images, want two or more", ErrInput, n)
	}
	if err := checkScores(scores); err != nil {
		return Calibration{}, err
	}
	s := slices.Sorted(slices.Values(scores))
	c := Calibration{Rule: rule, FalseReject: falseReject, Scores: s}
	threshold := s[n-1]
	if rule == Rate && upperBound(0, n) <= falseReject {
		above := 0
		for upperBound(above+1, n) <= falseReject {
			above++
		}
		threshold = s[n-1-above]
	} else if rule == Rate {
		// One score more, and the largest may be the threshold: no cliff lies there.
		rate := min(falseReject, 1/float64(n+1))
		threshold = max(Quantile(s, 1-rate), predictionBound(s, rate))
	}
	c.Threshold = float32(threshold)
	if float64(c.Threshold) < threshold { // rounding must not reject the largest score itself
		c.Threshold = math.Nextafter32(c.Threshold, math.MaxFloat32)
	}
	c.Bound = ShareAbove(c.Threshold, s).AtMost
	return c, nil
}

// Enough returns how many scores of good images it takes, none of them above a
// threshold, to be sure that it rejects a share in (0,1) at most.
func Enough(falseReject float64) int {
	return int(math.Ceil(math.Log(1-Confidence) / math.Log1p(-falseReject)))
}

// predictionBound returns what one more of the ascending scores exceeds at that
// rate, their logarithms taken as normal; -Inf where one has none. Of 7 to 28
// scores, a tenth of which may be rejected, one that lies out would otherwise raise
// it above what most defects have.
func predictionBound(scores []float64, rate float64) float64 {
	logs := make([]float64, len(scores))
	for i, x := range scores {
		if x <= 0 {
			return math.Inf(-1)
		}
		logs[i] = math.Log(x)
	}
	n := len(scores)
	cut := min(int(rate*float64(n)+.5), n/4) // at each end
	mean := stat.Mean(logs[cut:n-cut], nil)
	for i := range cut {
		logs[i], logs[n-1-i] = logs[cut], logs[n-1-cut]
	}
	left := float64(n - 2*cut)
	sd := stat.StdDev(logs, nil) * math.Sqrt(float64(n-1)/(left-1))
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: left - 1}.Quantile(1 - rate)
	return math.Exp(mean + t*sd*math.Sqrt(1+1/left))
}

// String says what the threshold is and how sure.
func (c Calibration) String() string {
	n := len(c.Scores)
	target := fmt.Sprintf("meant to reject %.3g %% of good images", 100*c.FalseReject)
	if c.Rule == Max {
		target = "the largest of them"
	}
	return fmt.Sprintf("threshold %.6g, %s, from the scores of %d good images held back (median %.6g, largest %.6g); with 95 %% confidence it rejects fewer than %.1f %%",
		c.Threshold, target, n, Quantile(c.Scores, .5), c.Scores[n-1], 100*c.Bound)
}

// Quantile returns the p-quantile of ascending xs, linear between order statistics.
func Quantile(xs []float64, p float64) float64 {
	at := p * float64(len(xs)-1)
	i := int(at)
	if i+1 >= len(xs) {
		return xs[len(xs)-1]
	}
	return xs[i] + (at-float64(i))*(xs[i+1]-xs[i])
}
