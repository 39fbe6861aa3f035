package onnxexport

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// importBatchNorm normalises by the statistics that the file gives: as one
// product and one sum, whose factors are computed here where they are constant.
func importBatchNorm(n *node) ([]*graph.Value, error) {
	eps := n.takeFloat("epsilon", 1e-5)
	n.takeFloat("momentum", .9)
	if n.takeInt("training_mode", 0) != 0 {
		return nil, fmt.Errorf("training_mode: got 1, want 0")
	}
	if n.takeInt("spatial", 1) != 1 {
		return nil, fmt.Errorf("spatial: got 0, want 1")
	}
	if err := n.operands(5, 5); err != nil {
		return nil, err
	}
	x, mean, variance := n.in[0], n.in[3], n.in[4]
	factor := graph.Div(n.in[1], graph.Sqrt(graph.Add(variance, scalar(variance, eps))))
	shift := graph.Sub(n.in[2], graph.Mul(mean, factor))
	channels := append([]int{mean.Dim(0)}, slices.Repeat([]int{1}, max(x.Rank()-2, 0))...)
	factor, shift = n.constant(reshape(factor, channels...)), n.constant(reshape(shift, channels...))
	return one(graph.Add(graph.Mul(x, factor), shift))
}

// importGroupNorm: scale and bias were those of groups before opset 21, and are
// those of channels since.
func importGroupNorm(n *node) ([]*graph.Value, error) {
	eps, groups := n.takeFloat("epsilon", 1e-5), int(n.takeInt("num_groups", 0))
	n.takeInt("stash_type", 1)
	if err := n.operands(3, 3); err != nil {
		return nil, err
	}
	x, scale, bias := n.in[0], n.in[1], n.in[2]
	channels := x.Dim(1)
	if x.Rank() < 3 || groups < 1 || channels < groups || channels%groups != 0 {
		return nil, fmt.Errorf("got %v in %d groups", x.Type, groups)
	}
	if n.opset < 21 {
		each := func(v *graph.Value) *graph.Value {
			return n.constant(reshape(graph.Expand(reshape(v, groups, 1), groups, channels/groups), channels))
		}
		scale, bias = each(scale), each(bias)
	}
	return one(graph.GroupNorm(x, groups, scale, bias, eps))
}

func importInstanceNorm(n *node) ([]*graph.Value, error) {
	eps := n.takeFloat("epsilon", 1e-5)
	if err := n.operands(3, 3); err != nil {
		return nil, err
	}
	return one(graph.InstanceNorm(n.in[0], n.in[1], n.in[2], eps))
}

func importLayerNorm(n *node) ([]*graph.Value, error) {
	axis, eps := int(n.takeInt("axis", -1)), n.takeFloat("epsilon", 1e-5)
	n.takeInt("stash_type", 1)
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	return one(graph.LayerNorm(n.in[0], axis, n.in[1], n.operand(2), eps))
}

// importRMSNorm divides by the root of the mean square over the dimensions from axis on.
func importRMSNorm(n *node) ([]*graph.Value, error) {
	axis, eps := int(n.takeInt("axis", -1)), n.takeFloat("epsilon", 1e-5)
	n.takeInt("stash_type", 1)
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	x := n.in[0]
	axis, err := axisOf(axis, x.Rank())
	if err != nil {
		return nil, err
	}
	square := graph.ReduceMean(graph.Square(x), true, from(axis, x.Rank())...)
	return one(graph.Mul(graph.Div(x, graph.Sqrt(graph.Add(square, scalar(x, eps)))), n.in[1]))
}

func importLpNorm(n *node) ([]*graph.Value, error) {
	axis, p := int(n.takeInt("axis", -1)), n.takeInt("p", 2)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	switch p {
	case 1:
		return one(graph.Div(x, graph.ReduceSum(graph.Abs(x), true, axis)))
	case 2:
		return one(graph.Div(x, graph.Sqrt(graph.ReduceSum(graph.Square(x), true, axis))))
	}
	return nil, fmt.Errorf("p: got %d, want 1 or 2", p)
}
