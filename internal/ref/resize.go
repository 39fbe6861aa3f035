package ref

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// A resizing is what a Resize does along one axis.
type resizing struct {
	axis, in, out int
	scale         float64
}

// resizings returns what n does along the axes whose size it changes.
func resizings(n *graph.Node, in []*graph.Tensor) []resizing {
	shape, sizes := in[0].Shape(), optInts(in, 3)
	axes := n.Ints("axes")
	if axes == nil {
		for i := range shape {
			axes = append(axes, int64(i))
		}
	}
	var rs []resizing
	for i, a := range axes {
		if a < 0 {
			a += int64(len(shape))
		}
		r := resizing{axis: int(a), in: shape[a]}
		if len(sizes) > 0 {
			r.out = sizes[i]
			r.scale = float64(r.out) / float64(r.in)
		} else {
			r.scale = float64(graph.Data[float32](cast(in[2], graph.Float32))[i])
			r.out = int(math.Floor(float64(r.in) * r.scale))
		}
		if r.in != r.out {
			rs = append(rs, r)
		}
	}
	return rs
}

// place returns where place i of the result lies among those of the image.
func (r resizing) place(n *graph.Node, i int) float64 {
	switch mode := n.Text("coordinate_transformation_mode", "half_pixel"); {
	case mode == "asymmetric":
		return float64(i) / r.scale
	case mode == "align_corners" && r.out > 1:
		return float64(i) * float64(r.in-1) / float64(r.out-1)
	case mode == "half_pixel" || mode == "pytorch_half_pixel" && r.out > 1:
		return (float64(i)+0.5)/r.scale - 0.5
	case mode == "half_pixel_symmetric":
		return (float64(r.in)-float64(r.out)/r.scale)/2 + (float64(i)+0.5)/r.scale - 0.5
	}
	return 0
}

// resizeNearest takes, for each place of the result, the element at the place it
// lies at, rounded as the node says. Quotients are float32, as in ONNX Runtime:
// 2/0.4 is 5.
func resizeNearest[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	if mode := n.Text("mode", "nearest"); mode != "nearest" {
		return nil, fmt.Errorf("mode %s: got %v, want floats", mode, in[0].DType())
	}
	round := func(at float64) float64 { return math.Ceil(at - 0.5) }
	switch n.Text("nearest_mode", "round_prefer_floor") {
	case "floor":
		round = math.Floor
	case "ceil":
		round = math.Ceil
	case "round_prefer_ceil":
		round = func(at float64) float64 { return math.Floor(at + 0.5) }
	}
	index := make([][]int, len(in[0].Shape()))
	for _, r := range resizings(n, in) {
		index[r.axis] = make([]int, r.out)
		for i := range r.out {
			at := r.place(n, i)
			mode := n.Text("coordinate_transformation_mode", "half_pixel")
			switch scale := float32(r.scale); {
			case mode == "asymmetric":
				at = float64(float32(i) / scale)
			case mode == "half_pixel" || mode == "pytorch_half_pixel" && r.out > 1:
				at = float64((float32(i)+0.5)/scale - 0.5)
			}
			index[r.axis][i] = int(min(max(round(at), 0), float64(r.in-1)))
		}
	}
	var zero E
	return take(in[0], index, zero)
}

// resize interpolates, for modes linear and cubic, one axis after the other.
func resize[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	if n.Text("mode", "nearest") == "nearest" {
		return resizeNearest[T](n, in)
	}
	x := in[0]
	for _, r := range resizings(n, in) {
		shape := append([]int{}, x.Shape()...)
		outer, inner := graph.Elements(shape[:r.axis]), graph.Elements(shape[r.axis+1:])
		shape[r.axis] = r.out
		src, dst := graph.Data[T](x), make([]T, outer*r.out*inner)
		for i := range r.out {
			first, weights := r.weights(n, i)
			for o := range outer {
				row := dst[(o*r.out+i)*inner:][:inner]
				for k, w := range weights {
					for c, v := range src[(o*r.in+first+k)*inner:][:inner] {
						row[c] += T(w) * v
					}
				}
			}
		}
		x = graph.NewTensor(dst, shape...)
	}
	return one(x, nil)
}

// weights returns with what weights place i of the result is made of the places
// from first on.
func (r resizing) weights(n *graph.Node, i int) (first int, weights []float64) {
	at := r.place(n, i)
	scale := r.scale
	if n.Int("antialias", 0) == 0 {
		scale = max(scale, 1)
	}
	curve, reach := triangle, 1.
	if n.Text("mode", "nearest") == "cubic" {
		curve, reach = keys(float64(n.Float("cubic_coeff_a", -0.75))), 2
	} else if scale >= 1 {
		at = min(max(at, 0), float64(r.in-1))
		first = min(int(at), max(r.in-2, 0))
		t := at - float64(first)
		return first, []float64{1 - t, t}[:min(2, r.in)]
	}
	// A curve as wide as two places of the result, or four. Those of its taps
	// that lie outside are the border's, or left out.
	scale = min(scale, 1)
	reach /= scale
	lo, hi := int(math.Floor(at-reach))+1, int(math.Ceil(at+reach)) // lo ≤ tap < hi
	first = min(max(lo, 0), r.in-1)
	weights = make([]float64, max(min(hi, r.in)-first, 1))
	sum := 0.
	for tap := lo; tap < hi; tap++ {
		if n.Int("exclude_outside", 0) != 0 && (tap < 0 || tap >= r.in) {
			continue
		}
		w := curve((float64(tap) - at) * scale)
		weights[min(max(tap-first, 0), len(weights)-1)] += w
		sum += w
	}
	for k := range weights {
		weights[k] /= sum
	}
	return first, weights
}

func triangle(d float64) float64 { return max(0, 1-math.Abs(d)) }

// keys is the cubic convolution kernel (Keys, IEEE Transactions on Acoustics,
// Speech, and Signal Processing 29(6), 1981), with its slope a at 1.
func keys(a float64) func(d float64) float64 {
	return func(d float64) float64 {
		switch d = math.Abs(d); {
		case d < 1:
			return (a+2)*d*d*d - (a+3)*d*d + 1
		case d < 2:
			return a*d*d*d - 5*a*d*d + 8*a*d - 4*a
		}
		return 0
	}
}
