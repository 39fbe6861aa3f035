package graph

import (
	"fmt"
	"math"
	"slices"
)

func init() {
	register(map[string]operator{"Resize": {
		operands: arity{1, 4}, shaping: []int{1, 2, 3}, infer: inferResize, vjp: vjpResize,
		attrs: []Attr{
			{"antialias", int64(0)},
			{"axes", []int64{}},
			{"coordinate_transformation_mode", ""},
			{"cubic_coeff_a", float32(0)},
			{"exclude_outside", int64(0)},
			{"extrapolation_value", float32(0)}, // of tf_crop_and_resize, which there is not
			{"keep_aspect_ratio_policy", only{"stretch"}},
			{"mode", ""},
			{"nearest_mode", ""},
		},
	}})
}

// UpsampleNearest repeats each pixel of x [N,C,H,W] sy times down and sx times across.
func UpsampleNearest(x *Value, sy, sx int) *Value {
	scales := x.g.Const("", NewTensor([]float32{1, 1, float32(sy), float32(sx)}, 4))
	return x.g.Op("Resize", []Attr{
		{"coordinate_transformation_mode", "asymmetric"},
		{"mode", "nearest"},
		{"nearest_mode", "floor"},
	}, x, nil, scales)
}

// ResizeOptions are the attributes of [ResizeLinear]; nil interpolates between
// the centres of pixels.
type ResizeOptions struct {
	// Antialias averages, where the image shrinks, over as many pixels as fall
	// into one, those at the border over fewer: Pillow's BILINEAR and PyTorch's
	// interpolate with antialias.
	Antialias bool
	// AlignCorners maps the centres of the corner pixels to each other.
	AlignCorners bool
}

// ResizeLinear interpolates x [N,C,H,W] bilinearly to [N,C,height,width].
func ResizeLinear(x *Value, height, width int, o *ResizeOptions) *Value {
	if o == nil {
		o = &ResizeOptions{}
	}
	attrs := []Attr{{"axes", []int64{2, 3}}, {"coordinate_transformation_mode", "half_pixel"}, {"mode", "linear"}}
	if o.AlignCorners {
		attrs[1].Value = "align_corners"
	}
	if o.Antialias {
		attrs = append(attrs, Attr{"antialias", int64(1)}, Attr{"exclude_outside", int64(1)})
	}
	return x.g.Op("Resize", attrs, x, nil, nil, x.g.ints(height, width))
}

// A resizing is what a Resize does along one axis.
type resizing struct {
	axis, in, out int
	scale         float64
}

// resizings returns what n does along the axes whose size it changes.
func resizings(n *Node) ([]resizing, error) {
	x := n.Inputs[0]
	axes := make([]int, x.Rank())
	for i := range axes {
		axes[i] = i
	}
	if list := n.Ints("axes"); list != nil {
		axes = nil
		for _, a := range list {
			axis, err := normAxis(int(a), x.Rank())
			if err != nil || slices.Contains(axes, axis) {
				return nil, fmt.Errorf("axes: got %v for %v", list, x.Type)
			}
			axes = append(axes, axis)
		}
	}
	sizes, err := constInts(n, 3)
	if err != nil {
		return nil, err
	}
	var scales []float32
	if s := n.In(2); s != nil && (s.konst == nil || s.DType != Float32) {
		return nil, fmt.Errorf("scales: got %v, want a constant float32 vector", s.Type)
	} else if s != nil {
		scales = Data[float32](s.konst)
	}
	if len(sizes)+len(scales) != len(axes) || len(sizes) > 0 && len(scales) > 0 {
		return nil, fmt.Errorf("got %d scales and %d sizes for %d axes of %v, want one of the two", len(scales), len(sizes), len(axes), x.Type)
	}
	var rs []resizing
	for i, axis := range axes {
		r := resizing{axis: axis, in: x.Shape[axis]}
		switch {
		case sizes != nil:
			r.out = sizes[i]
			r.scale = float64(r.out) / float64(r.in)
		case scales[i] == 1:
			continue
		default:
			r.scale = float64(scales[i])
			r.out = int(math.Floor(float64(r.in) * min(r.scale, math.MaxInt32)))
		}
		switch {
		case r.in == Dynamic:
			return nil, fmt.Errorf("scales dynamic axis %d", axis)
		case !(r.scale > 0) || min(r.in, r.out) < 1:
			return nil, fmt.Errorf("axis %d: got %d pixels from %d", axis, r.out, r.in)
		case r.in != r.out:
			rs = append(rs, r)
		case sizes == nil: // whether pixels move then depends on the other axes, in ONNX Runtime
			return nil, fmt.Errorf("axis %d: a scale of %v leaves all of %d pixels", axis, r.scale, r.in)
		}
	}
	return rs, nil
}

func inferResize(n *Node) ([]Type, error) {
	rs, err := resizings(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	mode, at := n.Text("mode", "nearest"), n.Text("coordinate_transformation_mode", "half_pixel")
	antialias, exclude := n.Int("antialias", 0) != 0, n.Int("exclude_outside", 0) != 0
	rule := n.Text("nearest_mode", "round_prefer_floor")
	switch {
	case !slices.Contains([]string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}, at):
		return nil, fmt.Errorf("coordinate_transformation_mode %q", at)
	case mode == "nearest" && (antialias || exclude):
		return nil, fmt.Errorf("mode nearest: antialias %t, exclude_outside %t", antialias, exclude)
	case mode == "nearest" && !slices.Contains([]string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}, rule):
		return nil, fmt.Errorf("nearest_mode %q", rule)
	case mode != "nearest" && mode != "linear" && mode != "cubic":
		return nil, fmt.Errorf("mode: got %q, want nearest, linear or cubic", mode)
	case mode != "nearest" && !x.DType.IsFloat():
		return nil, fmt.Errorf("mode %s: got %v, want floats", mode, x.Type)
	case mode == "linear" && exclude && !antialias:
		return nil, fmt.Errorf("mode linear: exclude_outside without antialias")
	}
	shape := slices.Clone(x.Shape)
	for _, r := range rs {
		shape[r.axis] = r.out
	}
	return []Type{{x.DType, shape}}, nil
}

