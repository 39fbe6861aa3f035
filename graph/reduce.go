package graph

import "slices"

func init() {
	for op, vjp := range map[string]vjpFunc{"ReduceSum": vjpReduceSum, "ReduceMean": vjpReduceMean, "ReduceMax": vjpReduceMax} {
		operators[op] = operator{operands: arity{1, 2}, shaping: []int{1}, attrs: reduceAttrs, infer: inferReduce, vjp: vjp}
	}
}

var reduceAttrs = []Attr{{"keepdims", int64(1)}, {"noop_with_empty_axes", int64(0)}}

// ReduceSum sums over the axes (all of them if none is given); keepDims leaves them as 1.
func ReduceSum(x *Value, keepDims bool, axes ...int) *Value {
	return reduce("ReduceSum", x, keepDims, axes)
}

// ReduceMean averages over the axes (all of them if none is given); keepDims leaves them as 1.
func ReduceMean(x *Value, keepDims bool, axes ...int) *Value {
	return reduce("ReduceMean", x, keepDims, axes)
}

// ReduceMax takes the maximum over the axes (all of them if none is given); keepDims leaves them as 1.
func ReduceMax(x *Value, keepDims bool, axes ...int) *Value {
	return reduce("ReduceMax", x, keepDims, axes)
}

func reduce(op string, x *Value, keepDims bool, axes []int) *Value {
	keep := int64(0)
	if keepDims {
		keep = 1
	}
	if len(axes) == 0 {
		return x.g.Op(op, []Attr{{"keepdims", keep}}, x)
	}
	return x.g.Op(op, []Attr{{"keepdims", keep}}, x, x.g.ints(axes...))
}

// reducedAxes returns the axes that n reduces, ascending.
func reducedAxes(n *Node) ([]int, error) {
	rank := n.Inputs[0].Rank()
	axes, err := constInts(n, 1)
	if err != nil {
		return nil, err
	}
	if len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return nil, nil
		}
		for i := range rank {
			axes = append(axes, i)
		}
	}
	for i := range axes {
		if axes[i], err = normAxis(axes[i], rank); err != nil {
			return nil, err
		}
	}
	slices.Sort(axes)
	return slices.Compact(axes), nil
}

func inferReduce(n *Node) ([]Type, error) {
	axes, err := reducedAxes(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	shape := []int{}
	for i, d := range x.Shape {
		switch {
		case !slices.Contains(axes, i):
			shape = append(shape, d)
		case n.Int("keepdims", 1) != 0:
			shape = append(shape, 1)
		}
	}
	return []Type{{x.DType, shape}}, nil
}

func vjpReduceSum(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x := n.Inputs[0]
	axes, _ := reducedAxes(n)
	kept, full := slices.Clone(x.Shape), slices.Clone(x.Shape)
	for _, a := range axes {
		if x.Shape[a] == Dynamic {
			return []*Value{dy.g.fail("gradient of %s over a dynamic axis of %v: give the batch a size", n.Op, x.Type)}
		}
		kept[a] = 1
	}
	if !slices.Equal(kept, dy.Shape) {
		dy = Reshape(dy, kept...)
	}
	for i, d := range full {
		if d == Dynamic {
			full[i] = 1 // Expand broadcasts both ways: 1 keeps the batch
		}
	}
	return []*Value{Expand(dy, full...)}
}

func vjpReduceMean(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	axes, err := reducedAxes(n)
	if err != nil {
		return []*Value{dy.g.fail("%v", err)}
	}
	count := 1
	for _, a := range axes {
		count *= n.Inputs[0].Shape[a]
	}
	if count < 0 {
		return vjpReduceSum(n, dy, need, o) // fails: the axis is dynamic
	}
	return vjpReduceSum(n, Mul(dy, dy.g.Scalar(1/float64(count))), need, o)
}

// vjpReduceMax shares dy evenly among the elements that equal the maximum.
func vjpReduceMax(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, y := n.Inputs[0], n.Outputs[0]
	axes, _ := reducedAxes(n)
	if len(axes) == 0 {
		return []*Value{dy}
	}
	kept := slices.Clone(x.Shape)
	for _, a := range axes {
		kept[a] = 1
	}
	if !slices.Equal(kept, dy.Shape) {
		y, dy = Reshape(y, kept...), Reshape(dy, kept...)
	}
	maximal := Cast(Equal(x, y), x.DType)
	return []*Value{Mul(maximal, Div(dy, ReduceSum(maximal, true, axes...)))}
}

// MeanAll returns the mean of all elements with shape [1]: rank 1, since
// runtimes are at their worst with results of rank 0.
func MeanAll(x *Value) *Value {
	return Reshape(ReduceMean(x, false), 1)
}
