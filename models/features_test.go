package models

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// randomBackbone has weights of the backbone's shapes that nobody has trained.
func randomBackbone(t *testing.T, e EfficientNet) *Resources {
	t.Helper()
	g := graph.New("backbone")
	e.Features(g.Input("x", graph.Float32, 1, 3, 64, 64), e.Taps())
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	r := &Resources{Weights: map[string]*graph.Tensor{}}
	for _, p := range g.Params() {
		if len(p.Shape) == 4 {
			r.Weights[p.Name()] = he(1, p.Name(), p.Shape[1], p.Shape[0], p.Shape[1], p.Shape[2], p.Shape[3])
		} else {
			r.Weights[p.Name()] = graph.Zeros(graph.Float32, p.Shape...)
		}
	}
	return r
}

// noise draws an image [1,C,H,W] of smooth noise.
func noise(c, h, w int, seed uint64) *graph.Tensor {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := graph.Zeros(graph.Float32, 1, c, h, w)
	d := graph.Data[float32](x)
	for i := range d {
		if i%8 != 0 {
			d[i] = d[i-1]
		} else {
			d[i] = rng.Float32()
		}
	}
	return x
}

// Fitted to good images, the network's map has the image's size, is never
// negative, and is highest where an image has what none of them had.
func TestFeatures(t *testing.T) {
	resources := randomBackbone(t, Lite0)
	for _, s := range []Spec{
		{Height: 64},
		{Height: 96, Width: 64, Rank: -1, Channels: 1},
		{Height: 128, Scales: 2, Rank: 3},
	} {
		s.Model = "features"
		net, err := Open(s, resources)
		if err != nil {
			t.Fatal(err)
		}
		c, h, w := net.InputSize()
		fitter := net.(Fitter)
		eval := func(weights map[string]*graph.Tensor, image *graph.Tensor, of func(x *graph.Value) *graph.Value) *graph.Tensor {
			g := graph.New("net")
			g.Output("y", of(g.Input("x", graph.Float32, graph.Dynamic, c, h, w)))
			if err := g.Err(); err != nil {
				t.Fatal(err)
			}
			feeds := map[string]*graph.Tensor{"x": image}
			for _, p := range g.Params() {
				if feeds[p.Name()] = weights[p.Name()]; feeds[p.Name()] == nil {
					t.Fatalf("%s: got no weight", p.Name())
				}
			}
			y, err := ref.Eval[float32](context.Background(), g, feeds)
			if err != nil {
				t.Fatal(err)
			}
			return y[0]
		}
		const n = 3
		fit, err := fitter.NewFit(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		weights := net.Init(1)
		for i := range uint64(n) {
			if err := fit.Add(graph.Data[float32](eval(weights, noise(c, h, w, i), fitter.Features))); err != nil {
				t.Fatal(err)
			}
		}
		fitted, err := fit.Solve(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range fitted {
			weights[name] = x
		}
		choices := fit.(Chooser).Choices()
		if own := net.Spec().Rank > 0; own != (len(choices) > 0) || own && len(choices) != net.Spec().Scales {
			t.Errorf("%+v: got %d choices of a shrinkage, want one for each size with covariances of places", s, len(choices))
		}
		for _, c := range choices {
			best := slices.MaxFunc(c.Trials, func(a, b Trial) int { return cmp.Compare(a.Value, b.Value) })
			if c.Taken != best.Candidate || len(c.Trials) < 2 {
				t.Errorf("%+v: got %v, want the most likely of several", s, c)
			}
		}
		forward := func(x *graph.Value) *graph.Value { return net.Forward(x).Map }
		image := noise(c, h, w, 0)
		good := eval(weights, image, forward)
		if want := []int{1, 1, h, w}; !slices.Equal(good.Shape(), want) {
			t.Fatalf("%+v: got a map %v, want %v", s, good.Shape(), want)
		}
		sameSimplified(t, net.(*features), weights, func(net Network, weights map[string]*graph.Tensor) *graph.Tensor {
			return eval(weights, image, func(x *graph.Value) *graph.Value { return net.Forward(x).Map })
		})
		// A square of the image is of another colour.
		d := graph.Data[float32](image)
		for k := range c {
			for y := 24; y < 40; y++ {
				for x := 24; x < 40; x++ {
					d[(k*h+y)*w+x] = 3
				}
			}
		}
		bad := graph.Data[float32](eval(weights, image, forward))
		at := 0
		for i, v := range bad {
			if !(v >= 0) || math.IsInf(float64(v), 0) {
				t.Fatalf("%+v: got %v", s, v)
			}
			if v-graph.Data[float32](good)[i] > bad[at]-graph.Data[float32](good)[at] {
				at = i
			}
		}
		if y, x := at/w, at%w; y < 8 || y > 55 || x < 8 || x > 55 {
			t.Errorf("%+v: the map rises most at %d, %d, want it around 32, 32", s, y, x)
		}
	}
}

// sameSimplified holds the network without what weights make the identity against the
// whole one: fitted weights, and the same where the first level's covariance is the identity.
func sameSimplified(t *testing.T, net *features, weights map[string]*graph.Tensor, eval func(Network, map[string]*graph.Tensor) *graph.Tensor) {
	t.Helper()
	name := net.param(0, "white")
	with := maps.Clone(weights)
	side := net.channels()
	with[name] = graph.Zeros(graph.Float32, side, side)
	for i := range side {
		graph.Data[float32](with[name])[i*side+i] = 1
	}
	want := eval(net, with)
	simple, fewer := net.Simplified(with)
	again, fewest := net.Simplified(fewer) // of a file that was exported without it
	for i, got := range []*graph.Tensor{eval(simple, fewer), eval(again, fewest)} {
		if !slices.Equal(graph.Data[float32](got), graph.Data[float32](want)) {
			t.Errorf("simplified %d times: got another map", i+1)
		}
	}
	if fewer[name] != nil || fewest[name] != nil || with[name] == nil {
		t.Errorf("got weights %v, %v and %v of the identity, want none but the last", fewer[name], fewest[name], with[name])
	}
	mixed := maps.Clone(with)
	mixed[name] = graph.NewTensor(slices.Clone(graph.Data[float32](with[name])), side, side)
	graph.Data[float32](mixed[name])[1] = .5
	if simple, kept := net.Simplified(mixed); kept[name] == nil || !slices.Equal(graph.Data[float32](eval(simple, kept)), graph.Data[float32](eval(net, mixed))) {
		t.Error("a matrix that is not the identity: got another map, or none")
	}
}

func TestFeaturesWrong(t *testing.T) {
	if _, err := Open(Spec{Model: "features"}, nil); !errors.Is(err, ErrSpec) {
		t.Errorf("without weights: got %v, want %v", err, ErrSpec)
	}
	for name, s := range map[string]Spec{
		"backbone": {Backbone: "resnet"}, "height": {Height: 100}, "width": {Width: 48}, "scales": {Scales: 4},
		"rank": {Rank: -2}, "channels": {Channels: 2}, "far too large": {Height: 4096},
	} {
		s.Model = "features"
		if err := s.Validate(); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSpec)
		}
	}
	net, err := Open(Spec{Model: "features", Height: 64}, randomBackbone(t, Lite0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.(Fitter).NewFit(1, 1); err == nil {
		t.Error("one image: got no error")
	}
	fit, err := net.(Fitter).NewFit(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := fit.Add(make([]float32, 3)); err == nil {
		t.Error("three features: got no error")
	}
}

// The file that a network makes stays below 60 MB whatever its size.
func TestFeaturesBounded(t *testing.T) {
	for _, s := range []Spec{{Height: 384}, {Height: 512, Scales: 3}, {Height: 2048, Rank: 64, Backbone: string(Lite2)}} {
		s.Model = "features"
		s = s.WithDefaults()
		net, err := Open(s, randomBackbone(t, EfficientNet(s.Backbone)))
		if err != nil {
			t.Fatal(err)
		}
		n := net.(*features)
		numbers := 0
		for _, l := range n.levels() {
			numbers += l.places() * n.channels() * l.rank
		}
		if numbers > mostDirections {
			t.Errorf("%+v: got %d numbers, want at most %d", s, numbers, mostDirections)
		}
	}
}
