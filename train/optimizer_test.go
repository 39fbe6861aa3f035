package train

import (
	"fmt"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// updateTolerance compares float32 updates with the same in float64, relative to the weight.
const updateTolerance = 1e-6

// Three steps by hand, in float64 and straight from the papers.
func TestOptimizers(t *testing.T) {
	gradients := []float64{.5, -.25, 2}
	const lr, w0 = .1, 1.5
	byAdam := func(decay float64) float64 {
		w, m, v := w0, 0., 0.
		for i, g := range gradients {
			m, v = .9*m+.1*g, .999*v+.001*g*g
			mHat, vHat := m/(1-math.Pow(.9, float64(i+1))), v/(1-math.Pow(.999, float64(i+1)))
			w -= lr * (mHat/(math.Sqrt(vHat)+1e-8) + decay*w)
		}
		return w
	}
	bySGD := func(momentum, decay float64) float64 {
		w, v := w0, 0.
		for _, g := range gradients {
			v = momentum*v + g
			w -= lr * (v + decay*w)
		}
		return w
	}
	for _, c := range []struct {
		settings Settings
		matrix   float64 // a weight of two dimensions
		bias     float64
	}{
		{Settings{}, byAdam(0), byAdam(0)},
		{Settings{Optimizer: OptimizerAdamW}, byAdam(.01), byAdam(0)},
		{Settings{Optimizer: OptimizerAdamW, WeightDecay: new(.3)}, byAdam(.3), byAdam(0)},
		{Settings{Optimizer: OptimizerAdamW, WeightDecay: new(0.)}, byAdam(0), byAdam(0)},
		{Settings{Optimizer: OptimizerSGD}, bySGD(.9, 0), bySGD(.9, 0)},
		{Settings{Optimizer: OptimizerSGD, Momentum: new(0.)}, bySGD(0, 0), bySGD(0, 0)},
		{Settings{Optimizer: OptimizerSGD, Momentum: new(.5), WeightDecay: new(.2)}, bySGD(.5, .2), bySGD(.5, 0)},
	} {
		s := c.settings.withDefaults(tiny)
		weights := map[string]*graph.Tensor{
			"a.weight": graph.NewTensor([]float32{w0}, 1, 1),
			"a.bias":   graph.NewTensor([]float32{w0}, 1),
		}
		st := &state{weights: weights, m: zerosLike(weights), v: zerosLike(weights)}
		for i, g := range gradients {
			s.update(st, weights, map[string][]float32{"a.weight": {float32(g)}, "a.bias": {float32(g)}}, lr, i+1)
		}
		for name, want := range map[string]float64{"a.weight": c.matrix, "a.bias": c.bias} {
			if got := float64(graph.Data[float32](weights[name])[0]); math.Abs(got-want) > updateTolerance*math.Abs(w0) {
				t.Errorf("%s, decay %v, momentum %v: %s: got %v, want %v", s.Optimizer, *s.WeightDecay, *s.Momentum, name, got, want)
			}
		}
	}
}

func TestAverage(t *testing.T) {
	ema := map[string]*graph.Tensor{"w": graph.NewTensor([]float32{1}, 1)}
	weights := map[string]*graph.Tensor{"w": graph.NewTensor([]float32{3}, 1)}
	want := 1.
	for step := 1; step <= 200; step++ {
		keep := min(.9, float64(1+step)/float64(10+step))
		want = keep*want + (1-keep)*3
		average(ema, weights, .9, step)
		if got := float64(graph.Data[float32](ema["w"])[0]); math.Abs(got-want) > updateTolerance*3 {
			t.Fatalf("step %d: got %v, want %v", step, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct{ limit, scale float64 }{{0, 1}, {13, 1}, {14, 1}, {6.5, .5}} {
		grads := map[string][]float32{"a": {3, -4}, "b": {12}}
		if norm := clip(grads, c.limit); norm != 13 {
			t.Errorf("limit %v: got norm %v, want 13", c.limit, norm)
		}
		if want := []float64{3 * c.scale, -4 * c.scale, 12 * c.scale}; fmt.Sprint(grads["a"][0], grads["a"][1], grads["b"][0]) != fmt.Sprint(want[0], want[1], want[2]) {
			t.Errorf("limit %v: got %v, want %v", c.limit, grads, want)
		}
	}
}
