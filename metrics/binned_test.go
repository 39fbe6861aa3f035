package metrics

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// overlapTol: Binned sums 1/size in float32, at most a hundred of them per set.
const overlapTol = 1e-5

// TestBinnedEqualsPixels: where each score has a bin of its own, and maps are
// repeated, the figures are those of the exact metrics.
func TestBinnedEqualsPixels(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for trial := range 200 {
		s := randomSet(rng)
		edges := []float32{-2.5, -1.5, -.5, .5, 1.5, 2.5, 3.5, 4.5} // between randomSet's scores
		b, err := NewBinned(edges)
		if err != nil {
			t.Fatal(err)
		}
		var exact Pixels
		times := make([]int, len(s.scores))
		for i := range s.scores {
			times[i] = rng.IntN(3)
			if i == 0 {
				times[i] = 1 // has both classes
			}
			if err := b.Add(s.scores[i], s.masks[i], s.height, s.width); err != nil {
				t.Fatal(err)
			}
			for range times[i] {
				if err := exact.Add(s.scores[i], s.masks[i], s.height, s.width); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := b.Figures(times, .3, 1)
		if err != nil {
			t.Fatal(err)
		}
		auroc, _ := exact.AUROC()
		ap, _ := exact.AveragePrecision()
		f1, _, _ := exact.F1Max()
		if !near(got.AUROC, auroc) || !near(got.AveragePrecision, ap) || !near(got.F1Max, f1) {
			t.Fatalf("trial %d: got %+v, want %v, %v, %v", trial, got, auroc, ap, f1)
		}
		for i, limit := range []float64{.3, 1} {
			aupro, _ := exact.AUPRO(limit)
			if math.Abs(got.AUPRO[i]-aupro) > overlapTol {
				t.Fatalf("trial %d: AU-PRO@%v: got %v, want %v", trial, limit, got.AUPRO[i], aupro)
			}
		}
	}
}

func TestBinnedErrors(t *testing.T) {
	if _, err := NewBinned([]float32{2, 1}); err == nil {
		t.Error("edges that descend are taken")
	}
	b, err := NewBinned([]float32{1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add([]float32{1, float32(math.NaN())}, nil, 1, 2); err == nil {
		t.Error("NaN is taken")
	}
	if err := b.Add([]float32{1}, nil, 1, 2); err == nil {
		t.Error("a map of a wrong size is taken")
	}
	if err := b.Add([]float32{1, 2}, nil, 1, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Figures([]int{1}); !errors.Is(err, ErrOneClass) {
		t.Errorf("good pixels only: got %v, want ErrOneClass", err)
	}
	if _, err := b.Figures(nil); err == nil {
		t.Error("too few multiplicities are taken")
	}
	if _, err := b.Figures([]int{1}, 2); err == nil || errors.Is(err, ErrOneClass) {
		t.Errorf("limit 2: got %v, want an error about it", err)
	}
}
