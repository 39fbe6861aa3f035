package graph

import "fmt"

func init() {
	register(map[string]operator{
		"MatMul": {operands: binary, infer: inferMatMul, vjp: vjpMatMul, macs: func(n *Node) int64 { return productMACs(n, -1) }},
		"Gemm": {
			operands: arity{2, 3}, attrs: []Attr{{"alpha", float32(1)}, {"beta", float32(1)}, {"transA", int64(0)}, {"transB", int64(0)}},
			infer: inferGemm, vjp: vjpGemm, macs: func(n *Node) int64 {
				if n.Int("transA", 0) != 0 {
					return productMACs(n, 0)
				}
				return productMACs(n, 1)
			},
		},
	})
}

// productMACs is what a product takes that sums over that axis of its first factor.
func productMACs(n *Node, axis int) int64 {
	a := n.Inputs[0]
	if a.Rank() == 0 {
		return Open
	}
	return product(count(n.Outputs[0].Shape), int64(a.Dim(axis)))
}

// MatMul multiplies matrices: the last two dimensions of a [..., m, k] and
// b [..., k, n] with the leading ones broadcast.
func MatMul(a, b *Value) *Value { return a.g.Op("MatMul", nil, a, b) }

// GemmOptions transpose the factors of [Gemm]; nil leaves both as they are.
type GemmOptions struct{ TransA, TransB bool }

// Gemm returns A·B + c for matrices A and B, each transposed if o says so; c is
// broadcast to the result and may be nil.
func Gemm(a, b, c *Value, o *GemmOptions) *Value {
	var attrs []Attr
	if o != nil && o.TransA {
		attrs = append(attrs, Attr{"transA", int64(1)})
	}
	if o != nil && o.TransB {
		attrs = append(attrs, Attr{"transB", int64(1)})
	}
	if c == nil {
		return a.g.Op("Gemm", attrs, a, b)
	}
	return a.g.Op("Gemm", attrs, a, b, c)
}

// transposeLast swaps the last two dimensions.
func transposeLast(x *Value) *Value {
	perm := make([]int, x.Rank())
	for i := range perm {
		perm[i] = i
	}
	k := len(perm)
	perm[k-2], perm[k-1] = k-1, k-2
	return Transpose(x, perm...)
}

func inferMatMul(n *Node) ([]Type, error) {
	a, b := n.Inputs[0], n.Inputs[1]
	if a.DType != b.DType || a.Rank() < 2 || b.Rank() < 2 || a.Dim(-1) != b.Dim(-2) {
		return nil, fmt.Errorf("got %v times %v", a.Type, b.Type)
	}
	lead, err := broadcast(a.Shape[:a.Rank()-2], b.Shape[:b.Rank()-2])
	return []Type{{a.DType, append(lead, a.Dim(-2), b.Dim(-1))}}, err
}

func inferGemm(n *Node) ([]Type, error) {
	a, b := n.Inputs[0], n.Inputs[1]
	if a.Rank() != 2 || b.Rank() != 2 || a.DType != b.DType {
		return nil, fmt.Errorf("got %v and %v, want two matrices", a.Type, b.Type)
	}
	m, k, k2, w := a.Shape[0], a.Shape[1], b.Shape[0], b.Shape[1]
	if n.Int("transA", 0) != 0 {
		m, k = k, m
	}
	if n.Int("transB", 0) != 0 {
		k2, w = w, k2
	}
	if k != k2 {
		return nil, fmt.Errorf("inner dimensions %d and %d differ", k, k2)
	}
	shape := []int{m, w}
	if c := n.In(2); c != nil {
		if s, err := broadcast(c.Shape, shape); err != nil || !compatible(s, shape) {
			return nil, fmt.Errorf("addend: got %v, want it to broadcast to %s", c.Type, formatShape(shape))
		}
	}
	return []Type{{a.DType, shape}}, nil
}

func vjpMatMul(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	a, b := n.Inputs[0], n.Inputs[1]
	dx := make([]*Value, 2)
	if need[0] {
		dx[0] = unbroadcast(MatMul(dy, transposeLast(b)), a)
	}
	if need[1] {
		dx[1] = unbroadcast(MatMul(transposeLast(a), dy), b)
	}
	return dx
}

func vjpGemm(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	a, b := n.Inputs[0], n.Inputs[1]
	if n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1 {
		return []*Value{dy.g.fail("gradient of Gemm with alpha or beta")}
	}
	ta, tb := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	dx := make([]*Value, 3)
	if need[0] {
		if ta { // y = aᵀ·b' ⇒ da = b'·dyᵀ
			dx[0] = Gemm(b, dy, nil, &GemmOptions{TransA: tb, TransB: true})
		} else {
			dx[0] = Gemm(dy, b, nil, &GemmOptions{TransB: !tb})
		}
	}
	if need[1] {
		if tb { // y = a'·bᵀ ⇒ db = dyᵀ·a'
			dx[1] = Gemm(dy, a, nil, &GemmOptions{TransA: true, TransB: ta})
		} else {
			dx[1] = Gemm(a, dy, nil, &GemmOptions{TransA: !ta})
		}
	}
	if c := n.In(2); c != nil && need[2] {
		dx[2] = unbroadcast(dy, c)
	}
	return dx
}
