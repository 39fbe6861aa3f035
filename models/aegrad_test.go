package models

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// descentTolerance is what central differences of 1e-5 leave of a gradient near 1.
const descentTolerance = 1e-6

// One step moves each pixel as the formula says, the gradient taken by central
// differences, for each image of a batch by itself.
func TestAEGradStep(t *testing.T) {
	for _, s := range []Spec{
		{Model: "dcae", Channels: 1, Height: 8, Filters: 2, Depth: 1},
		{Model: "unet", Channels: 1, Height: 8, Filters: 2, Depth: 1},
		{Model: "ssimae", Channels: 1, Height: 16, Filters: 2, Latent: 3},
	} {
		for _, stopped := range []bool{false, true} {
			testDescent(t, s, stopped)
		}
	}
	for _, s := range []Spec{{AEGrad: -1}, {AEGrad: mostDescent + 1}, {AEGradStop: 1}, {AEGrad: 1, AEGradStop: -1}, {AEGrad: 1, AEGradStop: math.NaN()}} {
		if _, err := Open(s, nil); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: got %v, want an ErrSpec", s, err)
		}
	}
}

// testDescent compares two steps of two images with the formula, and with what
// they are alone. If stopped, the second, of less contrast, has to stay as it is.
func testDescent(t *testing.T, s Spec, stopped bool) {
	t.Helper()
	size := s.Height * s.Height
	inner := open(t, s)
	const n = 2
	x := make([]float64, n*size)
	for i := range x {
		x[i] = .5 + .45/float64(1+i/size)*math.Sin(float64(i*i%31))
	}
	weights := inner.Init(3)
	eval := func(net Network, x []float64) []float64 {
		feeds := map[string]*graph.Tensor{"x": graph.NewTensor(x, len(x)/size, 1, s.Height, s.Height)}
		for name, w := range weights {
			feeds[name] = w
		}
		y, err := ref.Eval[float64](context.Background(), build(t, net, graph.Dynamic), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return graph.Data[float64](y[0])
	}
	energy := func(x []float64) float64 {
		e := 0.
		for i, v := range eval(inner, x) {
			e += (x[i] - v) * (x[i] - v)
		}
		return e
	}
	s.AEGrad = 2
	if stopped {
		s.AEGradStop = float64(float32((energy(x[:size]) + energy(x[size:])) / 2))
	}
	outer := open(t, s)
	if outer.Spec() != s.WithDefaults() {
		t.Errorf("got %+v, want %+v", outer.Spec(), s)
	}
	want := append([]float64{}, x...)
	for range s.AEGrad {
		next := append([]float64{}, want...)
		for image := range n {
			cur := want[image*size : (image+1)*size]
			y := eval(inner, cur)
			if energy(cur) <= s.AEGradStop {
				continue
			}
			for i := range cur {
				const h = 1e-5
				keep := cur[i]
				cur[i] = keep + h
				up := energy(cur)
				cur[i] = keep - h
				down := energy(cur)
				cur[i] = keep
				slope := (up - down) / (2 * h)
				switch start := x[image*size+i]; {
				case keep > start:
					slope += descentNear
				case keep < start:
					slope -= descentNear
				}
				next[image*size+i] = min(max(keep-descentRate*slope*(keep-y[i])*(keep-y[i]), 0), 1)
			}
		}
		want = next
	}
	got := eval(outer, x)
	var moved [n]float64
	for i, v := range got {
		moved[i/size] = max(moved[i/size], math.Abs(v-x[i]))
		if math.Abs(v-want[i]) > descentTolerance {
			t.Fatalf("%s: pixel %d: got %v, want %v from %v", s.Model, i, v, want[i], x[i])
		}
	}
	if moved[0] < 1e-3 || stopped != (moved[1] == 0) {
		t.Errorf("%s: stopped %v: images moved by up to %v", s.Model, stopped, moved)
	}
	for image := range n {
		if part := x[image*size : (image+1)*size]; !slices.Equal(eval(outer, part), got[image*size:(image+1)*size]) {
			t.Errorf("%s: image %d moves otherwise alone than in a batch", s.Model, image)
		}
	}
}
