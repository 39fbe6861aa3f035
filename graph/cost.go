package graph

import "math"

// Open is what [Node.MACs] and [Node.Cost] return where the shapes do not tell,
// or too large a number comes out.
const Open = math.MaxInt64

// MACs returns the multiply-accumulates that a convolution or a product of
// matrices takes, 0 for other operators: of one image where the batch, the first
// dimension, is [Dynamic].
func (n *Node) MACs() int64 {
	if macs := operators[n.Op].macs; macs != nil && n.Domain == "" {
		return macs(n)
	}
	return 0
}

// Cost returns how many elements n gives, and about how many operations it
// takes: its MACs, the places that its windows see, and one for each element of
// operands and results.
func (n *Node) Cost() (elements, operations int64) {
	operations = n.MACs()
	if seen := operators[n.Op].seen; seen != nil && n.Domain == "" {
		operations = sum(operations, seen(n))
	}
	for _, v := range n.Inputs {
		if v != nil {
			operations = sum(operations, count(v.Shape))
		}
	}
	for _, v := range n.Outputs {
		elements = sum(elements, count(v.Shape))
	}
	return elements, sum(operations, elements)
}

// count returns the number of elements, those of one image where the batch is [Dynamic].
func count(shape []int) int64 {
	if shape == nil {
		return Open
	}
	n := int64(1)
	for i, d := range shape {
		if i > 0 || d != Dynamic {
			n = product(n, int64(d))
		}
	}
	return n
}

func sum(a, b int64) int64 {
	if a > Open-b {
		return Open
	}
	return a + b
}

// product takes a [Dynamic] factor as Open.
func product(a, b int64) int64 {
	switch {
	case a < 0 || b < 0:
		return Open
	case b > 0 && a > Open/b:
		return Open
	}
	return a * b
}
