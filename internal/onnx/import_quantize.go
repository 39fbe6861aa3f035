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
	g, constant := gridOf(scale, zero)
	if !constant {
		y := n.graph.Op("Round", nil, graph.Div(x, scale))
		if zero != nil {
			y = graph.Add(y, zero)
		}
		return one(graph.Cast(graph.Clip(y, lo, hi), to))
	}
	// Numbers are clipped first, to whole ones: rounding what is bounded is cheap.
	y := n.graph.Op("Round", nil, graph.Clip(graph.Div(x, scale), lo-float64(g.zero), hi-float64(g.zero)))
	q := y
	if g.zero != 0 {
		q = graph.Add(y, zero)
	}
	q = graph.Cast(q, to)
	if n.reader.grids[origin(x)] != g {
		x = graph.Mul(y, scale)
	}
	n.reader.steps[q] = step{g, x}
	return one(q)
}

// A grid are the numbers (q - zero)·scale of whole q.
type grid struct{ scale, zero float32 }

// A step is what QuantizeLinear made of numbers, and those of its grid: what DequantizeLinear
// makes of it again. Numbers that were picked from such as are on the grid are their own.
type step struct {
	grid
	of *graph.Value
}

// gridOf returns the grid of a scale and a zero point, nil for 0, that are constant and
// the same for all numbers.
func gridOf(scale, zero *graph.Value) (grid, bool) {
	number := func(v *graph.Value) (float32, bool) {
		if v == nil {
			return 0, true
		}
		t := v.Const()
		if v.Node() != nil && v.Node().Op == "Cast" {
			if t = v.Node().Inputs[0].Const(); t != nil && t.DType() == graph.Uint8 && t.Len() == 1 {
				return float32(graph.Data[uint8](t)[0]), true
			}
		}
		if t == nil || t.DType() != graph.Float32 || t.Len() != 1 {
			return 0, false
		}
		return graph.Data[float32](t)[0], true
	}
	s, ok := number(scale)
	z, constant := number(zero)
	return grid{s, z}, ok && constant && s > 0
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
	g, constant := gridOf(scale, zero)
	if s, is := n.reader.steps[x]; is && constant && s.grid == g {
		n.reader.grids[s.of] = g
		return one(s.of)
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
	y = graph.Mul(y, scale)
	if constant {
		n.reader.grids[y] = g
	}
	return one(y)
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
