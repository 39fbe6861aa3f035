package backbone

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A lifting makes of a graph of one image that of any number, which keeps images
// apart. Exporters write batches of one into shapes, and constants beside them; so
// what a batch does to each operator is known here, as in JAX's vmap.
type lifting struct {
	to     *graph.Graph
	values map[*graph.Value]batched
	leaf   func(v *graph.Value, shaping bool) *graph.Value // a constant in graph to
}

// batched is a value of any number N of images, of what has the given shape for one.
type batched struct {
	v     *graph.Value
	shape []int
	axis  int // of v, of N images instead of one; leading: v has one more, at the front
}

const (
	none    = -1 // does not depend on the images
	leading = -2
)

// lift appends what taps depend on, in being the image and x those that stand for
// it, and returns the taps, the images along their first dimension.
func (l *lifting) lift(in, x *graph.Value, taps []*graph.Value) ([]*graph.Value, error) {
	l.values = map[*graph.Value]batched{in: {x, in.Shape, 0}}
	for _, n := range in.Graph().Nodes(taps...) {
		err := l.node(n)
		if err == nil {
			err = l.to.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s %q for more than one image: %w", n.Op, n.Outputs[0].Name(), err)
		}
	}
	out := make([]*graph.Value, len(taps))
	for i, t := range taps {
		b, ok := l.values[t]
		if !ok || b.axis == none {
			return nil, fmt.Errorf("%q does not depend on the image", t.Name())
		}
		if b.axis != 0 {
			b = l.inPlace(l.front(b, 0))
		}
		out[i] = b.v
	}
	return out, l.to.Err()
}

// front brings the images to a dimension of their own, before rank others: those
// of b, and ones before.
func (l *lifting) front(b batched, rank int) batched {
	if b.axis == none {
		return b
	}
	v := b.v
	if b.axis > 0 {
		perm := []int{b.axis}
		for i := range b.shape {
			if i != b.axis {
				perm = append(perm, i)
			}
		}
		v = graph.Transpose(v, perm...)
	}
	shape := slices.Concat([]int{0}, slices.Repeat([]int{1}, max(rank-len(b.shape), 0)), b.shape)
	if b.axis != leading || len(shape) != v.Rank() {
		v = graph.Reshape(v, shape...)
	}
	return batched{v, shape[1:], leading}
}

// inPlace puts the images where there is one, if that comes first.
func (l *lifting) inPlace(b batched) batched {
	if b.axis != leading || len(b.shape) == 0 || b.shape[0] != 1 {
		return b
	}
	return batched{graph.Reshape(b.v, append([]int{0}, b.shape[1:]...)...), b.shape, 0}
}

// elementwise operators give each element of the result by those of their operands
// at the same place, broadcast.
var elementwise = map[string]bool{
	"Abs": true, "Cast": true, "Clip": true, "Elu": true, "Erf": true, "Exp": true, "Floor": true, "Identity": true, "LeakyRelu": true,
	"Log": true, "Neg": true, "Not": true, "Relu": true, "Sigmoid": true, "Sign": true, "Softplus": true, "Sqrt": true, "Tanh": true,
	"Atan": true, "Ceil": true, "Cos": true, "Round": true, "Sin": true,
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Pow": true, "Max": true, "Min": true, "Mod": true, "Where": true,
	"Equal": true, "Greater": true, "GreaterOrEqual": true, "Less": true, "LessOrEqual": true, "And": true, "Or": true,
}

// imagewise operators compute each image [N,C,H,W] by itself.
var imagewise = map[string]bool{
	"Conv": true, "ConvTranspose": true, "MaxPool": true, "AveragePool": true, "GlobalAveragePool": true, "DepthToSpace": true, "SpaceToDepth": true, "Resize": true,
}

