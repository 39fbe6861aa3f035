package train

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/metrics"
)

func TestCalibrateGood(t *testing.T) {
	scores := []float64{.3, .1, .2}
	c, err := Calibrate(scores, 0, RuleMax)
	if err != nil || c.Threshold != float32(.3) && c.Threshold != math.Nextafter32(.3, 1) || c.FalseReject != .01 {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := Calibrate(scores, .2, ""); err != nil || c.Threshold != calibrate(scores, .2, RuleRate).Threshold || c.Rule != RuleRate {
		t.Errorf("got %+v, %v", c, err)
	}
	for want, err := range map[string]error{
		"false-reject rate: got 1":                 fail(Calibrate(scores, 1, "")),
		`threshold rule: got "p95"`:                fail(Calibrate(scores, .1, "p95")),
		"got 1 of good images, want two or more":   fail(Calibrate(scores[:1], .1, "")),
		"scores: got NaN at 1, want finite number": fail(Calibrate([]float64{1, math.NaN()}, .1, "")),
	} {
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func fail[T any](_ T, err error) error { return err }

func TestLabelledThresholds(t *testing.T) {
	good, bad := []float64{.125, .25, .5, .125}, []float64{.375, .75, 1}
	for _, c := range []struct {
		recall float64 // 0 is F1
		want   float32
	}{
		{0, .3125}, // F1 6/7 with one false alarm, 4/5 with one miss
		{1, .3125}, {.67, .3125}, {2. / 3, .625}, {.5, .625}, {.3, .875}, {1e-9, .875},
	} {
		got, err := F1Threshold(good, bad)
		if c.recall > 0 {
			got, err = RecallThreshold(good, bad, c.recall)
		}
		if err != nil || got != c.want {
			t.Errorf("recall %v: got %v, %v, want %v", c.recall, got, err, c.want)
		}
	}
	one, next := float64(1), float64(math.Nextafter32(1, 2))
	for _, c := range []struct {
		name      string
		good, bad []float64
		want      float32
	}{
		{"neighbours", []float64{one}, []float64{next}, 1},
		{"all alike", []float64{1, 1}, []float64{1}, math.Nextafter32(1, 0)},
		{"the wrong way round", []float64{1}, []float64{.5, .5, .5}, math.Nextafter32(.5, 0)},
	} {
		if got, err := F1Threshold(c.good, c.bad); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, err, c.want)
		}
	}
	if _, err := F1Threshold(good, nil); !errors.Is(err, metrics.ErrOneClass) {
		t.Errorf("no anomalous scores: got %v", err)
	}
	for _, err := range []error{
		fail(RecallThreshold(good, nil, .5)), fail(RecallThreshold(good, bad, 0)), fail(RecallThreshold(good, bad, 1.1)),
		fail(RecallThreshold(good, bad, math.NaN())), fail(RecallThreshold(good, []float64{math.Inf(1)}, 1)), fail(F1Threshold([]float64{math.NaN()}, bad)),
	} {
		if !errors.Is(err, ErrSettings) {
			t.Errorf("got %v, want ErrSettings", err)
		}
	}
}

// No threshold has a better F1 with the strict rule, and none that is higher the
// recall asked for.
func TestLabelledThresholdsAreBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(shift int) []float64 {
		s := make([]float64, 1+rng.IntN(12))
		for i := range s {
			s[i] = float64(shift+rng.IntN(10)) / 8 // with ties
		}
		return s
	}
	f1 := func(t float32, good, bad []float64) float64 {
		tp, fp := ShareAbove(t, bad).Above, ShareAbove(t, good).Above
		return 2 * float64(tp) / float64(tp+fp+len(bad))
	}
	for range 500 {
		good, bad := draw(0), draw(4)
		best, err := F1Threshold(good, bad)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range slices.Concat(good, bad, []float64{-1}) {
			if f1(float32(other), good, bad) > f1(best, good, bad) {
				t.Fatalf("%v, %v: got %v, %v is better", good, bad, best, other)
			}
		}
		recall := rng.Float64()
		at, err := RecallThreshold(good, bad, recall)
		if err != nil {
			t.Fatal(err)
		}
		higher := slices.Min(slices.DeleteFunc(slices.Concat(good, bad, []float64{9}), func(s float64) bool { return s <= float64(at) }))
		if ShareAbove(at, bad).Share < recall || ShareAbove(float32(higher), bad).Share >= recall && slices.Contains(bad, higher) {
			t.Fatalf("%v, recall %v: got %v", bad, recall, at)
		}
	}
}

func TestShareAbove(t *testing.T) {
	scores := make([]float64, 50)
	scores[0], scores[1], scores[2] = 2, 3, 1
	s := ShareAbove(1, scores)
	// R: binom.test(2, 50, alternative="less")$conf.int[2], and "greater" [1].
	if s.Above != 2 || s.Of != 50 || s.Share != .04 || math.Abs(s.AtMost-.1206219) > 1e-5 || math.Abs(s.AtLeast-.0071532) > 1e-5 {
		t.Errorf("got %+v", s)
	}
	if s := ShareAbove(-1, scores); s.AtMost != 1 || math.Abs(s.AtLeast-math.Pow(.05, 1./50)) > 1e-9 {
		t.Errorf("all above: got %+v", s)
	}
	if s := ShareAbove(9, scores); s.AtLeast != 0 || math.Abs(s.AtMost-(1-math.Pow(.05, 1./50))) > 1e-9 {
		t.Errorf("none above: got %+v", s)
	}
}
