package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// poolTol is relative to max(1, |want|): of a window's few terms the sum is rounded in
// another order, and divided by as a factor.
const poolTol = 1e-6

// TestPool: windows at each pixel, whose rows are joined before their columns, give
// what internal/ref gives, at every edge.
func TestPool(t *testing.T) {
	tests := []struct {
		height, width, kh, kw int
		pads                  [4]int
	}{
		{9, 37, 3, 3, [4]int{1, 1, 1, 1}},
		{9, 37, 3, 3, [4]int{}},
		{4, 16, 1, 5, [4]int{0, 4, 0, 0}},
		{4, 16, 5, 1, [4]int{0, 0, 4, 0}},
		{2, 3, 4, 7, [4]int{2, 4, 3, 6}}, // windows wider than the image
		{1, 1, 3, 3, [4]int{1, 1, 1, 1}},
		{6, 50, 2, 4, [4]int{1, 0, 0, 3}},
	}
	eachISA(t, func(t *testing.T, set *isa) {
		for _, tt := range tests {
			for _, mean := range []bool{false, true} {
				for _, padding := range []bool{false, true} {
					g := graph.New("pool")
					x := g.Input("x", graph.Float32, 2, 3, tt.height, tt.width)
					attrs := []graph.Attr{
						{Name: "kernel_shape", Value: []int64{int64(tt.kh), int64(tt.kw)}}, {Name: "strides", Value: []int64{1, 1}},
						{Name: "pads", Value: []int64{int64(tt.pads[0]), int64(tt.pads[1]), int64(tt.pads[2]), int64(tt.pads[3])}},
					}
					op := "MaxPool"
					if mean {
						op = "AveragePool"
					}
					if mean && padding {
						attrs = append(attrs, graph.Attr{Name: "count_include_pad", Value: int64(1)})
					}
					g.Output("y", g.Op(op, attrs, x))
					if err := g.Err(); err != nil {
						t.Fatal(err)
					}
					in := graph.Zeros(graph.Float32, x.Shape...)
					rng := rand.New(rand.NewPCG(1, 2))
					for i := range graph.Data[float32](in) {
						graph.Data[float32](in)[i] = float32(rng.NormFloat64())
					}
					feeds := map[string]*graph.Tensor{"x": in}
					want, err := ref.Eval[float32](t.Context(), g, feeds, g.Outputs()...)
					if err != nil {
						t.Fatal(err)
					}
					compare(t, fmt.Sprintf("%+v, mean %v, padding %v", tt, mean, padding), g, feeds, nil, want, &Options{Threads: 1, isa: set}, poolTol)
				}
			}
		}
	})
}
