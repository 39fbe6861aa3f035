package graph_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// A custom rule takes the place of all operators between X and y, flows on, and
// is told whether it has to.
func TestCustomVJP(t *testing.T) {
	g := graph.New("custom")
	x, fixed := g.Input("x", graph.Float32, 2), g.Input("fixed", graph.Float32, 2)
	u := graph.Mul(x, g.Scalar(3))
	y := graph.Relu(graph.Neg(u))
	z := graph.Add(graph.Mul(fixed, x), g.Scalar(1))
	var needs []bool
	rule := func(factor float64) func(dy *graph.Value, need bool) *graph.Value {
		return func(dy *graph.Value, need bool) *graph.Value {
			needs = append(needs, need)
			return graph.Mul(dy, g.Scalar(factor))
		}
	}
	loss := graph.ReduceSum(graph.Add(graph.Add(y, z), u), false)
	grads, err := graph.Gradients(loss, []*graph.Value{x}, &graph.GradOptions{Custom: map[*graph.Value]graph.CustomVJP{
		y: {X: u, VJP: rule(10)},
		z: {X: fixed, VJP: rule(100)}, // which hides that z depends on x
	}})
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*graph.Tensor{"x": graph.NewTensor([]float32{1, -2}, 2), "fixed": graph.NewTensor([]float32{5, 7}, 2)}
	out, err := ref.Eval[float64](context.Background(), g, feeds, grads...)
	if err != nil {
		t.Fatal(err)
	}
	// Through u alone: its own share of 1 and the rule's of 10, times 3.
	if got, want := graph.Data[float64](out[0]), []float64{33, 33}; !slices.Equal(got, want) {
		t.Errorf("got gradient %v, want %v", got, want)
	}
	slices.SortFunc(needs, func(a, b bool) int {
		if a {
			return -1
		}
		return 1
	})
	if !slices.Equal(needs, []bool{true, false}) {
		t.Errorf("got needs %v, want one of the two rules' to be told that a gradient flows on", needs)
	}
}

func TestCustomVJPErrors(t *testing.T) {
	for name, rule := range map[string]func(g *graph.Graph) *graph.Value{
		"got none":  func(g *graph.Graph) *graph.Value { return nil },
		"got shape": func(g *graph.Graph) *graph.Value { return g.Const("", graph.Zeros(graph.Float32, 3)) },
		"broadcast": func(g *graph.Graph) *graph.Value {
			return graph.Add(g.Const("", graph.Zeros(graph.Float32, 3)), g.Const("", graph.Zeros(graph.Float32, 2)))
		},
	} {
		g := graph.New("custom")
		x := g.Input("x", graph.Float32, 2)
		y := graph.Neg(x)
		_, err := graph.Gradients(graph.ReduceSum(y, false), []*graph.Value{x}, &graph.GradOptions{Custom: map[*graph.Value]graph.CustomVJP{
			y: {X: x, VJP: func(dy *graph.Value, need bool) *graph.Value { return rule(g) }},
		}})
		if !errors.Is(err, graph.ErrGraph) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
