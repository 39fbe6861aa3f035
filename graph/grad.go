package graph

import (
	"fmt"
	"slices"
)

// A vjpFunc appends the vector-Jacobian product of n: given dy = dE/dy for n's
// first result it returns dE/dx for each input x of n, nil where need[i] is
// false or no gradient flows.
type vjpFunc func(n *Node, dy *Value, need []bool, o *GradOptions) []*Value

// ofOne makes a vjpFunc of one of an operator whose only operand a gradient flows to.
func ofOne(vjp func(n *Node, dy *Value) *Value) vjpFunc {
	return func(n *Node, dy *Value, need []bool, o *GradOptions) []*Value { return []*Value{vjp(n, dy)} }
}

// A resultsVJP is a vjpFunc of an operator with several results that gradients
// flow through: dys[i] is dE/dy for result i, nil where E does not depend on it.
type resultsVJP func(n *Node, dys []*Value, need []bool, o *GradOptions) []*Value

// ofFirst makes a resultsVJP of one that knows the first result alone.
func (f vjpFunc) ofFirst(n *Node, dys []*Value, need []bool, o *GradOptions) []*Value {
	for i, dy := range dys {
		if i > 0 && dy != nil {
			return []*Value{dy.g.fail("result %d has no gradient", i)}
		}
	}
	return f(n, dys[0], need, o)
}

// ConvWeightGrad says how the gradient of a convolution with respect to its
// weights is written in ONNX operators. All forms give the same values; their
// speed differs by a factor of several between providers.
type ConvWeightGrad int

const (
	// ByConv convolves the input with the gradient: one Conv with a kernel as
	// large as the image. Works for every stride, dilation and padding; the
	// other forms fall back on it. Best on provider go, which knows such kernels.
	ByConv ConvWeightGrad = iota
	// ByShift multiplies the gradient shifted by kernel rows with the input
	// shifted by kernel columns, image by image: kh+kw copies. Best on ONNX Runtime's CPU provider.
	ByShift
	// ByShiftConcat multiplies the gradient with the input shifted by each
	// kernel offset, over the whole batch at once: kh*kw copies. Best on GPUs.
	ByShiftConcat
)

// GradOptions are options of [Gradients]; nil is all defaults.
type GradOptions struct {
	ConvWeight ConvWeightGrad // default ByConv
	// Custom has the derivatives of values that are differentiated by a rule of
	// the caller's: those made with the operators of a provider, say.
	Custom map[*Value]CustomVJP
}

// A CustomVJP differentiates a value y, which depends on X, in place of the
// operators from X to y. Those may be several, and foreign; the first result of
// the last one is y.
type CustomVJP struct {
	X *Value
	// VJP appends dE/dX for dy = dE/dy and returns it; nil if need is false,
	// when no gradient has to flow on. What E depends on beside X, such as the
	// parameters of a layer, is VJP's own business.
	VJP func(dy *Value, need bool) *Value
}

