package heatmap

import (
	"math/rand/v2"
	"testing"
)

func TestPeak(t *testing.T) {
	m := &Map{Height: 3, Width: 5, Data: []float32{
		9, 0, 0, 4, 5,
		0, 7, 0, 0, 3,
		0, 0, 0, 2, 0,
	}}
	for _, c := range []struct {
		area int
		want float32
	}{
		{-1, 9}, {0, 9}, {1, 9}, // the maximum
		{2, 7}, // corners connect
		{3, 3}, {4, 2},
		{5, 0}, {15, 0}, {99, 0}, // the whole map
	} {
		if got := m.Peak(c.area); got != c.want {
			t.Errorf("area %d: got %v, want %v", c.area, got, c.want)
		}
	}
	if got := NewMap(0, 5).Peak(3); got != 0 {
		t.Errorf("empty map: got %v, want 0", got)
	}
}

// The definition: above t exactly if a region above t is large enough.
func TestPeakIsRegions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		m := NewMap(1+rng.IntN(9), 1+rng.IntN(9))
		for i := range m.Data {
			m.Data[i] = float32(rng.IntN(12)) // with ties
		}
		for area := 1; area <= len(m.Data); area++ {
			peak := m.Peak(area)
			for level := range 12 {
				threshold := float32(level)
				if got, want := peak > threshold, len(Regions(m, &RegionOptions{Threshold: threshold, MinArea: area})) > 0; got != want {
					t.Fatalf("map %v, area %d: peak %v > %v is %v, regions say %v", m, area, peak, threshold, got, want)
				}
			}
		}
	}
}
