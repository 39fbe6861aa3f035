package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// alignOperands gives the second operand the dimensions with which it is
// broadcast as it was before opset 7: from a named axis on, not to the end, and
// only where an attribute allows it.
func (n *node) alignOperands() {
	if n.opset >= 7 || take(n, "broadcast", int64(-1)) < 0 || len(n.in) != 2 {
		return
	}
	a, b := n.in[0], n.in[1]
	axis := int(n.takeInt("axis", int64(a.Rank()-b.Rank())))
	if behind := a.Rank() - axis - b.Rank(); axis >= 0 && behind > 0 {
		n.setOperand(1, reshape(b, append(slices.Clone(b.Shape), slices.Repeat([]int{1}, behind)...)...))
	}
}

// importCast converts to one of the types of package graph; half floats are float32.
func importCast(n *node) ([]*graph.Value, error) {
	to := n.takeInt("to", 0)
	n.takeInt("saturate", 1) // of 8-bit floats alone
	n.takeText("round_mode", "")
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	if to < 1 || to > math.MaxInt32 || elemSize[held(int32(to))] == 0 {
		return nil, fmt.Errorf("to %v: not supported", onnxpb.TensorProto_DataType(to))
	}
	return one(graph.Cast(n.in[0], held(int32(to))))
}

func importCastLike(n *node) ([]*graph.Value, error) {
	n.takeInt("saturate", 1)
	n.takeText("round_mode", "")
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	return one(graph.Cast(n.in[0], n.in[1].DType))
}

// importClip: the bounds were attributes before opset 11.
func importClip(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 3); err != nil {
		return nil, err
	}
	for i, name := range []string{"min", "max"} {
		if bound := n.takeFloat(name, math.NaN()); bound == bound {
			n.setOperand(1+i, scalar(n.in[0], bound))
		}
		n.makeScalar(1 + i)
	}
	return n.asIs()
}

func importIsInf(n *node) ([]*graph.Value, error) {
	positive, negative := n.takeInt("detect_positive", 1) != 0, n.takeInt("detect_negative", 1) != 0
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	above, below := graph.Equal(x, scalar(x, math.Inf(1))), graph.Equal(x, scalar(x, math.Inf(-1)))
	switch {
	case positive && negative:
		return one(n.graph.Op("Or", nil, above, below))
	case positive:
		return one(above)
	case negative:
		return one(below)
	}
	return one(graph.And(above, below)) // no number is both
}

func sum(n *node) (*graph.Value, error) {
	if err := n.operands(max(1, len(n.in)), math.MaxInt); err != nil {
		return nil, err
	}
	y := n.in[0]
	for _, x := range n.in[1:] {
		y = graph.Add(y, x)
	}
	return y, nil
}

func importSum(n *node) ([]*graph.Value, error) {
	y, err := sum(n)
	return []*graph.Value{y}, err
}

func importMean(n *node) ([]*graph.Value, error) {
	y, err := sum(n)
	if err != nil {
		return nil, err
	}
	return one(graph.Div(y, scalar(y, float64(len(n.in)))))
}

// importPow: the exponent may be of another type than the base, and both of
// integers, whose powers are exact in float64 up to 2⁵³.
func importPow(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	a, b := n.in[0], n.in[1]
	if a.DType.IsFloat() {
		n.setOperand(1, graph.Cast(b, a.DType))
		return n.asIs()
	}
	return one(graph.Cast(graph.Pow(graph.Cast(a, graph.Float64), graph.Cast(b, graph.Float64)), a.DType))
}

func importXor(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	if a, b := n.in[0], n.in[1]; a.DType != graph.Bool || b.DType != graph.Bool {
		return nil, fmt.Errorf("got %v and %v, want bools", a.Type, b.Type)
	}
	return one(graph.Not(graph.Equal(n.in[0], n.in[1])))
}
