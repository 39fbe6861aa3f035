package graph

import (
	"fmt"
	"slices"
)

func init() {
	register(map[string]operator{"Split": {
		operands: arity{1, 2}, shaping: []int{1}, attrs: []Attr{{"axis", int64(0)}, {"num_outputs", int64(0)}}, infer: inferSplit, vjps: vjpSplit,
	}})
}

// Split cuts x along an axis into pieces of the given lengths, which add up to the axis'.
func Split(x *Value, axis int, lengths ...int) []*Value {
	return x.g.OpN("Split", []Attr{{"axis", int64(axis)}}, len(lengths), x, x.g.ints(lengths...))
}

// maxPieces bounds what a file may ask for.
const maxPieces = 1 << 16

// pieces returns the axis and the lengths of what a Split cuts it into: those
// given, or num_outputs equal ones of which the last may be shorter.
func pieces(n *Node) (axis int, lengths []int, err error) {
	x, count := n.Inputs[0], int(n.Int("num_outputs", 0))
	if axis, err = normAxis(int(n.Int("axis", 0)), x.Rank()); err != nil {
		return 0, nil, err
	}
	if lengths, err = constInts(n, 1); err != nil {
		return 0, nil, err
	}
	d := x.Shape[axis]
	if d == Dynamic || (lengths == nil) == (count == 0) || count < 0 || count > maxPieces {
		return 0, nil, fmt.Errorf("axis %d of %v: got lengths %v and num_outputs %d, want one of the two", axis, x.Type, lengths, count)
	}
	for rest, each := d, (d+max(count, 1)-1)/max(count, 1); len(lengths) < count; rest -= each {
		if rest <= 0 {
			return 0, nil, fmt.Errorf("axis %d of %v: cannot be cut into %d pieces of %d", axis, x.Type, count, each)
		}
		lengths = append(lengths, min(each, rest))
	}
	sum := 0
	for _, l := range lengths {
		if sum += l; l < 0 || sum > d {
			break
		}
	}
	if sum != d || len(lengths) == 0 || slices.Min(lengths) < 0 {
		return 0, nil, fmt.Errorf("axis %d of %v: got lengths %v", axis, x.Type, lengths)
	}
	return axis, lengths, nil
}

func inferSplit(n *Node) ([]Type, error) {
	axis, lengths, err := pieces(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	types := make([]Type, len(lengths))
	for i, l := range lengths {
		types[i] = Type{x.DType, slices.Clone(x.Shape)}
		types[i].Shape[axis] = l
	}
	return types, nil
}

// vjpSplit joins the gradients of the pieces, or where E does not depend on some
// of them, widens each with zeros.
func vjpSplit(n *Node, dys []*Value, need []bool, o *GradOptions) []*Value {
	axis, lengths, _ := pieces(n)
	if len(dys) == len(lengths) && !slices.Contains(dys, nil) {
		return []*Value{Concat(axis, dys...)}
	}
	x := n.Inputs[0]
	var dx *Value
	at := 0
	for i, dy := range dys {
		if dy != nil {
			before, after := make([]int, x.Rank()), make([]int, x.Rank())
			before[axis], after[axis] = at, x.Shape[axis]-at-lengths[i]
			if dy = Pad(dy, "constant", before, after); dx == nil {
				dx = dy
			} else {
				dx = Add(dx, dy)
			}
		}
		at += lengths[i]
	}
	return []*Value{dx}
}
