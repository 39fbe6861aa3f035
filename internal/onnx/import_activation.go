package onnx

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// importCelu is alpha·Elu(x/alpha).
func importCelu(n *node) ([]*graph.Value, error) {
	alpha := n.takeFloat("alpha", 1)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	a := scalar(x, alpha)
	return one(graph.Mul(graph.Elu(graph.Div(x, a), 1), a))
}

// importDropout passes its operand on: what the operator does in inference.
func importDropout(n *node) ([]*graph.Value, error) {
	n.takeFloat("ratio", .5)
	n.takeInt("seed", 0)
	n.takeInt("is_test", 1) // before opset 7
	if err := n.operands(1, 3); err != nil {
		return nil, err
	}
	if training := n.operand(2); training != nil {
		if t := training.Const(); t == nil || t.DType() != graph.Bool || t.Len() != 1 || graph.Data[bool](t)[0] {
			return nil, fmt.Errorf("training_mode: got %q, want the constant false", training.Name())
		}
	}
	x := n.in[0]
	if n.results == 1 {
		return one(x)
	}
	kept := n.graph.Const("", graph.NewTensor([]bool{true}))
	return []*graph.Value{x, graph.Expand(kept, x.Shape...)}, nil
}

func importGelu(n *node) ([]*graph.Value, error) {
	form := n.takeText("approximate", "none")
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	switch form {
	case "none":
		return one(graph.Gelu(n.in[0]))
	case "tanh":
		return one(graph.GeluTanh(n.in[0]))
	}
	return nil, fmt.Errorf("approximate: got %q, want none or tanh", form)
}

func hardSigmoid(x *graph.Value, alpha, beta float64) *graph.Value {
	line := graph.Add(graph.Mul(x, scalar(x, alpha)), scalar(x, beta))
	return x.Graph().Op("Clip", nil, line, scalar(x, 0), scalar(x, 1))
}

func importHardSigmoid(n *node) ([]*graph.Value, error) {
	alpha, beta := n.takeFloat("alpha", .2), n.takeFloat("beta", .5)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	return one(hardSigmoid(n.in[0], alpha, beta))
}

// logSoftmax subtracts the maximum first, so that nothing overflows.
func logSoftmax(x *graph.Value, axis int) *graph.Value {
	x = graph.Sub(x, graph.ReduceMax(x, true, axis))
	return graph.Sub(x, graph.Log(graph.ReduceSum(graph.Exp(x), true, axis)))
}

// alongAxis makes the importer of a function along an axis, which before opset
// 13 was one of matrices: of all dimensions from that axis on as one.
func alongAxis(f func(x *graph.Value, axis int) *graph.Value) importer {
	return func(n *node) ([]*graph.Value, error) {
		if n.opset >= 13 && graph.Known(n.op) {
			return n.asIs()
		}
		def := int64(-1)
		if n.opset < 13 {
			def = 1
		}
		axis := int(n.takeInt("axis", def))
		if err := n.operands(1, 1); err != nil {
			return nil, err
		}
		x := n.in[0]
		axis, err := axisOf(axis, x.Rank())
		if err != nil {
			return nil, err
		}
		if n.opset >= 13 || axis == x.Rank()-1 {
			return one(f(x, axis))
		}
		matrix := reshape(x, size(x.Shape[:axis]), size(x.Shape[axis:]))
		return one(reshape(f(matrix, 1), x.Shape...))
	}
}

func importPRelu(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	x, slope := n.in[0], n.in[1]
	if n.opset < 7 && slope.Rank() == 1 && x.Rank() > 2 { // one for each channel
		slope = reshape(slope, append([]int{slope.Dim(0)}, slices.Repeat([]int{1}, x.Rank()-2)...)...)
	}
	return one(graph.Where(graph.Greater(scalar(x, 0), x), graph.Mul(x, slope), x))
}

func importSelu(n *node) ([]*graph.Value, error) {
	alpha, gamma := n.takeFloat("alpha", 1.67326319217681884765625), n.takeFloat("gamma", 1.05070102214813232421875)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	return one(graph.Mul(graph.Elu(n.in[0], alpha), scalar(n.in[0], gamma)))
}

func importSwish(n *node) ([]*graph.Value, error) {
	alpha := n.takeFloat("alpha", 1)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	return one(graph.Mul(x, graph.Sigmoid(graph.Mul(x, scalar(x, alpha)))))
}

func importThresholdedRelu(n *node) ([]*graph.Value, error) {
	alpha := n.takeFloat("alpha", 1)
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	x := n.in[0]
	return one(graph.Where(graph.Greater(x, scalar(x, alpha)), x, scalar(x, 0)))
}
