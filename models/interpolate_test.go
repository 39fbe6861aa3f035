package models

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// interpolationTolerance is what float32 leaves of a sum of four products of numbers in [0,1].
const interpolationTolerance = 1e-6

// Products with matrices are what Resize computes, larger or smaller, whatever the sizes.
func TestInterpolate(t *testing.T) {
	for _, c := range [][4]int{{4, 6, 8, 12}, {5, 7, 8, 10}, {4, 4, 64, 64}, {9, 8, 4, 8}, {6, 3, 6, 7}, {1, 2, 5, 5}, {3, 3, 3, 3}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			g := graph.New("interpolate")
			x := g.Input("x", graph.Float32, 1, 3, c[0], c[1])
			h, w := c[2], c[3]
			g.Output("resized", graph.ResizeLinear(x, h, w, nil))
			g.Output("interpolated", interpolate(x, h, w))
			g.Output("rows", graph.Reshape(graph.Transpose(rows(x, h, w), 0, 2, 1), 1, 3, h, w))
			out, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{"x": noise(3, c[0], c[1], 1)})
			if err != nil {
				t.Fatal(err)
			}
			want := graph.Data[float32](out[0])
			for _, got := range out[1:] {
				for i, v := range graph.Data[float32](got) {
					if math.Abs(float64(v-want[i])) > interpolationTolerance {
						t.Fatalf("got %v at %d, want %v", v, i, want[i])
					}
				}
			}
		})
	}
}
