package ref

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// resize takes, for each place of the result, the element at place/scale,
// rounded down: mode nearest, asymmetric, floor. The quotient is a float32, as
// in ONNX Runtime: 2/0.4 is 5.
func resize[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	mode, coordinates, rule := n.Text("mode", "nearest"), n.Text("coordinate_transformation_mode", "half_pixel"), n.Text("nearest_mode", "round_prefer_floor")
	if mode != "nearest" || coordinates != "asymmetric" || rule != "floor" {
		return nil, fmt.Errorf("got mode %s, %s, %s, want nearest, asymmetric, floor", mode, coordinates, rule)
	}
	shape, sizes := in[0].Shape(), optInts(in, 3)
	index := make([][]int, len(shape))
	for axis, d := range shape {
		var size int
		var scale float32
		if len(sizes) > 0 {
			size = sizes[axis]
			scale = float32(size) / float32(d)
		} else {
			scale = graph.Data[float32](cast(in[2], graph.Float32))[axis]
			size = int(math.Floor(float64(d) * float64(scale)))
		}
		if size == d {
			continue
		}
		index[axis] = make([]int, size)
		for i := range size {
			index[axis][i] = min(int(float32(i)/scale), d-1)
		}
	}
	var zero E
	return take(in[0], index, zero)
}
