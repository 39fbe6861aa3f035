package onnx

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
)

// importReduce: the axes were an attribute before opset 13 or 18.
func importReduce(n *node) ([]*graph.Value, error) {
	if err := n.moveInts("axes", 1); err != nil {
		return nil, err
	}
	return n.asIs()
}

// sumOver sums over a node's axes.
type sumOver func(x *graph.Value) *graph.Value

// reduction takes what a reduction works on, and over.
func reduction(n *node) (x *graph.Value, keep bool, axes []int, err error) {
	keep = n.takeInt("keepdims", 1) != 0
	if axes, err = n.listOf("axes", 1); err != nil {
		return nil, false, nil, err
	}
	if err := n.operands(1, 2); err != nil {
		return nil, false, nil, err
	}
	if n.takeInt("noop_with_empty_axes", 0) != 0 && len(axes) == 0 {
		return nil, false, nil, fmt.Errorf("noop_with_empty_axes: got 1 and no axes")
	}
	return n.in[0], keep, axes, nil
}

// reduced makes the importer of a reduction that is a function of a sum.
func reduced(f func(x *graph.Value, sum sumOver) *graph.Value) importer {
	return func(n *node) ([]*graph.Value, error) {
		x, keep, axes, err := reduction(n)
		if err != nil {
			return nil, err
		}
		return one(f(x, func(v *graph.Value) *graph.Value { return graph.ReduceSum(v, keep, axes...) }))
	}
}

// importReduceLogSumExp subtracts the maximum first, so that nothing overflows:
// 0 where that is infinite, from which nothing can be subtracted.
func importReduceLogSumExp(n *node) ([]*graph.Value, error) {
	x, keep, axes, err := reduction(n)
	if err != nil {
		return nil, err
	}
	finite := func(top *graph.Value) *graph.Value {
		none := scalar(x, 0)
		return graph.Where(graph.Equal(graph.Sub(top, top), none), top, none)
	}
	sum := graph.ReduceSum(graph.Exp(graph.Sub(x, finite(graph.ReduceMax(x, true, axes...)))), keep, axes...)
	return one(graph.Add(graph.Log(sum), finite(graph.ReduceMax(x, keep, axes...))))
}

// importReduceMax: of bools since opset 20, as bytes.
func importReduceMax(n *node) ([]*graph.Value, error) {
	if len(n.in) == 0 || n.in[0] == nil || n.in[0].DType != graph.Bool {
		return importReduce(n)
	}
	n.setOperand(0, graph.Cast(n.in[0], graph.Uint8))
	vs, err := importReduce(n)
	if err != nil {
		return nil, err
	}
	return one(graph.Cast(vs[0], graph.Bool))
}

// importReduceMin is -max(-x), of a type that has negative numbers.
func importReduceMin(n *node) ([]*graph.Value, error) {
	x, keep, axes, err := reduction(n)
	if err != nil {
		return nil, err
	}
	signed := x
	if x.DType == graph.Uint8 || x.DType == graph.Bool {
		signed = graph.Cast(x, graph.Int32)
	}
	return one(graph.Cast(graph.Neg(graph.ReduceMax(graph.Neg(signed), keep, axes...)), x.DType))
}

// importTopK: the number was an attribute before opset 10.
func importTopK(n *node) ([]*graph.Value, error) {
	if k := n.takeInt("k", 0); k != 0 {
		n.setOperand(1, ints(n.graph, int(k)))
	}
	return n.asIs()
}
