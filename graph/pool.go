package graph

import "fmt"

func init() {
	with := func(a Attr) []Attr { return append([]Attr{{"ceil_mode", only{int64(0)}}, a}, windowAttrs...) }
	windows := func(n *Node) int64 {
		seen := count(n.Outputs[0].Shape)
		for _, k := range n.Ints("kernel_shape") {
			seen = product(seen, k)
		}
		return seen
	}
	register(map[string]operator{
		"MaxPool":           {operands: unary, attrs: with(Attr{"storage_order", only{int64(0)}}), infer: inferPool, vjp: vjpMaxPool, seen: windows},
		"AveragePool":       {operands: unary, attrs: with(Attr{"count_include_pad", int64(0)}), infer: inferPool, vjp: vjpAveragePool, seen: windows},
		"GlobalAveragePool": {operands: unary, infer: inferGlobalPool, vjp: vjpGlobalAveragePool},
		"ScatterElements":   {operands: arity{3, 3}, attrs: []Attr{{"axis", int64(0)}, {"reduction", ""}}, infer: inferScatter},
	})
}

// PoolOptions are the attributes of a pooling; nil strides by the window and does not pad.
type PoolOptions struct {
	Pads    [4]int // top, left, bottom, right; never counted in averages
	Strides [2]int // 0 is the window's size
}

func poolAttrs(kh, kw int, o *PoolOptions) []Attr {
	c := PoolOptions{}
	if o != nil {
		c = *o
	}
	for i, k := range []int{kh, kw} {
		if c.Strides[i] == 0 {
			c.Strides[i] = k
		}
	}
	return []Attr{{"kernel_shape", []int64{int64(kh), int64(kw)}}, {"pads", int64s(c.Pads[:])}, {"strides", int64s(c.Strides[:])}}
}

// MaxPool takes the maximum of each window of kh rows and kw columns of x [N,C,H,W].
func MaxPool(x *Value, kh, kw int, o *PoolOptions) *Value {
	return x.g.Op("MaxPool", poolAttrs(kh, kw, o), x)
}

// AveragePool takes the mean of each window of kh rows and kw columns of x [N,C,H,W].
func AveragePool(x *Value, kh, kw int, o *PoolOptions) *Value {
	return x.g.Op("AveragePool", poolAttrs(kh, kw, o), x)
}

func inferPool(n *Node) ([]Type, error) {
	o, err := convOptions(n)
	if err != nil {
		return nil, err
	}
	x, k := n.Inputs[0], n.Ints("kernel_shape")
	if x.Rank() != 4 || len(k) != 2 {
		return nil, fmt.Errorf("got %v and window %v, want [N,C,H,W] and two numbers", x.Type, k)
	}
	shape := []int{x.Shape[0], x.Shape[1], 0, 0}
	for i := range 2 {
		if before, after := o.Pads[i], o.Pads[i+2]; k[i] < 1 || max(before, after) >= int(k[i]) {
			return nil, fmt.Errorf("got a window of %v and pads %v, want every window to see the image", k, o.Pads)
		}
		shape[2+i] = window(x.Shape[2+i], o.Pads[i], o.Pads[i+2], int(k[i]), o.Strides[i], o.Dilations[i])
		if shape[2+i] == 0 {
			return nil, fmt.Errorf("the window is larger than the padded image")
		}
	}
	return []Type{{x.DType, shape}, {Int64, shape}}, nil
}

func vjpMaxPool(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, g := n.Inputs[0], dy.g
	c, _ := convOptions(n)
	k := n.Ints("kernel_shape")
	kh, kw := int(k[0]), int(k[1])
	if c.Pads == [4]int{} && c.Strides == [2]int{kh, kw} && c.Dilations == [2]int{1, 1} {
		return []*Value{firstMaximum(x, n.Outputs[0], dy, kh, kw)}
	}
	size := Elements(x.Shape)
	if size < 0 {
		return []*Value{g.fail("gradient of MaxPool of %v: give the batch a size", x.Type)}
	}
	// The second result of the operator holds the place of each (first) maximum in x, flattened.
	at := g.OpN("MaxPool", n.Attrs, 2, x)[1]
	total := Elements(dy.Shape)
	dx := g.Op("ScatterElements", []Attr{{"axis", int64(0)}, {"reduction", "add"}},
		g.Const("", Zeros(Float32, size)), Reshape(at, total), Reshape(dy, total))
	return []*Value{Reshape(dx, x.Shape...)}
}

