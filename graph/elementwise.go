package graph

import (
	"fmt"
	"slices"
)

func init() {
	for op, vjp := range map[string]vjpFunc{"Add": vjpAdd, "Sub": vjpSub, "Mul": vjpMul, "Div": vjpDiv} {
		operators[op] = operator{operands: binary, infer: inferBinary, vjp: vjp}
	}
	for _, op := range []string{"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"} {
		operators[op] = operator{operands: binary, infer: inferCompare}
	}
	for _, op := range []string{"And", "Or"} {
		operators[op] = operator{operands: binary, infer: inferLogic}
	}
	register(map[string]operator{
		"Not":      {operands: unary, infer: inferUnary},
		"Identity": {operands: unary, infer: inferUnary, vjp: ofOne(func(n *Node, dy *Value) *Value { return dy })},
		"Neg":      {operands: unary, infer: inferUnary, vjp: ofOne(func(n *Node, dy *Value) *Value { return Neg(dy) })},
		"Abs":      {operands: unary, infer: inferUnary, vjp: ofOne(func(n *Node, dy *Value) *Value { return Mul(dy, Sign(n.Inputs[0])) })},
		"Sign":     {operands: unary, infer: inferUnary},
		"Floor":    {operands: unary, infer: inferFloat},
		"Relu": {operands: unary, infer: inferUnary, vjp: ofOne(func(n *Node, dy *Value) *Value {
			return Where(Greater(n.Outputs[0], dy.g.Scalar(0)), dy, dy.g.Scalar(0))
		})},
		"Sigmoid": {operands: unary, infer: inferUnary, vjp: ofOne(func(n *Node, dy *Value) *Value {
			y := n.Outputs[0]
			return Mul(dy, Mul(y, Sub(y.g.Scalar(1), y)))
		})},
		"Clip":  {operands: arity{1, 3}, infer: inferClip, vjp: vjpClip},
		"Where": {operands: arity{3, 3}, infer: inferWhere, vjp: vjpWhere},
		"Cast": {operands: unary, attrs: []Attr{{"to", int64(0)}}, infer: inferCast, vjp: ofOne(func(n *Node, dy *Value) *Value {
			return Cast(dy, n.Inputs[0].DType)
		})},
	})
}

// Add returns a + b with ONNX (NumPy) broadcasting, as do [Sub], [Mul] and [Div].
func Add(a, b *Value) *Value { return a.g.Op("Add", nil, a, b) }

// Sub returns a - b.
func Sub(a, b *Value) *Value { return a.g.Op("Sub", nil, a, b) }

// Mul returns the product element by element.
func Mul(a, b *Value) *Value { return a.g.Op("Mul", nil, a, b) }

// Div returns the quotient element by element.
func Div(a, b *Value) *Value { return a.g.Op("Div", nil, a, b) }

// Neg returns -x.
func Neg(x *Value) *Value { return x.g.Op("Neg", nil, x) }

// Abs returns |x|.
func Abs(x *Value) *Value { return x.g.Op("Abs", nil, x) }

// Sign returns -1, 0 or 1.
func Sign(x *Value) *Value { return x.g.Op("Sign", nil, x) }

// Floor returns the largest whole number that is not above x.
func Floor(x *Value) *Value { return x.g.Op("Floor", nil, x) }

// Square returns x·x.
func Square(x *Value) *Value { return Mul(x, x) }

// Relu returns max(x, 0).
func Relu(x *Value) *Value { return x.g.Op("Relu", nil, x) }

// Sigmoid returns 1/(1+exp(-x)).
func Sigmoid(x *Value) *Value { return x.g.Op("Sigmoid", nil, x) }

// Clip returns min(max(x, lo), hi).
func Clip(x *Value, lo, hi float64) *Value {
	return x.g.Op("Clip", nil, x, x.g.Scalar(lo), x.g.Scalar(hi))
}

// Where returns a where cond is true and b elsewhere, all three broadcast.
func Where(cond, a, b *Value) *Value { return cond.g.Op("Where", nil, cond, a, b) }

// Cast converts x to dtype; x itself if it is of that type already.
func Cast(x *Value, dtype DType) *Value {
	if x.DType == dtype {
		return x
	}
	return x.g.Op("Cast", []Attr{{"to", int64(dtype)}}, x)
}

// Equal returns a == b (bool), broadcast.
func Equal(a, b *Value) *Value { return a.g.Op("Equal", nil, a, b) }

// Greater returns a > b (bool), broadcast.
func Greater(a, b *Value) *Value { return a.g.Op("Greater", nil, a, b) }

// And returns the logical conjunction, broadcast.
func And(a, b *Value) *Value { return a.g.Op("And", nil, a, b) }

// Not returns the logical negation.
func Not(x *Value) *Value { return x.g.Op("Not", nil, x) }

func inferUnary(n *Node) ([]Type, error) {
	return []Type{n.Inputs[0].Type}, nil
}

func inferBinary(n *Node) ([]Type, error) {
	a, b := n.Inputs[0], n.Inputs[1]
	if a.DType != b.DType {
		return nil, fmt.Errorf("got %v and %v, want operands of one type", a.DType, b.DType)
	}
	shape, err := broadcast(a.Shape, b.Shape)
	return []Type{{a.DType, shape}}, err
}

