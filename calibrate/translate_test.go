package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTranslation(t *testing.T) {
	tr := NewTranslation([]float64{3, 1, 2, 2}, []float64{7, 2.5, 5, 4})
	for _, c := range [][2]float64{{1, 2.5}, {.5, 2}, {1.5, 3.25}, {2, 4}, {2.5, 6}, {3, 7}, {4, 8}} {
		if got := tr.Of(c[0]); math.Abs(got-c[1]) > 1e-12 {
			t.Errorf("%v: got %v, want %v", c[0], got, c[1])
		}
	}
	if got := NewTranslation([]float64{1}, []float64{2}).Of(5); got != 6 {
		t.Errorf("of one score: got %v, want 6", got)
	}
}

// A threshold between scores has as many above it afterwards.
func TestTranslationKeepsRanks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	from, to := make([]float64, 50), make([]float64, 50)
	for i := range from {
		from[i] = rng.NormFloat64()
		to[i] = 2*from[i] + 1 + .1*rng.NormFloat64()
	}
	tr := NewTranslation(from, to)
	above := func(xs []float64, threshold float64) (n int) {
		for _, x := range xs {
			if x > threshold {
				n++
			}
		}
		return n
	}
	for range 200 {
		threshold := 3 * rng.NormFloat64()
		if a, b := above(from, threshold), above(to, tr.Of(threshold)); a != b {
			t.Fatalf("threshold %v: got %d of %d scores above %v, want %d", threshold, b, len(to), tr.Of(threshold), a)
		}
	}
}

// An image counts where both detectors are of two minds about it, on either side.
func TestTranslationChanged(t *testing.T) {
	from, to := []float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}
	same := NewTranslation(from, to)
	if n := same.Changed(from, to, 2.5); n != 0 {
		t.Errorf("of the same order: got %d, want 0", n)
	}
	if n := same.Changed(from, []float64{10, 30, 20, 40}, 2.5); n != 2 { // one above, one below
		t.Errorf("of two in each other's place: got %d, want 2", n)
	}
}