// place returns where place i of the result lies among the places of the image.
func (r resizing) place(i int, mode string) float64 {
	switch {
	case mode == "asymmetric":
		return float64(i) / r.scale
	case mode == "align_corners" && r.out > 1:
		return float64(i) * float64(r.in-1) / float64(r.out-1)
	case mode == "half_pixel" || mode == "pytorch_half_pixel" && r.out > 1:
		return (float64(i)+0.5)/r.scale - 0.5
	case mode == "half_pixel_symmetric": // what rounding the size cuts off, or adds, is shared by both ends
		cut := float64(r.in) / 2 * (1 - float64(r.out)/(r.scale*float64(r.in)))
		return cut + (float64(i)+0.5)/r.scale - 0.5
	}
	return 0
}

// nearest returns the place that place i of the result repeats: found in
// float32, as in ONNX Runtime, so that 2/0.4 is 5.
func (r resizing) nearest(i int, mode, rule string) int {
	at := r.place(i, mode)
	switch scale := float32(r.scale); {
	case mode == "asymmetric":
		at = float64(float32(i) / scale)
	case mode == "half_pixel" || mode == "pytorch_half_pixel" && r.out > 1:
		at = float64((float32(i)+0.5)/scale - 0.5)
	}
	switch rule {
	case "floor":
		at = math.Floor(at)
	case "ceil":
		at = math.Ceil(at)
	case "round_prefer_ceil":
		at = math.Floor(at + 0.5)
	default:
		at = math.Ceil(at - 0.5)
	}
	return int(min(max(at, 0), float64(r.in-1)))
}

// weight returns the weight of a pixel at a distance from where a pixel of the
// result lies: for linear a triangle from 1 to 0 at 1, for cubic Keys' curve
// that ends at 2 (IEEE Transactions on Acoustics, Speech, and Signal Processing
// 29(6), 1981, equation 14 with another a).
func weight(distance float64, cubic bool, a float64) float64 {
	d := math.Abs(distance)
	switch {
	case !cubic:
		return max(0, 1-d)
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

// matrix returns the weights that the pixels along an axis of the image have in
// those of the result, a row for each pixel of the image. With antialias they
// fall off over pixels of the result where these are larger. What lies outside
// counts as the border pixel, or not at all with exclude_outside, as ONNX's
// Resize-18 says.
func (r resizing) matrix(n *Node) *Tensor {
	m := make([]float32, r.in*r.out)
	slope := 1.
	if n.Int("antialias", 0) != 0 {
		slope = min(1, r.scale)
	}
	exclude := n.Int("exclude_outside", 0) != 0
	mode, transformation := n.Text("mode", "nearest"), n.Text("coordinate_transformation_mode", "half_pixel")
	cubic, a := mode == "cubic", float64(n.Float("cubic_coeff_a", -0.75))
	reach := 1 / slope
	if cubic {
		reach = 2 / slope
	}
	for i := range r.out {
		if mode == "nearest" {
			m[r.nearest(i, transformation, n.Text("nearest_mode", "round_prefer_floor"))*r.out+i] = 1
			continue
		}
		at := r.place(i, transformation)
		column, sum := make([]float64, r.in), 0.
		for j := int(math.Floor(at - reach)); j <= int(math.Ceil(at+reach)); j++ {
			if exclude && (j < 0 || j >= r.in) {
				continue
			}
			w := weight((float64(j)-at)*slope, cubic, a)
			column[min(max(j, 0), r.in-1)] += w
			sum += w
		}
		for j, w := range column {
			m[j*r.out+i] = float32(w / sum)
		}
	}
	return NewTensor(m, r.in, r.out)
}

// vjpResize sums each block of pixels that nearest upsampling made of one; in
// general it multiplies by the transposed weights, axis by axis.
func vjpResize(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x := n.Inputs[0]
	rs, err := resizings(n)
	if err != nil {
		return []*Value{dy.g.fail("%v", err)}
	}
	blocks := [2]int{1, 1}
	whole := n.Text("mode", "nearest") == "nearest" && x.Rank() == 4 &&
		n.Text("coordinate_transformation_mode", "half_pixel") == "asymmetric" && n.Text("nearest_mode", "round_prefer_floor") == "floor"
	for _, r := range rs {
		// A scale of 2.3 makes 4 pixels of 2, but not in blocks of 2.
		if whole = whole && r.axis >= 2 && r.scale == math.Floor(r.scale); whole {
			blocks[r.axis-2] = int(r.scale)
		}
	}
	if whole {
		sy, sx := blocks[0], blocks[1]
		return []*Value{Mul(AveragePool(dy, sy, sx, nil), dy.g.Scalar(float64(sy*sx)))}
	}
	for _, r := range rs {
		dy = mulLeft(dy.g.Const("", r.matrix(n)), dy, r.axis)
	}
	return []*Value{dy}
}
