package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
)

// defective returns n images of stripes of which some have a chequered square.
func defective(n int, which ...int) *Data {
	data := stripes(n, 1, 16, 16)
	for _, i := range which {
		for y := 4; y < 9; y++ {
			for x := 6; x < 11; x++ {
				data.Pixels[i*256+y*16+x] = uint8(255 * ((x + y) % 2))
			}
		}
	}
	return data
}

func TestCrossFitFindsDefects(t *testing.T) {
	bad := []int{3, 20, 41}
	s := Settings{Epochs: 12, Batch: 4, LearningRate: 1e-2, Loss: "mse", Map: &residual.Options{Kind: residual.L2Map}, Provider: "go"}
	c, err := CrossFit(context.Background(), tiny, defective(60, bad...), &s)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, folds)
	for _, f := range c.Fold {
		counts[f]++
	}
	if len(c.Scores) != 60 || len(c.Weights) != folds || !slices.Equal(counts, []int{12, 12, 12, 12, 12}) {
		t.Fatalf("got %d scores and %v images by fold", len(c.Scores), counts)
	}
	ranked := c.Ranked()
	var first []int
	for _, r := range ranked[:3] {
		first = append(first, r.Image)
		if !(r.Z > SuspectZ) || r.Score != c.Scores[r.Image] {
			t.Errorf("got %+v, want a suspect", r)
		}
	}
	if slices.Sort(first); !slices.Equal(first, bad) {
		t.Errorf("got %v first, want %v", first, bad)
	}
	// A fold's network is that of a run on the others alone.
	for name, w := range c.Weights[1] {
		if slices.Equal(graph.Data[float32](w), graph.Data[float32](c.Weights[0][name])) {
			t.Errorf("%s is the same in two folds", name)
		}
	}
}

func TestCrossFitResumes(t *testing.T) {
	data := defective(24, 7)
	s := Settings{Epochs: 2, Batch: 8, Provider: "go", Patience: 1, EMA: .9}
	want, err := CrossFit(context.Background(), tiny, data, &s)
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range []int{1, 8, 15, 29} {
		s := s
		s.Checkpoint = filepath.Join(t.TempDir(), "c")
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		s.Progress = func(Progress) {
			if steps++; steps == stop {
				cancel()
			}
		}
		if _, err := CrossFit(ctx, tiny, data, &s); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after step %d: got %v, want context.Canceled", stop, err)
		}
		s.Progress, s.Resume = nil, true
		got, err := CrossFit(context.Background(), tiny, data, &s)
		if err != nil {
			t.Fatal(err)
		}
		same := slices.Equal(got.Scores, want.Scores)
		for f := range want.Weights {
			same = same && sameWeights(got.Weights[f], want.Weights[f])
		}
		if !same {
			t.Errorf("stopped after step %d: resuming gives another result", stop)
		}
		if _, err := Fit(context.Background(), tiny, data, &s); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("Fit on the checkpoint of CrossFit: got %v, want an ErrCheckpoint", err)
		}
	}
}

func TestRanked(t *testing.T) {
	// Two folds of ten whose networks differ by a factor of 5; in each the logarithms
	// are 0, ±1, ±2, …, ±4 tenths, 0, but one stands out.
	c := &CrossFitted{}
	c.Weights = make([]map[string]*graph.Tensor, 2)
	for fold, scale := range []float64{1, 5} {
		for i := range 10 {
			l := []float64{0, -.1, .1, -.2, .2, -.3, .3, -.4, .4, 0}[i]
			if fold == 0 && i == 4 {
				l = 1.5
			}
			c.Scores, c.Fold = append(c.Scores, scale*math.Exp(l)), append(c.Fold, fold)
		}
	}
	ranked := c.Ranked()
	// The median absolute deviation is 0.2: of 20 values 4 are 0, 4 are 0.1, 3 are 0.2.
	if z := 1.5 / (1.4826 * .2); ranked[0].Image != 4 || math.Abs(ranked[0].Z-z) > 1e-9 {
		t.Errorf("got %+v first, want image 4 with Z %v", ranked[0], z)
	}
	for _, r := range ranked[1:] {
		if r.Z > SuspectZ {
			t.Errorf("got %+v, want no suspect", r)
		}
	}
	// Equal scores, zero ones too, make no suspects.
	for _, score := range []float64{0, .5} {
		c := &CrossFitted{Scores: []float64{score, score, score}, Fold: []int{0, 1, 2}, Weights: make([]map[string]*graph.Tensor, 3)}
		for _, r := range c.Ranked() {
			if r.Z != 0 {
				t.Errorf("equal scores: got %+v, want Z 0", r)
			}
		}
	}
}