// Gradients appends the gradient of loss with respect to each of wrt (inputs,
// parameters or intermediate values) and returns them, of the types of wrt.
// loss has one element. A value that loss does not depend on has gradient zero.
//
// The derivative at points where an operator is not differentiable is the one
// PyTorch takes: Relu and Abs have 0 at 0, MaxPool sends all to the first
// maximum of a window in row-major order, Max, Min and ReduceMax share it
// evenly among all that are the maximum. Clip has 1 at both bounds, where
// PyTorch 2.15's clamp has 0.
func Gradients(loss *Value, wrt []*Value, o *GradOptions) ([]*Value, error) {
	g := loss.g
	if g.err != nil {
		return nil, g.err
	}
	if o == nil {
		o = &GradOptions{}
	}
	if Elements(loss.Shape) != 1 || slices.Contains(loss.Shape, Dynamic) || !loss.DType.IsFloat() {
		return nil, fmt.Errorf("%w: gradient of %q: got %v, want one float element", ErrGraph, loss.name, loss.Type)
	}
	for _, x := range wrt {
		if x.g != g || !x.DType.IsFloat() {
			return nil, fmt.Errorf("%w: gradient with respect to %q: got %v, want a float value of the same graph", ErrGraph, x.name, x.Type)
		}
	}

	needs := map[*Value]bool{}
	for _, x := range wrt {
		needs[x] = true
	}
	nodes := g.Nodes(loss)
	for _, n := range nodes {
		for _, in := range n.Inputs {
			if in == nil || !needs[in] {
				continue
			}
			for _, y := range n.Outputs {
				if y.DType.IsFloat() {
					needs[y] = true
				}
			}
		}
	}

	grads := map[*Value]*Value{loss: g.Const("", ones(loss.Shape))}
	for _, n := range slices.Backward(nodes) {
		y := n.Outputs[0]
		dys := make([]*Value, len(n.Outputs))
		reached := false
		for i, out := range n.Outputs {
			if needs[out] {
				dys[i] = grads[out]
				reached = reached || dys[i] != nil
			}
		}
		if !reached {
			continue
		}
		if c, ok := o.Custom[y]; ok && dys[0] != nil {
			dx := c.VJP(dys[0], needs[c.X])
			if g.err != nil {
				return nil, fmt.Errorf("gradient of %q: %w", y.name, g.err)
			}
			if needs[c.X] {
				if err := accumulate(grads, c.X, dx); err != nil {
					return nil, fmt.Errorf("%w: custom gradient of %q: %w", ErrGraph, y.name, err)
				}
			}
			continue
		}
		need := make([]bool, len(n.Inputs))
		wanted := false
		for i, in := range n.Inputs {
			need[i] = in != nil && needs[in]
			wanted = wanted || need[i]
		}
		if !wanted { // y itself is one of wrt
			continue
		}
		vjp := operators[n.Op].gradient()
		if n.Domain != "" || vjp == nil {
			return nil, fmt.Errorf("%w: %s (%q) has no gradient", ErrGraph, n.Op, y.name)
		}
		dxs := vjp(n, dys, need, o)
		if g.err != nil {
			return nil, fmt.Errorf("gradient of %s (%q): %w", n.Op, y.name, g.err)
		}
		for i, in := range n.Inputs {
			if !need[i] || i >= len(dxs) || dxs[i] == nil {
				continue
			}
			if err := accumulate(grads, in, dxs[i]); err != nil {
				return nil, fmt.Errorf("%w: gradient of %s (%q), input %d: %w", ErrGraph, n.Op, y.name, i, err)
			}
		}
	}

	out := make([]*Value, len(wrt))
	for i, x := range wrt {
		if out[i] = grads[x]; out[i] == nil {
			if slices.Contains(x.Shape, Dynamic) {
				out[i] = Mul(x, g.Scalar(0))
			} else {
				out[i] = g.Const("", Zeros(x.DType, x.Shape...))
			}
		}
	}
	return out, g.err
}

// accumulate adds dx to the gradient of x.
func accumulate(grads map[*Value]*Value, x, dx *Value) error {
	if dx == nil || !compatible(dx.Shape, x.Shape) {
		got := "none"
		if dx != nil {
			got = "shape " + formatShape(dx.Shape)
		}
		return fmt.Errorf("got %s, want shape %s", got, formatShape(x.Shape))
	}
	if sum := grads[x]; sum != nil {
		dx = Add(sum, dx)
	}
	grads[x] = dx
	return nil
}

func ones(shape []int) *Tensor {
	t := Zeros(Float32, shape...)
	d := Data[float32](t)
	for i := range d {
		d[i] = 1
	}
	return t
}

// compatible reports whether two shapes can be of one tensor.
func compatible(a, b []int) bool {
	return slices.EqualFunc(a, b, func(x, y int) bool { return x == y || x == Dynamic || y == Dynamic })
}
