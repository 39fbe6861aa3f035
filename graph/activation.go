package graph

import (
	"fmt"
	"math"
)

func init() {
	alpha := []Attr{{"alpha", float32(0)}}
	register(map[string]operator{
		"LeakyRelu": {operands: unary, attrs: alpha, infer: inferFloat, vjp: vjpLeakyRelu},
		"Elu":       {operands: unary, attrs: alpha, infer: inferFloat, vjp: vjpElu},
		"Tanh": {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value {
			return Mul(dy, Sub(dy.g.Scalar(1), Square(n.Outputs[0])))
		})},
		"Softplus": {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value { return Mul(dy, Sigmoid(n.Inputs[0])) })},
		"Softmax":  {operands: unary, attrs: []Attr{{"axis", int64(0)}}, infer: inferSoftmax, vjp: vjpSoftmax},
	})
}

// LeakyRelu returns x where x > 0 and alpha·x elsewhere.
func LeakyRelu(x *Value, alpha float64) *Value {
	return x.g.Op("LeakyRelu", []Attr{{"alpha", float32(alpha)}}, x)
}

// Elu returns x where x > 0 and alpha·(exp(x)-1) elsewhere.
func Elu(x *Value, alpha float64) *Value {
	return x.g.Op("Elu", []Attr{{"alpha", float32(alpha)}}, x)
}

// Tanh returns the hyperbolic tangent.
func Tanh(x *Value) *Value { return x.g.Op("Tanh", nil, x) }

// Softplus returns log(1+exp(x)).
func Softplus(x *Value) *Value { return x.g.Op("Softplus", nil, x) }

// Gelu returns x·Φ(x) with Φ the normal distribution, (1+erf(x/√2))/2
// (Hendrycks and Gimpel, arXiv:1606.08415, section 2). It is made of Erf: ONNX
// has an operator of that name from opset 20 on only.
func Gelu(x *Value) *Value {
	g := x.g
	erf := Erf(Mul(x, g.Scalar(1/math.Sqrt2)))
	return Mul(Mul(x, g.Scalar(0.5)), Add(erf, g.Scalar(1)))
}

// GeluTanh returns the approximation x/2·(1+tanh(√(2/π)·(x+0.044715·x³))) of
// [Gelu], off by up to 5e-4, which some networks are trained with (same paper and section).
func GeluTanh(x *Value) *Value {
	g := x.g
	cubic := Add(g.Scalar(1), Mul(Square(x), g.Scalar(0.044715)))
	inner := Mul(Mul(x, g.Scalar(math.Sqrt(2/math.Pi))), cubic)
	return Mul(Mul(x, g.Scalar(0.5)), Add(Tanh(inner), g.Scalar(1)))
}

// Softmax returns exp(x) divided by its sum along an axis.
func Softmax(x *Value, axis int) *Value {
	return x.g.Op("Softmax", []Attr{{"axis", int64(axis)}}, x)
}

// inferFloat is inferUnary for operators on floats alone.
func inferFloat(n *Node) ([]Type, error) {
	t, err := inferUnary(n)
	if err != nil {
		return nil, err
	}
	return t, wantFloat(t[0].DType)
}

func wantFloat(d DType) error {
	if !d.IsFloat() {
		return fmt.Errorf("got %v, want floats", d)
	}
	return nil
}

func vjpLeakyRelu(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	g := dy.g
	alpha := float64(n.Float("alpha", 0.01))
	return []*Value{Where(Greater(n.Inputs[0], g.Scalar(0)), dy, Mul(dy, g.Scalar(alpha)))}
}

func vjpElu(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	g := dy.g
	slope := Add(n.Outputs[0], g.Scalar(float64(n.Float("alpha", 1)))) // alpha·exp(x)
	return []*Value{Where(Greater(n.Inputs[0], g.Scalar(0)), dy, Mul(dy, slope))}
}

func inferSoftmax(n *Node) ([]Type, error) {
	t, err := inferFloat(n)
	if err == nil {
		_, err = normAxis(int(n.Int("axis", -1)), len(t[0].Shape))
	}
	return t, err
}

func vjpSoftmax(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	y := n.Outputs[0]
	return []*Value{Mul(y, Sub(dy, ReduceSum(Mul(dy, y), true, int(n.Int("axis", -1)))))}
}