func inferCompare(n *Node) ([]Type, error) {
	t, err := inferBinary(n)
	if err != nil {
		return nil, err
	}
	return []Type{{Bool, t[0].Shape}}, nil
}

func inferLogic(n *Node) ([]Type, error) {
	t, err := inferBinary(n)
	if err == nil && t[0].DType != Bool {
		err = fmt.Errorf("got %v, want bool", t[0].DType)
	}
	return t, err
}

func inferClip(n *Node) ([]Type, error) {
	for i, bound := range n.Inputs[1:] {
		if bound != nil && (bound.DType != n.Inputs[0].DType || bound.Rank() != 0) {
			return nil, fmt.Errorf("bound %d: got %v, want a scalar of type %v", i, bound.Type, n.Inputs[0].DType)
		}
	}
	return []Type{n.Inputs[0].Type}, nil
}

func inferWhere(n *Node) ([]Type, error) {
	c, a, b := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	if c.DType != Bool || a.DType != b.DType {
		return nil, fmt.Errorf("got %v, %v, %v, want a bool and two of one type", c.DType, a.DType, b.DType)
	}
	shape, err := broadcast(a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	shape, err = broadcast(c.Shape, shape)
	return []Type{{a.DType, shape}}, err
}

func inferCast(n *Node) ([]Type, error) {
	to := DType(n.Int("to", 0))
	if _, ok := dtypeNames[to]; !ok {
		return nil, fmt.Errorf("cannot cast to %v", to)
	}
	return []Type{{to, n.Inputs[0].Shape}}, nil
}

// broadcast returns the shape that a and b have together. Beside a known
// dimension other than 1 a dynamic one must turn out equal to it.
func broadcast(a, b []int) ([]int, error) {
	if a == nil || b == nil {
		return nil, nil
	}
	shape := make([]int, max(len(a), len(b)))
	for i := range shape {
		x, y := 1, 1
		if j := i - (len(shape) - len(a)); j >= 0 {
			x = a[j]
		}
		if j := i - (len(shape) - len(b)); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y, y == 1, x != 1 && y == Dynamic:
			shape[i] = x
		case x == 1, x == Dynamic:
			shape[i] = y
		default:
			return nil, fmt.Errorf("shapes %s and %s do not broadcast", formatShape(a), formatShape(b))
		}
	}
	return shape, nil
}

// unbroadcast sums dy over the dimensions along which x was broadcast.
func unbroadcast(dy, x *Value) *Value {
	lead := dy.Rank() - x.Rank()
	var axes []int
	for i := range dy.Shape {
		if i < lead || x.Shape[i-lead] == 1 && dy.Shape[i] != 1 {
			axes = append(axes, i)
		}
	}
	if len(axes) > 0 {
		dy = ReduceSum(dy, true, axes...)
	}
	if lead > 0 {
		dy = reshapeLike(dy, x)
	}
	return dy
}

func vjpAdd(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	dx := make([]*Value, 2)
	for i, x := range n.Inputs {
		if need[i] {
			dx[i] = unbroadcast(dy, x)
		}
	}
	return dx
}

func vjpSub(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	dx := vjpAdd(n, dy, need, o)
	if need[1] {
		dx[1] = Neg(dx[1])
	}
	return dx
}

func vjpMul(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	a, b := n.Inputs[0], n.Inputs[1]
	if a == b {
		// Both operands are one value: dE/da = 2a·dy, added once.
		return []*Value{Mul(dy, Mul(a, a.g.Scalar(2)))}
	}
	dx := make([]*Value, 2)
	if need[0] {
		dx[0] = unbroadcast(Mul(dy, b), a)
	}
	if need[1] {
		dx[1] = unbroadcast(Mul(dy, a), b)
	}
	return dx
}

func vjpDiv(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	a, b := n.Inputs[0], n.Inputs[1]
	dx := make([]*Value, 2)
	q := Div(dy, b)
	if need[0] {
		dx[0] = unbroadcast(q, a)
	}
	if need[1] {
		dx[1] = unbroadcast(Neg(Mul(q, n.Outputs[0])), b)
	}
	return dx
}

func vjpClip(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	if slices.Contains(need[1:], true) {
		return []*Value{dy.g.fail("gradient of Clip with respect to its bounds")}
	}
	x, zero := n.Inputs[0], dy.g.Scalar(0)
	if lo := n.In(1); lo != nil {
		dy = Where(Greater(lo, x), zero, dy)
	}
	if hi := n.In(2); hi != nil {
		dy = Where(Greater(x, hi), zero, dy)
	}
	return []*Value{dy}
}

func vjpWhere(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	c, zero := n.Inputs[0], dy.g.Scalar(0)
	dx := make([]*Value, 3)
	if need[1] {
		dx[1] = unbroadcast(Where(c, dy, zero), n.Inputs[1])
	}
	if need[2] {
		dx[2] = unbroadcast(Where(c, zero, dy), n.Inputs[2])
	}
	return dx
}
