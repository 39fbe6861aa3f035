package onnx

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// importConstant adds the value of a Constant node, as other exporters write constants.
func importConstant(n *node) ([]*graph.Value, error) {
	if len(n.attrs) != 1 {
		return nil, fmt.Errorf("got %d attributes, want 1", len(n.attrs))
	}
	a := n.attrs[0]
	n.attrs = nil
	var t *graph.Tensor
	switch x := a.Value.(type) {
	case *graph.Tensor:
		t = x
	case int64:
		t = graph.NewTensor([]int64{x})
	case []int64:
		t = graph.NewTensor(x, len(x))
	case float32:
		t = graph.NewTensor([]float32{x})
	case []float32:
		t = graph.NewTensor(x, len(x))
	default:
		return nil, fmt.Errorf("attribute %q: not supported", a.Name)
	}
	return one(n.graph.Const(n.name, t))
}

func importConstantOfShape(n *node) ([]*graph.Value, error) {
	value := take(n, "value", graph.NewTensor([]float32{0}))
	shape, err := n.numbers(0)
	if err != nil {
		return nil, err
	}
	if value.Len() != 1 || shape == nil {
		return nil, fmt.Errorf("got a value of %d elements, want 1, and a shape", value.Len())
	}
	return one(graph.Expand(n.graph.Const("", value.Reshape()), shape...))
}

func importExpand(n *node) ([]*graph.Value, error) {
	if err := n.moveInts("shape", 1); err != nil {
		return nil, err
	}
	return n.asIs()
}

func importFlatten(n *node) ([]*graph.Value, error) {
	axis := int(n.takeInt("axis", 1))
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	if axis != x.Rank() { // which is allowed, and means one column
		var err error
		if axis, err = axisOf(axis, x.Rank()); err != nil {
			return nil, err
		}
	}
	return one(reshape(x, size(x.Shape[:axis]), size(x.Shape[axis:])))
}

// importPad: pads and value were attributes before opset 11; from opset 18 on
// the pads may be those of some axes only.
func importPad(n *node) ([]*graph.Value, error) {
	if err := n.moveInts("pads", 1); err != nil {
		return nil, err
	}
	if err := n.operands(2, 4); err != nil {
		return nil, err
	}
	if n.opset < 11 {
		if value := n.takeFloat("value", 0); value != 0 {
			n.setOperand(2, scalar(n.in[0], value))
		}
	}
	n.makeScalar(2)
	axes, err := n.numbers(3)
	if err != nil {
		return nil, err
	}
	if axes == nil {
		return n.asIs()
	}
	pads, err := n.numbers(1)
	if err != nil {
		return nil, err
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("got %d pads for %d axes", len(pads), len(axes))
	}
	rank := n.in[0].Rank()
	full := make([]int, 2*rank)
	for i, axis := range axes {
		if axis, err = axisOf(axis, rank); err != nil {
			return nil, err
		}
		full[axis], full[rank+axis] = pads[i], pads[len(axes)+i]
	}
	n.setOperand(1, ints(n.graph, full...))
	n.in = n.in[:3]
	return n.asIs()
}

// importRange: the numbers may be lists of one.
func importRange(n *node) ([]*graph.Value, error) {
	for i := range n.in {
		n.makeScalar(i)
	}
	return n.asIs()
}

// importReshape: with allowzero a 0 is a dimension without elements.
func importReshape(n *node) ([]*graph.Value, error) {
	zero := n.takeInt("allowzero", 0) != 0
	if err := n.moveInts("shape", 1); err != nil {
		return nil, err
	}
	if zero {
		shape, err := n.numbers(1)
		if err != nil {
			return nil, err
		}
		if slices.Contains(shape, 0) {
			return nil, fmt.Errorf("allowzero: got shape %v, want one with elements", shape)
		}
	}
	return n.asIs()
}

// importShape gives the dimensions from start to before end: as numbers for
// inputs of known shapes.
func importShape(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	if n.reader.shapes == nil || slices.Contains(x.Shape, graph.Dynamic) {
		return n.asIs()
	}
	bound := func(i int) int {
		if i < 0 {
			i += x.Rank()
		}
		return min(max(i, 0), x.Rank())
	}
	start, end := bound(int(n.takeInt("start", 0))), bound(int(n.takeInt("end", int64(x.Rank()))))
	return one(ints(n.graph, x.Shape[start:max(start, end)]...))
}

