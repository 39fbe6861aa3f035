package models

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

func open(t *testing.T, s Spec) Network {
	t.Helper()
	net, err := Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func build(t *testing.T, net Network, batch int) *graph.Graph {
	t.Helper()
	c, h, w := net.InputSize()
	g := graph.New("net")
	g.Output("y", net.Forward(g.Input("x", graph.Float32, batch, c, h, w)).Reconstruction)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestForward(t *testing.T) {
	for _, s := range []Spec{
		{}, {Channels: 1, Height: 32}, {Height: 40, Width: 72, Filters: 5}, {Height: 8, Depth: 1, Filters: 2}, {Height: 32, Depth: 5},
		{Model: "unet"}, {Model: "unet", Channels: 1, Height: 24, Width: 40, Filters: 3}, {Model: "unet", Height: 256, Depth: 2},
		{Model: "ssimae"}, {Model: "ssimae", Latent: 500, Channels: 1}, {Model: "ssimae", Height: 16, Width: 48, Filters: 2, Latent: 3},
	} {
		net := open(t, s)
		g := build(t, net, graph.Dynamic)
		c, h, w := net.InputSize()
		if got, want := g.Outputs()[0].Shape, []int{graph.Dynamic, c, h, w}; !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", s, got, want)
		}
		weights := net.Init(1)
		if len(weights) != len(g.Params()) {
			t.Errorf("%+v: got %d initial weights, want %d", s, len(weights), len(g.Params()))
		}
		for _, p := range g.Params() {
			if init := weights[p.Name()]; init == nil || !slices.Equal(init.Shape(), p.Shape) {
				t.Errorf("%+v: %s: got no initial weights of shape %v", s, p.Name(), p.Shape)
			}
		}
	}
}

// The article's network at 128x128x3 has 3·32·9+5·32·32·9+32·3·9 weights and 6·32+3 biases.
func TestArticleNetwork(t *testing.T) {
	n := 0
	for _, w := range open(t, Spec{}).Init(1) {
		n += w.Len()
	}
	if want := 864 + 5*9216 + 864 + 195; n != want {
		t.Errorf("got %d parameters, want %d", n, want)
	}
	var ops []string
	for _, n := range build(t, open(t, Spec{}), 1).Nodes() {
		ops = append(ops, n.Op)
	}
	down, up := []string{"Conv", "Relu", "MaxPool"}, []string{"Conv", "Relu", "Resize"}
	want := slices.Concat(down, down, down, up, up, up, []string{"Conv", "Sigmoid"})
	if !slices.Equal(ops, want) {
		t.Errorf("got %v, want %v", ops, want)
	}
}

func TestInit(t *testing.T) {
	s := open(t, Spec{Height: 16, Filters: 8})
	a, b, c := s.Init(1), s.Init(1), s.Init(2)
	for name, w := range a {
		same := slices.Equal(graph.Data[float32](w), graph.Data[float32](b[name]))
		if !same {
			t.Errorf("%s: equal seeds give different values", name)
		}
		if len(w.Shape()) == 4 && slices.Equal(graph.Data[float32](w), graph.Data[float32](c[name])) {
			t.Errorf("%s: different seeds give equal values", name)
		}
	}
	// Reconstructions of the untrained network are finite and inside (0,1).
	x := graph.Zeros(graph.Float32, 1, 3, 16, 16)
	for i := range graph.Data[float32](x) {
		graph.Data[float32](x)[i] = float32(i%7) / 7
	}
	feeds := map[string]*graph.Tensor{"x": x}
	for name, w := range a {
		feeds[name] = w
	}
	y, err := ref.Eval[float32](context.Background(), build(t, s, 1), feeds)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range graph.Data[float32](y[0]) {
		lo, hi = min(lo, v), max(hi, v)
	}
	if !(lo > 0 && hi < 1 && lo < hi) {
		t.Errorf("got reconstructions in [%v,%v]", lo, hi)
	}
}
