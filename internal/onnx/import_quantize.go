package onnx

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// importQuantizeLinear: what comes of it is uint8 or, for DequantizeLinear alone, whole
// numbers of int8 in float32.
func importQuantizeLinear(n *node) ([]*graph.Value, error) {
	axis := int(n.takeInt("axis", 1))
	n.takeInt("saturate", 1) // of 8-bit floats alone
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	x, zero := n.in[0], n.operand(2)
	dtype := n.takeInt("output_dtype", 0)
	lo, hi, to := 0., 255., graph.Uint8
	switch signed := zero != nil && zero.DType == graph.Float32 || zero == nil && dtype == int64(onnxpb.TensorProto_INT8); {
	case signed:
		lo, hi, to = -128, 127, graph.Float32
	case zero != nil && zero.DType != graph.Uint8 || zero == nil && dtype != 0 && dtype != int64(graph.Uint8):
		return nil, fmt.Errorf("to %v: not supported, want uint8 or int8", onnxpb.TensorProto_DataType(dtype))
	}
	scale, zero, err := n.quantization(axis)
	if err != nil {
		return nil, err
	}
	if x.DType != graph.Float32 {
		return nil, fmt.Errorf("got %v, want float32", x.Type)
	}
	y := n.graph.Op("Round", nil, graph.Div(x, scale))
	if zero != nil {
		y = graph.Add(y, zero)
	}
	return one(graph.Cast(graph.Clip(y, lo, hi), to))
}

func importDequantizeLinear(n *node) ([]*graph.Value, error) {
	axis := int(n.takeInt("axis", 1))
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	scale, zero, err := n.quantization(axis)
	if err != nil {
		return nil, err
	}
	x := n.in[0]
	if of := x.Node(); of != nil && of.Op == "Cast" && x.DType == graph.Uint8 && of.Inputs[0].Node() != nil && of.Inputs[0].Node().Op == "Clip" {
		x = of.Inputs[0] // of QuantizeLinear: whole numbers already
	}
	switch x.DType {
	case graph.Float32, graph.Uint8, graph.Int32:
	default:
		return nil, fmt.Errorf("got %v, want uint8, int8 or int32", x.Type)
	}
	y := graph.Cast(x, graph.Float32)
	if zero != nil {
		y = graph.Sub(y, zero)
	}
	return one(graph.Mul(y, scale))
}

// quantization returns the scale and the zero point, nil where it is omitted, in
// float32 and shaped for the first operand: one number, or one for each index of an axis.
func (n *node) quantization(axis int) (scale, zero *graph.Value, err error) {
	x, scale := n.in[0], n.in[1]
	if scale.DType != graph.Float32 {
		return nil, nil, fmt.Errorf("scale: got %v, want float32", scale.Type)
	}
	fit := func(v *graph.Value) (*graph.Value, error) {
		if len(v.Shape) == 0 || len(v.Shape) == 1 && v.Shape[0] == 1 {
			return reshape(v), nil
		}
		at, err := axisOf(axis, x.Rank())
		if err != nil {
			return nil, err
		}
		if len(v.Shape) != 1 || v.Shape[0] != x.Shape[at] {
			return nil, fmt.Errorf("got %v for axis %d of %v, want a number, or one for each index", v.Type, at, x.Type)
		}
		shape := slices.Repeat([]int{1}, x.Rank())
		shape[at] = v.Shape[0]
		return reshape(v, shape...), nil
	}
	if scale, err = fit(scale); err != nil {
		return nil, nil, fmt.Errorf("scale: %w", err)
	}
	if v := n.operand(2); v != nil {
		if zero, err = fit(v); err != nil {
			return nil, nil, fmt.Errorf("zero point: %w", err)
		}
		zero = graph.Cast(zero, graph.Float32)
	}
	return scale, zero, nil
}

// checkNarrow refuses int8 where something other than DequantizeLinear computes with
// it: what that would give, float32 does not.
func checkNarrow(g *onnxpb.GraphProto) error {
	narrow := map[string]bool{}
	for _, t := range g.GetInitializer() {
		narrow[t.GetName()] = t.GetDataType() == int32(onnxpb.TensorProto_INT8)
	}
	for i, n := range g.GetNode() {
		for j, name := range n.GetInput() {
			if !narrow[name] {
				continue
			}
			switch op := n.GetOpType(); {
			case op == "DequantizeLinear", op == "QuantizeLinear" && j == 2:
			default:
				return fmt.Errorf("%s: operand %d is int8, which only DequantizeLinear takes here", describe(i, n), j)
			}
		}
		for _, a := range n.GetAttribute() {
			if t := a.GetT(); t.GetDataType() == int32(onnxpb.TensorProto_INT8) || a.GetName() == "output_dtype" && a.GetI() == int64(onnxpb.TensorProto_INT8) {
				for _, name := range n.GetOutput() {
					narrow[name] = true
				}
			}
		}
		if n.GetOpType() == "QuantizeLinear" && len(n.GetInput()) > 2 && narrow[n.GetInput()[2]] {
			for _, name := range n.GetOutput() {
				narrow[name] = true
			}
		}
	}
	for _, v := range g.GetOutput() {
		if narrow[v.GetName()] {
			return fmt.Errorf("output %q is int8, which only DequantizeLinear takes here", v.GetName())
		}
	}
	return nil
}
