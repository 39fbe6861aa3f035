package models

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/residual"
)

func TestUnetDefaults(t *testing.T) {
	for _, c := range []struct{ height, width, depth int }{{128, 0, 4}, {256, 0, 5}, {512, 0, 5}, {64, 0, 3}, {48, 80, 2}, {18, 34, 1}} {
		if got := (Spec{Model: "unet", Height: c.height, Width: c.width}).WithDefaults().Depth; got != c.depth {
			t.Errorf("%dx%d: got depth %d, want %d", c.height, c.width, got, c.depth)
		}
	}
}

// sumTolerance is what float64 leaves of sums of products in another order.
const sumTolerance = 1e-12

// The sum of the convolutions below and skip is the convolution of both concatenated.
func TestUnetSkip(t *testing.T) {
	g := graph.New("skip")
	x, y := g.Input("x", graph.Float32, 1, 4, 8, 8), g.Input("y", graph.Float32, 1, 2, 8, 8)
	wx, wy := g.Input("wx", graph.Float32, 2, 4, 3, 3), g.Input("wy", graph.Float32, 2, 2, 3, 3)
	g.Output("sum", graph.Add(graph.Conv(x, wx, nil, graph.Same(3)), graph.Conv(y, wy, nil, graph.Same(3))))
	g.Output("both", graph.Conv(graph.Concat(1, x, y), graph.Concat(1, wx, wy), nil, graph.Same(3)))
	feeds := map[string]*graph.Tensor{}
	for _, v := range g.Inputs() {
		data := make([]float64, graph.Elements(v.Shape))
		for i := range data {
			data[i] = math.Sin(float64(i*i%97 + len(feeds)))
		}
		feeds[v.Name()] = graph.NewTensor(data, v.Shape...)
	}
	out, err := ref.Eval[float64](context.Background(), g, feeds)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range graph.Data[float64](out[0]) {
		if math.Abs(v-graph.Data[float64](out[1])[i]) > sumTolerance {
			t.Fatalf("place %d: got %v, want %v", i, v, graph.Data[float64](out[1])[i])
		}
	}
}

// At the beginning signals keep their size through all levels: reconstructions
// are neither one grey nor black and white.
func TestUnetInit(t *testing.T) {
	net := open(t, Spec{Model: "unet", Channels: 1, Height: 32, Filters: 8})
	x := graph.Zeros(graph.Float32, 1, 1, 32, 32)
	for i := range graph.Data[float32](x) {
		graph.Data[float32](x)[i] = float32(i%7) / 7
	}
	feeds := net.Init(1)
	feeds["x"] = x
	y, err := ref.Eval[float32](context.Background(), build(t, net, 1), feeds)
	if err != nil {
		t.Fatal(err)
	}
	data := graph.Data[float32](y[0])
	if lo, hi := slices.Min(data), slices.Max(data); !(lo > .01 && hi < .99 && hi-lo > .05) {
		t.Errorf("got reconstructions in [%v,%v]", lo, hi)
	}
}

// An image goes through the network as often as the spec says, and is trained for one.
func TestUnetPasses(t *testing.T) {
	once := open(t, Spec{Model: "unet", Channels: 1, Height: 16, Filters: 2})
	thrice := open(t, Spec{Model: "unet", Channels: 1, Height: 16, Filters: 2, Passes: 3})
	weights := once.Init(1)
	x := graph.Zeros(graph.Float32, 1, 1, 16, 16)
	for i := range graph.Data[float32](x) {
		graph.Data[float32](x)[i] = float32(i%5) / 5
	}
	run := func(net Network, x *graph.Tensor) *graph.Tensor {
		feeds := maps.Clone(weights)
		feeds["x"] = x
		y, err := ref.Eval[float32](context.Background(), build(t, net, 1), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return y[0]
	}
	want := run(once, run(once, run(once, x)))
	if got := run(thrice, x); !slices.Equal(graph.Data[float32](got), graph.Data[float32](want)) {
		t.Error("three passes: got another image than of three networks in a row")
	}
	nodes := func(net Network) int {
		g := graph.New("loss")
		v := g.Input("x", graph.Float32, 1, 1, 16, 16)
		net.(Trainable).Loss(v, v, residual.Loss{})
		return len(g.Nodes())
	}
	if a, b := nodes(once), nodes(thrice); a != b {
		t.Errorf("got losses of %d and %d operators, want the same: training is of one pass", a, b)
	}
	for _, s := range []Spec{{Model: "unet", Passes: -1}, {Model: "unet", Passes: 17}, {Model: "dcae", Passes: 2}} {
		if err := s.Validate(); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), "passes") {
			t.Errorf("%+v: got %v, want an error about passes", s, err)
		}
	}
}