// node appends one operator.
func (l *lifting) node(n *graph.Node) error {
	in := make([]batched, len(n.Inputs))
	first, depends := -1, 0
	for i, v := range n.Inputs {
		if v == nil {
			in[i].axis = none
			continue
		}
		b, ok := l.values[v]
		if !ok {
			b = batched{l.leaf(v, slices.Contains(graph.ShapeOperands(n.Op), i)), v.Shape, none}
			l.values[v] = b
		}
		if in[i] = b; b.axis != none {
			if first < 0 {
				first = i
			}
			depends++
		}
	}
	if depends == 0 {
		l.put(n, none, n.Attrs, in)
		return nil
	}
	broadcasts := elementwise[n.Op] || n.Op == "MatMul" || n.Op == "Concat"
	if !broadcasts && (first != 0 || depends > 1) {
		return fmt.Errorf("operand %d depends on the image, want a constant", max(first, 1))
	}
	x := in[0]
	switch n.Op {
	case "MatMul":
		l.matMul(n, in)
	case "Concat":
		return l.concat(n, in)
	case "Gemm":
		l.gemm(n, in)
	case "Reshape":
		y := l.front(x, 0)
		l.values[n.Outputs[0]] = l.inPlace(batched{graph.Reshape(y.v, append([]int{0}, n.Outputs[0].Shape...)...), n.Outputs[0].Shape, leading})
	case "Expand":
		y := l.front(x, n.Outputs[0].Rank())
		l.values[n.Outputs[0]] = l.inPlace(batched{graph.Expand(y.v, append([]int{1}, n.Outputs[0].Shape...)...), n.Outputs[0].Shape, leading})
	case "Transpose":
		perm := slices.Clone(n.Ints("perm"))
		if x.axis == leading {
			for i := range perm {
				perm[i]++
			}
			perm = append([]int64{0}, perm...)
			l.put(n, leading, []graph.Attr{{Name: "perm", Value: perm}}, in)
			return nil
		}
		l.put(n, slices.Index(perm, int64(x.axis)), n.Attrs, in)
	case "Softmax", "Split", "Gather":
		def := int64(0)
		if n.Op == "Softmax" {
			def = -1
		}
		axis := normal(int(n.Int("axis", def)), len(x.shape))
		if x.axis > axis && n.Op == "Gather" || x.axis == axis {
			x = l.front(x, 0)
		}
		attrs := n.Attrs
		if x.axis == leading {
			attrs = slices.DeleteFunc(slices.Clone(attrs), func(a graph.Attr) bool { return a.Name == "axis" })
			attrs = append(attrs, graph.Attr{Name: "axis", Value: int64(axis + 1)})
		}
		in[0] = x
		l.put(n, x.axis, attrs, in)
	case "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd":
		in[0] = l.front(x, 0)
		axes := numbers(n.In(1))
		if len(axes) == 0 {
			if n.Int("noop_with_empty_axes", 0) != 0 {
				return fmt.Errorf("reduces nothing")
			}
			axes = nil
			for i := range x.shape {
				axes = append(axes, i)
			}
		}
		l.put(n, leading, n.Attrs, []batched{in[0], l.ints(shifted(axes, len(x.shape)))})
		for _, v := range n.Outputs {
			l.values[v] = l.inPlace(l.values[v])
		}
	case "Slice":
		in[0] = l.front(x, 0)
		axes := numbers(n.In(3))
		if axes == nil {
			for i := range numbers(n.In(1)) {
				axes = append(axes, i)
			}
		}
		list := []batched{in[0], in[1], in[2], l.ints(shifted(axes, len(x.shape)))}
		l.put(n, leading, n.Attrs, append(list, in[min(4, len(in)):]...))
		l.values[n.Outputs[0]] = l.inPlace(l.values[n.Outputs[0]])
	case "Pad":
		pads, rank := numbers(n.In(1)), len(x.shape)
		if len(pads) != 2*rank {
			return fmt.Errorf("got pads %v", pads)
		}
		if x.axis >= 0 && pads[x.axis] == 0 && pads[x.axis+rank] == 0 {
			l.put(n, x.axis, n.Attrs, in)
			return nil
		}
		in[0], in[1] = l.front(x, 0), l.ints(slices.Concat([]int{0}, pads[:rank], []int{0}, pads[rank:]))
		l.put(n, leading, n.Attrs, in)
	default:
		switch {
		case elementwise[n.Op]:
			in, axis := l.common(in, len(n.Outputs[0].Shape), 0)
			l.put(n, axis, n.Attrs, in)
		case imagewise[n.Op]:
			l.imagewise(n, in)
		default:
			return fmt.Errorf("it is not known what it makes of them")
		}
	}
	return nil
}

