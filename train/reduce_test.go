package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
)

// A range leaves a few outliers out, and none of numbers that fill it.
func TestHistogramBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var even, tailed []float32
	most := float32(0)
	for range 200_000 {
		even = append(even, rng.Float32())
		tailed = append(tailed, float32(math.Abs(rng.NormFloat64())))
		most = max(most, tailed[len(tailed)-1])
	}
	best := func(xs []float32) (low, high float32) {
		h := &histogram{low: math.Inf(1), high: math.Inf(-1)}
		h.widen(xs)
		h.add(xs)
		r := h.best()
		return r.Low, r.High
	}
	if low, high := best(even); low != 0 || high < .97 {
		t.Errorf("of numbers from 0 to 1: got a range from %v to %v", low, high)
	}
	if low, high := best(tailed); low != 0 || high < 3 || high > .97*most {
		t.Errorf("of normal numbers up to %v: got a range from %v to %v", most, low, high)
	}
	if low, high := best([]float32{0, 0}); low != 0 || high != 0 {
		t.Errorf("of zeros: got a range from %v to %v", low, high)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ n, ranged, compared int }{{1, 1, 1}, {15, 8, 15}, {16, 8, 8}, {128, 64, 64}, {1000, 64, 64}} {
		ranged, compared := split(c.n)
		if len(ranged) != c.ranged || len(compared) != c.compared {
			t.Errorf("%d images: got %d and %d, want %d and %d", c.n, len(ranged), len(compared), c.ranged, c.compared)
		}
		if c.n < 16 {
			continue
		}
		seen := map[int]bool{}
		for _, i := range ranged {
			seen[i] = true
		}
		for _, i := range compared {
			if seen[i] || i >= c.n {
				t.Errorf("%d images: %d is not held out", c.n, i)
			}
		}
	}
}

// Scores that keep their order cost nothing, whatever they are; those that change places cost.
func TestLossOf(t *testing.T) {
	was := [2][]float64{{1, 2, 3, 4}, {5, 6, 7, 8}}
	loss := func(is [2][]float64, threshold float32) (Loss, error) {
		return lossOf(was, is, [2]calibrate.Translation{calibrate.NewTranslation(was[0], is[0]), calibrate.NewTranslation(was[1], is[1])}, threshold)
	}
	l, err := loss([2][]float64{{2, 4, 6, 8}, {10, 12, 14, 16}}, 4.5)
	if err != nil || l.Apart != 0 || l.ApartMost != 0 || *l.Changed != 0 || l.AUROC != 1 || l.AUROCReduced != 1 || l.Large() != "" {
		t.Errorf("doubled: got %+v, %v", l, err)
	}
	swapped := [2][]float64{{1, 2, 5, 3}, {4, 6, 7, 8}}
	if l, err = loss(swapped, 4.5); err != nil || *l.Changed != .125 || l.AUROCReduced != 15./16 || l.ApartMost == 0 || l.Large() == "" {
		t.Errorf("swapped: got %+v, %v", l, err)
	}
	if l, err = loss(swapped, float32(math.NaN())); err != nil || l.Changed != nil {
		t.Errorf("without a threshold: got %+v, %v", l, err)
	}
	if _, err = loss([2][]float64{{1, 2, 3, math.Inf(1)}, swapped[1]}, 4.5); err == nil {
		t.Error("a score that is no number: got no error")
	}
}
