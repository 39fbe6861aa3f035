package train

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
)

// The first epochs see images at half their size, and held-back ones too: a network
// that is trained so alone is the one that the halved images would make. The rest
// see them whole. Stopped on either side of the change, a run ends the same.
func TestCoarse(t *testing.T) {
	data := stripes(30, 1, 16, 16)
	net := network(models.Spec{Channels: 1, Height: 16, Filters: 3, Depth: 1})
	small := &Data{Pixels: halved(data.Pixels, 30*16, 16, 1)}
	s := Settings{Epochs: 4, Batch: 8, Coarse: .5, Schedule: ScheduleConstant, Loss: "mse"}
	want := fit(t, net, data, s)
	half := fit(t, network(models.Spec{Channels: 1, Height: 8, Filters: 3, Depth: 1}), small, Settings{Epochs: 4, Batch: 8, Schedule: ScheduleConstant, Loss: "mse"})
	for i, e := range want.History {
		if same := e.Loss == half.History[i].Loss && e.Val == half.History[i].Val; same != (i < 2) {
			t.Errorf("epoch %d: got losses %v and %v, of images halved before %v and %v", i+1, e.Loss, e.Val, half.History[i].Loss, half.History[i].Val)
		}
	}
	steps := len(stages(30, .1, 1)[0].train)/s.Batch + 1
	for _, at := range []int{1, 2*steps - 1, 2 * steps, 2*steps + 1} {
		s := s
		s.Checkpoint, s.Provider = filepath.Join(t.TempDir(), "c"), "go"
		ctx, cancel := context.WithCancel(context.Background())
		done := 0
		s.Progress = func(Progress) {
			if done++; done == at {
				cancel()
			}
		}
		if _, err := Fit(ctx, net, data, &s); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d steps: got %v", at, err)
		}
		s.Resume, s.Progress = true, nil
		if got := fit(t, net, data, s); !sameWeights(got.Weights, want.Weights) {
			t.Errorf("stopped after %d steps and resumed: got other weights", at)
		}
	}
}

// The learning rate falls by the work done: a step of whole images is four of coarse ones.
func TestCoarseWork(t *testing.T) {
	tr := newTrainer(tiny, stripes(30, 1, 16, 16), &Settings{Epochs: 10, Coarse: .6})
	for step, want := range map[int]int{0: 0, 11: 11, 12: 12, 13: 16, 20: 44} {
		if got := tr.work(step, 2); got != want {
			t.Errorf("%d steps: got the work of %d, want %d", step, got, want)
		}
	}
}

func TestHalved(t *testing.T) {
	got := halved([]uint8{
		0, 10, 1, 20, 255, 30, 255, 40,
		1, 10, 0, 20, 255, 30, 254, 40,
	}, 2, 4, 2)
	if want := []uint8{1, 15, 255, 35}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCoarseErrors(t *testing.T) {
	for _, c := range []struct {
		net    models.Network
		coarse float64
		want   string
	}{
		{tiny, -.1, "coarse: got -0.1, want 0, or a number between 0 and 1"},
		{tiny, 1, "coarse: got 1"},
		{network(models.Spec{Channels: 1, Height: 8, Width: 12, Filters: 2, Depth: 2}), .5, "coarse: got 0.5, want 0: "},
		{network(models.Spec{Model: "ssimae", Height: 32, Filters: 2, Latent: 4}), .5, "coarse: got 0.5, want 0: "},
	} {
		channels, height, width := c.net.InputSize()
		data := &Data{Pixels: graph.Data[uint8](graph.Zeros(graph.Uint8, 24*channels*height*width))}
		_, err := Fit(context.Background(), c.net, data, &Settings{Coarse: c.coarse, Provider: "go"})
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %dx%d: got %v, want an ErrSettings that says %q", c.net.Spec().Model, width, height, err, c.want)
		}
	}
}