// put appends n with other operands and attributes, and notes where its results have the images.
func (l *lifting) put(n *graph.Node, axis int, attrs []graph.Attr, in []batched) {
	operands := make([]*graph.Value, len(in))
	for i, b := range in {
		operands[i] = b.v
	}
	for i, v := range l.to.OpN(n.Op, attrs, len(n.Outputs), operands...) {
		l.values[n.Outputs[i]] = batched{v, n.Outputs[i].Shape, axis}
	}
}

// common brings operands to where they can be broadcast to rank dimensions, but for
// their last skip, with the images along one axis.
func (l *lifting) common(in []batched, rank, skip int) ([]batched, int) {
	axis := none
	for _, b := range in { // along which dimension of the result, from its end
		switch {
		case b.axis == none:
		case b.axis == leading || b.axis >= len(b.shape)-skip || axis != none && axis != b.axis+rank-len(b.shape):
			axis = leading
		case axis == none:
			axis = b.axis + rank - len(b.shape)
		}
		if axis == leading {
			break
		}
	}
	for _, b := range in {
		if at := axis - (rank - len(b.shape)); axis >= 0 && b.axis == none && b.v != nil && at >= 0 && b.shape[at] != 1 {
			axis = leading
		}
	}
	if axis != leading {
		return in, axis
	}
	in = slices.Clone(in)
	for i, b := range in {
		in[i] = l.front(b, rank)
	}
	return in, leading
}

func (l *lifting) matMul(n *graph.Node, in []batched) {
	rank := len(n.Outputs[0].Shape)
	if in[1].axis == none && in[0].axis >= 0 && in[0].axis == len(in[0].shape)-2 { // rows
		l.put(n, rank-2, n.Attrs, in)
		return
	}
	in, axis := l.common(in, rank, 2)
	l.put(n, axis, n.Attrs, in)
}

// gemm is a product of matrices where rows are not images.
func (l *lifting) gemm(n *graph.Node, in []batched) {
	x := in[0]
	c := none
	if len(in) > 2 && in[2].v != nil {
		c = 2
	}
	if x.axis == 0 && n.Int("transA", 0) == 0 && (c == none || len(in[2].shape) < 2 || in[2].shape[0] == 1) {
		l.put(n, 0, n.Attrs, in)
		return
	}
	y, w := l.front(x, 0).v, in[1].v
	if n.Int("transA", 0) != 0 {
		y = graph.Transpose(y, 0, 2, 1)
	}
	if n.Int("transB", 0) != 0 {
		w = graph.Transpose(w, 1, 0)
	}
	scaled := func(v *graph.Value, by float32) *graph.Value {
		if by == 1 {
			return v
		}
		return graph.Mul(v, l.to.Scalar(float64(by)))
	}
	y = scaled(graph.MatMul(y, w), n.Float("alpha", 1))
	if c != none {
		y = graph.Add(y, scaled(in[2].v, n.Float("beta", 1)))
	}
	l.values[n.Outputs[0]] = batched{y, n.Outputs[0].Shape, leading}
}

