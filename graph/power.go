package graph

import "math"

func init() {
	register(map[string]operator{
		"Exp":  {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value { return Mul(dy, n.Outputs[0]) })},
		"Log":  {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value { return Div(dy, n.Inputs[0]) })},
		"Sqrt": {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value { return Div(Mul(dy, dy.g.Scalar(0.5)), n.Outputs[0]) })},
		"Erf": {operands: unary, infer: inferFloat, vjp: ofOne(func(n *Node, dy *Value) *Value {
			slope := Mul(Exp(Neg(Square(n.Inputs[0]))), dy.g.Scalar(2/math.SqrtPi))
			return Mul(dy, slope)
		})},
		"Pow": {operands: binary, infer: inferPow, vjp: vjpPow},
	})
}

// Exp returns e to the power of x.
func Exp(x *Value) *Value { return x.g.Op("Exp", nil, x) }

// Log returns the natural logarithm.
func Log(x *Value) *Value { return x.g.Op("Log", nil, x) }

// Sqrt returns the square root, whose gradient at 0 is infinite.
func Sqrt(x *Value) *Value { return x.g.Op("Sqrt", nil, x) }

// Erf returns the error function 2/√π·∫₀ˣ exp(-t²) dt.
func Erf(x *Value) *Value { return x.g.Op("Erf", nil, x) }

// Pow returns a to the power of b, broadcast. Where a is negative b has to be
// whole and has no gradient (NaN, as in PyTorch).
func Pow(a, b *Value) *Value { return a.g.Op("Pow", nil, a, b) }

func inferPow(n *Node) ([]Type, error) {
	t, err := inferBinary(n)
	if err != nil {
		return nil, err
	}
	return t, wantFloat(t[0].DType)
}

// vjpPow: a^0 is 1, and 0^b is 0 for b > 0, with derivative 0 at 0 whatever
// infinities the formulas multiply there.
func vjpPow(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	a, b, zero := n.Inputs[0], n.Inputs[1], dy.g.Scalar(0)
	dx := make([]*Value, 2)
	if need[0] {
		slope := Mul(b, Pow(a, Sub(b, dy.g.Scalar(1))))
		dx[0] = unbroadcast(Mul(dy, Where(Equal(b, zero), zero, slope)), a)
	}
	if need[1] {
		flat := And(Equal(a, zero), dy.g.Op("GreaterOrEqual", nil, b, zero))
		dx[1] = unbroadcast(Mul(dy, Where(flat, zero, Mul(n.Outputs[0], Log(a)))), b)
	}
	return dx
}