// firstMaximum sends dy to the first maximum, in row-major order, of each
// window, where windows of kh rows and kw columns tile x and y holds their
// maxima. The elements of a window that equal its maximum are ranked from kh·kw
// (the first) down to 1; the one of highest rank takes dy. Rows and columns
// that no window covers get zero.
func firstMaximum(x, y, dy *Value, kh, kw int) *Value {
	h, w := kh*dy.Shape[2], kw*dy.Shape[3]
	rest := [2]int{x.Shape[2] - h, x.Shape[3] - w}
	rank := make([]float32, kh*w) // of the elements of one row of windows
	for i := range rank {
		rank[i] = float32(kh*kw - (i/w*kw + i%w%kw))
	}
	g := dy.g
	maximal := Cast(Equal(pad2D(x, 0, 0, -rest[0], -rest[1]), UpsampleNearest(y, kh, kw)), Float32)
	ranked := Mul(Reshape(maximal, -1, x.Shape[1], dy.Shape[2], kh, w), g.Const("", NewTensor(rank, kh, w)))
	ranked = Reshape(ranked, -1, x.Shape[1], h, w)
	first := Equal(ranked, UpsampleNearest(MaxPool(ranked, kh, kw, nil), kh, kw))
	return pad2D(Where(first, UpsampleNearest(dy, kh, kw), g.Scalar(0)), 0, 0, rest[0], rest[1])
}

func inferScatter(n *Node) ([]Type, error) {
	x, at, up := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	if at.DType != Int64 || up.DType != x.DType || !compatible(at.Shape, up.Shape) || at.Rank() != x.Rank() {
		return nil, fmt.Errorf("got indices %v and updates %v for %v", at.Type, up.Type, x.Type)
	}
	if r := n.Text("reduction", "none"); r != "none" && r != "add" {
		return nil, fmt.Errorf("reduction: got %q, want none or add", r)
	}
	return []Type{x.Type}, nil
}

// vjpAveragePool spreads dy over each window: by nearest upsampling where the
// windows tile the image, else by a transposed convolution with ones, channel by channel.
func vjpAveragePool(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, g := n.Inputs[0], dy.g
	c, _ := convOptions(n)
	k := n.Ints("kernel_shape")
	kh, kw := int(k[0]), int(k[1])
	if c.Pads == [4]int{} && c.Strides == [2]int{kh, kw} && c.Dilations == [2]int{1, 1} {
		dx := UpsampleNearest(Mul(dy, g.Scalar(1/float64(kh*kw))), kh, kw)
		return []*Value{pad2D(dx, 0, 0, x.Shape[2]-dx.Shape[2], x.Shape[3]-dx.Shape[3])}
	}
	if n.Int("count_include_pad", 0) != 0 || c.Dilations != [2]int{1, 1} {
		return []*Value{g.fail("gradient of AveragePool with count_include_pad or dilations")}
	}
	// Windows at the edge average over fewer elements: divide by their number.
	h, w := dy.Shape[2], dy.Shape[3]
	share := make([]float32, h*w)
	for y := range h {
		rows := covered(y*c.Strides[0]-c.Pads[0], kh, x.Shape[2])
		for z := range w {
			share[y*w+z] = 1 / float32(rows*covered(z*c.Strides[1]-c.Pads[1], kw, x.Shape[3]))
		}
	}
	dy = Mul(dy, g.Const("", NewTensor(share, 1, 1, h, w)))
	channels := x.Shape[1]
	c.Groups = channels
	var more [2]int
	for i := range more {
		more[i] = x.Shape[2+i] - (c.Strides[i]*(dy.Shape[2+i]-1) + int(k[i]) - c.Pads[i] - c.Pads[i+2])
	}
	return []*Value{ConvTranspose(dy, g.Const("", ones([]int{channels, 1, kh, kw})), nil, &c, more[0], more[1])}
}

// GlobalAveragePool returns the mean of each plane of x [N,C,H,W]: [N,C,1,1].
func GlobalAveragePool(x *Value) *Value { return x.g.Op("GlobalAveragePool", nil, x) }

func inferGlobalPool(n *Node) ([]Type, error) {
	x := n.Inputs[0]
	if x.Rank() != 4 || !x.DType.IsFloat() {
		return nil, fmt.Errorf("got %v, want floats [N,C,H,W]", x.Type)
	}
	return []Type{{x.DType, []int{x.Shape[0], x.Shape[1], 1, 1}}}, nil
}

func vjpGlobalAveragePool(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x := n.Inputs[0]
	h, w := x.Shape[2], x.Shape[3]
	if h == Dynamic || w == Dynamic {
		return []*Value{dy.g.fail("gradient of GlobalAveragePool of %v: give the image a size", x.Type)}
	}
	return []*Value{Expand(Mul(dy, dy.g.Scalar(1/float64(h*w))), 1, 1, h, w)}
}

// covered returns how many of the k elements from start on lie in [0,size).
func covered(start, k, size int) int { return min(start+k, size) - max(start, 0) }
