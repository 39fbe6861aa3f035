package graph_test

import (
	"context"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// Where windows tile an image the gradient of MaxPool is written without the
// places of the maxima; it must be the one that goes by them, also with rows and
// columns that no window covers, and ties.
func TestMaxPoolTiles(t *testing.T) {
	for _, c := range []struct {
		window []int
		shape  []int
	}{
		{[]int{2, 2}, []int{2, 3, 4, 6}},
		{[]int{2, 2}, []int{1, 2, 5, 7}},
		{[]int{3, 2}, []int{2, 1, 8, 5}},
		{[]int{1, 3}, []int{1, 1, 2, 10}},
	} {
		g := graph.New("pool")
		x := g.Input("x", graph.Float32, c.shape...)
		y := graph.MaxPool(x, c.window[0], c.window[1], nil)
		at := g.OpN("MaxPool", y.Node().Attrs, 2, x)[1]
		grads, err := graph.Gradients(graph.ReduceSum(graph.Mul(y, y), false), []*graph.Value{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]float32, graph.Elements(c.shape))
		for i := range data {
			data[i] = float32((i*7 + i/5) % 4) // ties in most windows
		}
		out, err := ref.Eval[float64](context.Background(), g, map[string]*graph.Tensor{"x": graph.NewTensor(data, c.shape...)}, grads[0], y, at)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(data))
		for i, j := range graph.Data[int64](out[2]) {
			want[j] = 2 * graph.Data[float64](out[1])[i]
		}
		if got := graph.Data[float64](out[0]); !slices.Equal(got, want) {
			t.Errorf("%v of %v: got %v, want %v", c.window, c.shape, got, want)
		}
	}
}
