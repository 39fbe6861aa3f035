package graph_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/randgraph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

const (
	randomGraphs = 300
	randomSteps  = 8
	// randomTolerance is relative to max(1, |want|): each of the steps brings
	// the 6e-8 of float32 constants, and those multiply.
	randomTolerance = 1e-5
	// randomStep is small, so that few differences step over a kink.
	randomStep = 1e-6
	// randomKinks is the share of differences that may do so.
	randomKinks = 0.02
)

// TestRandomGradients compares the gradients of random graphs with central
// differences along a random direction for each leaf.
func TestRandomGradients(t *testing.T) {
	covered, compared, kinks := map[string]bool{}, 0, 0
	for seed := range uint64(randomGraphs) {
		r := randgraph.New(seed, randomSteps, 1+int(seed%3), false)
		for _, n := range r.Nodes(r.Loss) {
			covered[n.Op] = true
		}
		grads, err := graph.Gradients(r.Loss, r.Leaves, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		feeds := map[string]*graph.Tensor{}
		for name, x := range r.Feeds {
			feeds[name] = float64s(x)
		}
		eval := func(want ...*graph.Value) []*graph.Tensor {
			out, err := ref.Eval[float64](context.Background(), r.Graph, feeds, want...)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return out
		}
		out := eval(append(grads, r.Loss)...)
		loss := graph.Data[float64](out[len(grads)])[0]
		rng := rand.New(rand.NewPCG(seed, 2))
		for i, leaf := range r.Leaves {
			at := feeds[leaf.Name()]
			direction := make([]float64, at.Len())
			got := 0.
			for j := range direction {
				direction[j] = 2*rng.Float64() - 1
				got += direction[j] * graph.Data[float64](out[i])[j]
			}
			moved := func(step float64) float64 {
				x := at.Clone()
				for j, d := range direction {
					graph.Data[float64](x)[j] += step * d
				}
				feeds[leaf.Name()] = x
				defer func() { feeds[leaf.Name()] = at }()
				return graph.Data[float64](eval(r.Loss)[0])[0]
			}
			ahead, behind := (moved(randomStep)-loss)/randomStep, (loss-moved(-randomStep))/randomStep
			want := (ahead + behind) / 2
			compared++
			if d := math.Abs(got - want); !(d <= randomTolerance*max(1, math.Abs(want))) {
				// Over a kink the gradient is that of one side or between.
				if d > math.Abs(ahead-behind) {
					t.Errorf("seed %d, gradient of %s: got %v, want %v (%v ahead, %v behind)", seed, leaf.Name(), got, want, ahead, behind)
				}
				kinks++
			}
		}
	}
	t.Logf("%d gradients, %d over a kink", compared, kinks)
	if float64(kinks) > randomKinks*float64(compared) {
		t.Errorf("%d of %d differences step over a kink", kinks, compared)
	}
	for _, op := range graph.Operators() {
		if !covered[op] && !slices.Contains(flat, op) {
			t.Errorf("operator %s is in no random graph", op)
		}
	}
}

// TestRandomShapes compares the inferred types of all values with the computed
// ones, with the batch's size known and left open.
func TestRandomShapes(t *testing.T) {
	for seed := range uint64(randomGraphs) {
		batch := 1 + int(seed%3)
		known, open := randgraph.New(seed, randomSteps, batch, false), randgraph.New(seed, randomSteps, batch, true)
		for _, r := range []*randgraph.Random{known, open} {
			out, err := ref.Eval[float32](context.Background(), r.Graph, r.Feeds, r.Values...)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i, v := range r.Values {
				inferred := slices.Clone(v.Shape)
				if r == open && inferred[0] == graph.Dynamic {
					inferred[0] = batch
				}
				if got := out[i].Shape(); !slices.Equal(got, inferred) || out[i].DType() != v.DType {
					t.Fatalf("seed %d: %s is %v%v, want %v as inferred", seed, v.Name(), out[i].DType(), got, v.Type)
				}
			}
		}
	}
}

func float64s(x *graph.Tensor) *graph.Tensor {
	y := make([]float64, x.Len())
	for i, v := range graph.Data[float32](x) {
		y[i] = float64(v)
	}
	return graph.NewTensor(y, x.Shape()...)
}

// TestRandomRepeats: a seed gives one graph.
func TestRandomRepeats(t *testing.T) {
	describe := func(r *randgraph.Random) string {
		s := ""
		for _, n := range r.Nodes(r.Values...) {
			s += fmt.Sprintln(n.Op, n.Attrs, n.Outputs[0].Type)
		}
		return s + fmt.Sprint(graph.Data[float32](r.Feeds["x0"]))
	}
	if a, b := describe(randgraph.New(7, 20, 2, false)), describe(randgraph.New(7, 20, 2, false)); a != b {
		t.Errorf("got\n%s\nand\n%s", a, b)
	}
	if a, b := describe(randgraph.New(7, 20, 2, false)), describe(randgraph.New(8, 20, 2, false)); a == b {
		t.Errorf("two seeds give one graph:\n%s", a)
	}
}