func (l *lifting) imagewise(n *graph.Node, in []batched) {
	x := in[0]
	if x.axis != 0 {
		x = l.front(x, 0)
		in[0] = batched{graph.Reshape(x.v, append([]int{-1}, x.shape[1:]...)...), x.shape, 0}
	}
	l.put(n, 0, n.Attrs, in)
	if of := n.Outputs[0]; x.axis != 0 && x.shape[0] != 1 { // several to an image
		y := l.values[of].v
		l.values[of] = batched{graph.Reshape(y, append([]int{-1}, of.Shape...)...), of.Shape, leading}
	}
}

// concat joins what depends on the images with constants before and behind, which
// become a sum: what depends on them among zeros, and they among others.
func (l *lifting) concat(n *graph.Node, in []batched) error {
	shape := n.Outputs[0].Shape
	along := normal(int(n.Int("axis", 0)), len(shape))
	constant := false
	axis := none
	for _, b := range in {
		switch {
		case b.axis == none:
			constant = true
		case b.axis == along || axis != none && axis != b.axis:
			axis = leading
		default:
			axis = b.axis
		}
	}
	if axis == leading || constant && axis != 0 {
		axis = leading
		for i, b := range in {
			in[i] = l.front(b, 0)
		}
	}
	at := along
	if axis == leading {
		at++
	}
	var kept []*graph.Value
	before, after := 0, 0
	for _, b := range in {
		switch {
		case b.axis != none && after > 0:
			return fmt.Errorf("constants lie between what depends on the image")
		case b.axis != none:
			kept = append(kept, b.v)
		case len(kept) == 0:
			before += b.shape[along]
		default:
			after += b.shape[along]
		}
	}
	y := kept[0]
	if len(kept) > 1 {
		y = graph.Concat(at, kept...)
	}
	if before+after > 0 {
		pads := [2][]int{make([]int, y.Rank()), make([]int, y.Rank())}
		pads[0][at], pads[1][at] = before, after
		among, err := l.amongZeros(n, along)
		if err != nil {
			return err
		}
		y = graph.Add(graph.Pad(y, "constant", pads[0], pads[1]), among)
	}
	l.values[n.Outputs[0]] = batched{y, shape, axis}
	return nil
}

// amongZeros returns the constants that n joins, at their places among zeros.
func (l *lifting) amongZeros(n *graph.Node, along int) (*graph.Value, error) {
	shape := n.Outputs[0].Shape
	inner := graph.Elements(shape[along+1:])
	data := make([]float32, graph.Elements(shape))
	at := 0
	for _, v := range n.Inputs {
		d := v.Dim(along)
		if l.values[v].axis == none {
			t := v.Const()
			if t == nil || t.DType() != graph.Float32 {
				return nil, fmt.Errorf("got %v, want a constant", v.Type)
			}
			from := graph.Data[float32](t)
			for o := range len(from) / max(d*inner, 1) {
				copy(data[(o*shape[along]+at)*inner:], from[o*d*inner:(o+1)*d*inner])
			}
		}
		at += d
	}
	return l.leaf(n.Inputs[0].Graph().Const("", graph.NewTensor(data, shape...)), false), nil
}

// ints adds a constant int64 vector.
func (l *lifting) ints(xs []int) batched {
	data := make([]int64, len(xs))
	for i, x := range xs {
		data[i] = int64(x)
	}
	return batched{l.to.Const("", graph.NewTensor(data, len(data))), []int{len(data)}, none}
}

// numbers returns the elements of a constant int64 vector, nil of no operand.
func numbers(v *graph.Value) []int {
	if v == nil || v.Const() == nil || v.DType != graph.Int64 {
		return nil
	}
	out := []int{}
	for _, x := range graph.Data[int64](v.Const()) {
		out = append(out, int(x))
	}
	return out
}

// normal counts an axis from the front.
func normal(axis, rank int) int {
	if axis < 0 {
		axis += rank
	}
	return axis
}

// shifted are axes of so many dimensions where one lies before them.
func shifted(axes []int, rank int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = normal(a, rank) + 1
	}
	return out
}
