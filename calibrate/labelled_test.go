package calibrate

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/metrics"
)

func TestLabelledThresholds(t *testing.T) {
	good, bad := []float64{.125, .25, .5, .125}, []float64{.375, .75, 1}
	for _, c := range []struct {
		recall float64 // 0 is F1
		want   float32
	}{
		{0, .3125}, // F1 6/7 with one false alarm, 4/5 with one miss
		{1, .3125}, {.67, .3125}, {2. / 3, .625}, {.5, .625}, {.3, .875}, {1e-9, .875},
	} {
		got, err := F1(good, bad)
		if c.recall > 0 {
			got, err = Recall(good, bad, c.recall)
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
		if got, err := F1(c.good, c.bad); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, err, c.want)
		}
	}
	if _, err := F1(good, nil); !errors.Is(err, metrics.ErrOneClass) {
		t.Errorf("no anomalous scores: got %v", err)
	}
	for _, err := range []error{
		fail(Recall(good, nil, .5)), fail(Recall(good, bad, 0)), fail(Recall(good, bad, 1.1)),
		fail(Recall(good, bad, math.NaN())), fail(Recall(good, []float64{math.Inf(1)}, 1)), fail(F1([]float64{math.NaN()}, bad)),
	} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("got %v, want ErrInput", err)
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
		best, err := F1(good, bad)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range slices.Concat(good, bad, []float64{-1}) {
			if f1(float32(other), good, bad) > f1(best, good, bad) {
				t.Fatalf("%v, %v: got %v, %v is better", good, bad, best, other)
			}
		}
		recall := rng.Float64()
		at, err := Recall(good, bad, recall)
		if err != nil {
			t.Fatal(err)
		}
		higher := slices.Min(slices.DeleteFunc(slices.Concat(good, bad, []float64{9}), func(s float64) bool { return s <= float64(at) }))
		if ShareAbove(at, bad).Share < recall || ShareAbove(float32(higher), bad).Share >= recall && slices.Contains(bad, higher) {
			t.Fatalf("%v, recall %v: got %v", bad, recall, at)
		}
	}
}
