package models

import (
	"context"
	"errors"
	"math"
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
		size := s.Height * s.Height
		inner := open(t, s)
		s.AEGrad = 2
		outer := open(t, s)
		if outer.Spec() != s.WithDefaults() {
			t.Errorf("got %+v, want %+v", outer.Spec(), s)
		}
		const n = 2
		x := make([]float64, n*size)
		for i := range x {
			x[i] = .5 + .45*math.Sin(float64(i*i%31))
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
		want := append([]float64{}, x...)
		for range s.AEGrad {
			next := append([]float64{}, want...)
			for image := range n {
				cur := want[image*size : (image+1)*size]
				y := eval(inner, cur)
				energy := func() float64 {
					e := 0.
					for i, v := range eval(inner, cur) {
						e += (cur[i] - v) * (cur[i] - v)
					}
					return e
				}
				for i := range cur {
					const h = 1e-5
					keep := cur[i]
					cur[i] = keep + h
					up := energy()
					cur[i] = keep - h
					down := energy()
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
		moved := 0.
		for i, got := range eval(outer, x) {
			moved = max(moved, math.Abs(got-x[i]))
			if math.Abs(got-want[i]) > descentTolerance {
				t.Fatalf("%s: pixel %d: got %v, want %v from %v", s.Model, i, got, want[i], x[i])
			}
		}
		if moved < 1e-3 {
			t.Errorf("%s: nothing moved", s.Model)
		}
	}
	for _, steps := range []int{-1, mostDescent + 1} {
		if _, err := Open(Spec{AEGrad: steps}, nil); !errors.Is(err, ErrSpec) {
			t.Errorf("%d steps: got %v, want an ErrSpec", steps, err)
		}
	}
}
