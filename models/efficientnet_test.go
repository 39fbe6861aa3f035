package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ortlib"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/internal/statedict"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// Features are of size up to 60; both sides compute in float32, ours with
// normalisations folded, and the golden file has five decimals.
const featureTolerance = 2e-4

// The features are those of the PyTorch package the weights come from:
// testdata/efficientnet.py.
func TestEfficientNetGolden(t *testing.T) {
	var goldens map[string]struct {
		Shape  []int
		Every  int
		Values []float64
	}
	testenv.Golden(t, "efficientnet.py", "efficientnet.json", &goldens)
	const h, w = 45, 64
	image := graph.Zeros(graph.Float32, 1, 3, h, w)
	seed := uint32(1)
	for i := range h * w {
		for c := range 3 {
			seed = 1664525*seed + 1013904223
			graph.Data[float32](image)[c*h*w+i] = float32(seed>>24) / 255
		}
	}
	for e, build := range map[EfficientNet]ortlib.Build{Lite0: ortlib.Lite0, Lite2: ortlib.Lite2} {
		path, err := ortlib.Find(build, "")
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("the backbones are not cached: make setup")
		} else if err != nil {
			t.Fatal(err)
		}
		state, err := statedict.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		taps := e.Taps()
		feeds, err := e.Weights(state, taps)
		if err != nil {
			t.Fatal(err)
		}
		g := graph.New("features")
		for i, f := range e.Features(g.Input("x", graph.Float32, 1, 3, h, w), taps) {
			g.Output(fmt.Sprint(e, " ", taps[i]), f)
		}
		if len(feeds) != len(g.Params()) || g.Err() != nil {
			t.Fatalf("%s: got %d weights for %d parameters, %v", e, len(feeds), len(g.Params()), g.Err())
		}
		feeds["x"] = image
		outs, err := ref.Eval[float32](context.Background(), g, feeds)
		if err != nil {
			t.Fatal(err)
		}
		for i, out := range outs {
			name := g.Outputs()[i].Name()
			golden, ok := goldens[name]
			if !ok || !slices.Equal(out.Shape(), golden.Shape) {
				t.Fatalf("%s: got %v, want %v", name, out.Shape(), golden.Shape)
			}
			data := graph.Data[float32](out)
			for j, want := range golden.Values {
				if got := float64(data[j*golden.Every]); math.Abs(got-want) > featureTolerance {
					t.Fatalf("%s: value %d: got %v, want %v", name, j*golden.Every, got, want)
				}
			}
		}
	}
}

func TestEfficientNetWeightsMissing(t *testing.T) {
	if _, err := Lite0.Weights(map[string]*graph.Tensor{}, Lite0.Taps()); !errors.Is(err, ErrSpec) {
		t.Errorf("got %v, want %v", err, ErrSpec)
	}
}
