package calibrate

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func mustGood(t *testing.T, scores []float64, falseReject float64, rule Rule) Calibration {
	t.Helper()
	c, err := FromGood(scores, falseReject, rule)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFromGood(t *testing.T) {
	var scores []float64
	for i := range 100 {
		scores = append(scores, .2+float64((i*37)%100)/1000)
	}
	c := mustGood(t, scores, .01, Max)
	if c.Threshold != float32(.299) && float64(c.Threshold) != .299 && !(float64(c.Threshold) >= .299 && float64(c.Threshold) < .2990001) {
		t.Errorf("max: got %v, want .299", c.Threshold)
	}
	if want := 1 - math.Pow(.05, 1./100); math.Abs(c.Bound-want) > 1e-9 {
		t.Errorf("bound: got %v, want %v", c.Bound, want)
	}
	// Fewer images, wider margin; a smaller rate, a higher threshold.
	all, few := mustGood(t, scores, .01, Rate), mustGood(t, scores[:8], .01, Rate)
	if margin := func(c Calibration) float64 { return float64(c.Threshold) / c.Scores[len(c.Scores)-1] }; !(margin(few) > margin(all)) || !(margin(all) > .99) {
		t.Errorf("got margins %v for 8 and %v for 100 images", margin(few), margin(all))
	}
	if loose := mustGood(t, scores, .2, Rate); !(loose.Threshold < all.Threshold) {
		t.Errorf("got %v for a fifth and %v for a hundredth", loose.Threshold, all.Threshold)
	}
	if s := all.String(); !strings.Contains(s, "100 good images") || !strings.Contains(s, "95 % confidence") {
		t.Errorf("got %q", s)
	}
}

// The prediction bound of logarithms with mean 0 and deviation 1 from n=5:
// t(0.95, 4) = 2.131847, times sqrt(1+1/5).
func TestRateRuleGolden(t *testing.T) {
	logs := []float64{-1.2649110640673518, -.6324555320336759, 0, .6324555320336759, 1.2649110640673518}
	var scores []float64
	for _, l := range logs {
		scores = append(scores, math.Exp(l))
	}
	want := math.Exp(2.131846786 * math.Sqrt(1.2))
	if got := mustGood(t, scores, .05, Rate).Threshold; math.Abs(float64(got)-want) > 1e-5*want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// One score that lies out is among those that a tenth of 7 lets be rejected; of a
// hundredth it is not.
func TestRateRuleOutlier(t *testing.T) {
	scores := []float64{22.3, 26, 26.3, 26.4, 26.9, 27.6, 33.8}
	if got := mustGood(t, scores, .1, Rate).Threshold; !(got > 27.6 && got < 30.1) {
		t.Errorf("a tenth: got %v, want the quantile, between the two largest", got)
	}
	if got := mustGood(t, scores, .01, Rate).Threshold; !(got > 33.8) {
		t.Errorf("a hundredth: got %v, want more than the largest", got)
	}
}

// From 299 scores on no distribution is assumed: of 1000 scores 4 may exceed the
// threshold for the rate to be below 1 % with 95 % confidence (5: 1.05 %), however
// far the largest lie out.
func TestRateRuleWithManyScores(t *testing.T) {
	var scores []float64
	for i := range 1000 {
		scores = append(scores, math.Exp(float64(i%100)/10)) // far from normal in logarithms
	}
	scores[0], scores[1], scores[2], scores[3], scores[4] = 1e9, 1e8, 1e7, 1e6, 5e5
	c := mustGood(t, scores, .01, Rate)
	if c.Threshold != 5e5 || !(c.Bound <= .01) {
		t.Errorf("got threshold %v with bound %v, want 5e5 and at most 0.01", c.Threshold, c.Bound)
	}
}

// Scores of zero have no logarithm: the quantile alone decides.
func TestFromGoodZeroScores(t *testing.T) {
	if c := mustGood(t, []float64{0, 0, 0}, .01, Rate); c.Threshold != 0 {
		t.Errorf("got %v, want 0", c.Threshold)
	}
}

// TestThresholdKeepsItsPromises draws the scores of good images from distributions whose
// true false-reject rates are known and counts how often the promises are broken.
func TestThresholdKeepsItsPromises(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logNormal := distuv.LogNormal{Mu: -1, Sigma: .3, Src: rng}
	pareto := distuv.Pareto{Xm: .1, Alpha: 2, Src: rng} // far from log-normal
	for _, c := range []struct {
		name   string
		n      int
		rate   float64
		draw   interface{ Rand() float64 }
		tail   func(float64) float64
		isNorm bool
	}{
		{"few, log-normal", 8, .01, logNormal, logNormal.Survival, true},
		{"few that lose one, log-normal", 8, .1, logNormal, logNormal.Survival, true},
		{"nearly enough, log-normal", 28, .1, logNormal, logNormal.Survival, true},
		{"some, log-normal", 100, .01, logNormal, logNormal.Survival, true},
		{"some, Pareto", 100, .05, pareto, pareto.Survival, false},
		{"many, Pareto", 299, .01, pareto, pareto.Survival, false},
		{"more, Pareto", 1000, .01, pareto, pareto.Survival, false},
	} {
		const trials = 1000
		// What a share of 5 % of so many trials reaches in one of a thousand tests.
		const most = .05 + 3.1*.0069
		var sum, overBound, overTarget float64
		for range trials {
			scores := make([]float64, c.n)
			for i := range scores {
				scores[i] = c.draw.Rand()
			}
			cal := mustGood(t, scores, c.rate, Rate)
			rate := c.tail(float64(cal.Threshold))
			sum += rate / trials
			if rate > cal.Bound {
				overBound += 1. / trials
			}
			if rate > c.rate {
				overTarget += 1. / trials
			}
		}
		if overBound > most {
			t.Errorf("%s: the rate is above what is said with 95 %% confidence in %.1f %% of all trials", c.name, 100*overBound)
		}
		if enough := upperBound(0, c.n) <= c.rate; enough && overTarget > most {
			t.Errorf("%s: the rate is above the target in %.1f %% of all trials, want 5", c.name, 100*overTarget)
		}
		// The prediction bound meets its rate on average; its error is below a fifth
		// here, and the quantile, which it is never below, only lowers the rate.
		if want := min(c.rate, 1/float64(c.n+1)); c.isNorm && (sum > 1.2*want || sum < .6*want) {
			t.Errorf("%s: got a rate of %.2f %% on average, want %.2f", c.name, 100*sum, 100*want)
		}
	}
}

// Enough scores are enough, one fewer are not.
func TestEnough(t *testing.T) {
	for rate, want := range map[float64]int{.01: 299, .05: 59, .1: 29, .5: 5} {
		if got := Enough(rate); got != want || upperBound(0, got) > rate || upperBound(0, got-1) <= rate {
			t.Errorf("rate %v: got %d with bound %v, want %d", rate, got, upperBound(0, got), want)
		}
	}
}

func TestFromGoodChecks(t *testing.T) {
	scores := []float64{.3, .1, .2}
	c, err := FromGood(scores, 0, Max)
	if err != nil || c.Threshold != float32(.3) && c.Threshold != math.Nextafter32(.3, 1) || c.FalseReject != DefaultFalseReject {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := FromGood(scores, .2, ""); err != nil || c.Threshold != mustGood(t, scores, .2, Rate).Threshold || c.Rule != Rate {
		t.Errorf("got %+v, %v", c, err)
	}
	for want, err := range map[string]error{
		"false-reject rate: got 1":                 fail(FromGood(scores, 1, "")),
		`threshold rule: got "p95"`:                fail(FromGood(scores, .1, "p95")),
		"got 1 of good images, want two or more":   fail(FromGood(scores[:1], .1, "")),
		"scores: got NaN at 1, want finite number": fail(FromGood([]float64{1, math.NaN()}, .1, "")),
	} {
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func fail[T any](_ T, err error) error { return err }
