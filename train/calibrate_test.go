package train

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func TestCalibrate(t *testing.T) {
	var scores []float64
	for i := range 100 {
		scores = append(scores, .2+float64((i*37)%100)/1000)
	}
	c := calibrate(scores, .01, RuleMax)
	if c.Threshold != float32(.299) && float64(c.Threshold) != .299 && !(float64(c.Threshold) >= .299 && float64(c.Threshold) < .2990001) {
		t.Errorf("max: got %v, want .299", c.Threshold)
	}
	if want := 1 - math.Pow(.05, 1./100); math.Abs(c.Bound-want) > 1e-9 {
		t.Errorf("bound: got %v, want %v", c.Bound, want)
	}
	// Fewer images, wider margin; a smaller rate, a higher threshold.
	all, few := calibrate(scores, .01, RuleRate), calibrate(scores[:8], .01, RuleRate)
	if margin := func(c Calibration) float64 { return float64(c.Threshold) / c.Scores[len(c.Scores)-1] }; !(margin(few) > margin(all)) || !(margin(all) > .99) {
		t.Errorf("got margins %v for 8 and %v for 100 images", margin(few), margin(all))
	}
	if loose := calibrate(scores, .2, RuleRate); !(loose.Threshold < all.Threshold) {
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
	if got := calibrate(scores, .05, RuleRate).Threshold; math.Abs(float64(got)-want) > 1e-5*want {
		t.Errorf("got %v, want %v", got, want)
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
	c := calibrate(scores, .01, RuleRate)
	if c.Threshold != 5e5 || !(c.Bound <= .01) {
		t.Errorf("got threshold %v with bound %v, want 5e5 and at most 0.01", c.Threshold, c.Bound)
	}
}

// Scores of zero have no logarithm: the quantile alone decides.
func TestCalibrateZeroScores(t *testing.T) {
	if c := calibrate([]float64{0, 0, 0}, .01, RuleRate); c.Threshold != 0 {
		t.Errorf("got %v, want 0", c.Threshold)
	}
}

func TestClopperPearson(t *testing.T) {
	// R: binom.test(2, 50, alternative="less")$conf.int[2]
	if got := clopperPearson(2, 50, .95); math.Abs(got-0.1206219) > 1e-5 {
		t.Errorf("got %v, want 0.12062", got)
	}
	if got := clopperPearson(5, 5, .95); got != 1 {
		t.Errorf("got %v, want 1", got)
	}
}

func TestBrightnessAndSharpness(t *testing.T) {
	flat := make([]uint8, 5*5*3)
	for i := range flat {
		flat[i] = 51
	}
	if b, s := brightnessAndSharpness(flat, 5, 5, 3); math.Abs(b-.2) > 1e-12 || s != 0 {
		t.Errorf("flat: got %v, %v, want 0.2, 0", b, s)
	}
	board := make([]uint8, 4*4)
	for i := range board {
		board[i] = uint8(255 * ((i/4 + i) % 2))
	}
	if b, s := brightnessAndSharpness(board, 4, 4, 1); math.Abs(b-.5) > 1e-12 || s != 1 {
		t.Errorf("chess board: got %v, %v, want 0.5, 1", b, s)
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
			cal := calibrate(scores, c.rate, RuleRate)
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
		if enough := clopperPearson(0, c.n, Confidence) <= c.rate; enough && overTarget > most {
			t.Errorf("%s: the rate is above the target in %.1f %% of all trials, want 5", c.name, 100*overTarget)
		}
		// The prediction bound meets the target on average; its error is below a fifth
		// here, and the quantile, which it is never below, only lowers the rate.
		if c.isNorm && (sum > 1.2*c.rate || sum < .6*c.rate) {
			t.Errorf("%s: got a rate of %.2f %% on average, want %.2f", c.name, 100*sum, 100*c.rate)
		}
	}
}
