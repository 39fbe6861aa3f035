package onnx

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
	n.takeInt("is_test", 1) // before opset 7; the results tell, too
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

// importLayerNorm also gives the mean and the reciprocal of the standard deviation.
func importLayerNorm(n *node) ([]*graph.Value, error) {
	axis, eps := int(n.takeInt("axis", -1)), n.takeFloat("epsilon", 1e-5)
	n.takeInt("stash_type", 1)
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	x := n.in[0]
	y := graph.LayerNorm(x, axis, n.in[1], n.operand(2), eps)
	if n.results == 1 || n.graph.Err() != nil {
		return one(y)
	}
	axis, err := axisOf(axis, x.Rank())
	if err != nil {
		return nil, err
	}
	axes := from(axis, x.Rank())
	mean := graph.ReduceMean(x, true, axes...)
	variance := graph.ReduceMean(graph.Square(graph.Sub(x, mean)), true, axes...)
	return []*graph.Value{y, mean, graph.Div(scalar(x, 1), graph.Sqrt(graph.Add(variance, scalar(x, eps))))}, nil
}

// importLRN divides by a power of the mean square over neighbouring channels,
// which is an average over the rows of an image of channels by places.
func importLRN(n *node) ([]*graph.Value, error) {
	alpha, beta, bias := n.takeFloat("alpha", 1e-4), n.takeFloat("beta", .75), n.takeFloat("bias", 1)
	window := n.takeInt("size", 0)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	if x.Rank() < 3 || window < 1 || window > maxElements {
		return nil, fmt.Errorf("got %v and a size of %d", x.Type, window)
	}
	square := reshape(graph.Square(x), x.Shape[0], 1, x.Shape[1], size(x.Shape[2:]))
	mean := n.graph.Op("AveragePool", []graph.Attr{
		{Name: "count_include_pad", Value: int64(1)},
		{Name: "kernel_shape", Value: []int64{window, 1}},
		{Name: "pads", Value: []int64{(window - 1) / 2, 0, window / 2, 0}},
	}, square)
	base := graph.Add(graph.Mul(reshape(mean, x.Shape...), scalar(x, alpha)), scalar(x, bias))
	return one(graph.Div(x, graph.Pow(base, scalar(x, beta))))
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