func importSize(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	count := size(n.in[0].Shape)
	if count == graph.Dynamic {
		return nil, fmt.Errorf("got %v, want known dimensions", n.in[0].Type)
	}
	return one(reshape(ints(n.graph, count)))
}

// importSpaceToDepth: opset 28 gives it the orders that DepthToSpace has.
func importSpaceToDepth(n *node) ([]*graph.Value, error) {
	if order := graph.BlockOrder(n.takeText("mode", string(graph.DCR))); order != graph.DCR {
		block := n.takeInt("blocksize", 0)
		if err := n.operands(1, 1); err != nil {
			return nil, err
		}
		return one(graph.SpaceToDepth(n.in[0], int(block), order))
	}
	return n.asIs()
}

// importSlice: the bounds were attributes before opset 10.
func importSlice(n *node) ([]*graph.Value, error) {
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		if err := n.moveInts(name, 1+i); err != nil {
			return nil, err
		}
	}
	return n.asIs()
}

// importSplit: the lengths were an attribute before opset 13, and until opset
// 18 the results told the number of equal pieces.
func importSplit(n *node) ([]*graph.Value, error) {
	if err := n.moveInts("split", 1); err != nil {
		return nil, err
	}
	if n.operand(1) == nil && n.opset < 18 {
		n.set("num_outputs", int64(n.results))
	}
	return n.asIs()
}

// importSqueeze drops dimensions of 1: those of the axes, which were an
// attribute before opset 13, or all.
func importSqueeze(n *node) ([]*graph.Value, error) {
	axes, err := n.listOf("axes", 1)
	if err != nil {
		return nil, err
	}
	if err := n.operands(1, 2); err != nil {
		return nil, err
	}
	x := n.in[0]
	for i, axis := range axes {
		if axes[i], err = axisOf(axis, x.Rank()); err != nil {
			return nil, err
		}
		if d := x.Shape[axes[i]]; d != 1 && d != graph.Dynamic {
			return nil, fmt.Errorf("axis %d: got %v, want a dimension of 1", axis, x.Type)
		}
	}
	shape := []int{}
	for i, d := range x.Shape {
		if axes != nil && !slices.Contains(axes, i) || axes == nil && d != 1 {
			shape = append(shape, d)
		}
	}
	return one(reshape(x, shape...))
}

func importUnsqueeze(n *node) ([]*graph.Value, error) {
	axes, err := n.listOf("axes", 1)
	if err != nil {
		return nil, err
	}
	if err := n.operands(1, 2); err != nil {
		return nil, err
	}
	shape := slices.Clone(n.in[0].Shape)
	rank := len(shape) + len(axes)
	for i, axis := range axes {
		if axes[i], err = axisOf(axis, rank); err != nil {
			return nil, err
		}
	}
	slices.Sort(axes)
	for _, axis := range slices.Compact(axes) {
		shape = slices.Insert(shape, min(axis, len(shape)), 1)
	}
	if len(shape) != rank {
		return nil, fmt.Errorf("axes: got %v twice", axes)
	}
	return one(reshape(n.in[0], shape...))
}

// importTile gives each repeated dimension one of its own, along which x is
// broadcast, and joins the two.
func importTile(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	x := n.in[0]
	repeats, err := n.numbers(1)
	if err != nil {
		return nil, err
	}
	if len(repeats) != x.Rank() {
		return nil, fmt.Errorf("repeats: got %v for %v", repeats, x.Type)
	}
	var apart, wide, joined []int
	for i, times := range repeats {
		d := x.Shape[i]
		switch {
		case times < 1 || times > maxElements:
			return nil, fmt.Errorf("repeats: got %v", repeats)
		case times == 1:
			apart, wide = append(apart, d), append(wide, 1)
			joined = append(joined, d)
		case d == graph.Dynamic:
			apart, wide = append(apart, 1, d), append(wide, times, 1)
			joined = append(joined, d)
		default:
			apart, wide = append(apart, 1, d), append(wide, times, 1)
			joined = append(joined, d*times)
		}
	}
	if len(apart) == x.Rank() {
		return one(x)
	}
	return one(reshape(graph.Expand(reshape(x, apart...), wide...), joined...))
}

// importTranspose: without a permutation the dimensions are reversed.
func importTranspose(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(n.attrs, func(a graph.Attr) bool { return a.Name == "perm" }) {
		perm := from(0, n.in[0].Rank())
		slices.Reverse(perm)
		n.set("perm", toInt64(perm))
	}
	return n.asIs()
}
