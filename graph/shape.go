package graph

import (
	"fmt"
	"math"
)

func init() {
	register(map[string]operator{
		"Shape": {operands: unary, attrs: []Attr{{"start", int64(0)}, {"end", int64(0)}}, infer: inferShape},
		"Range": {operands: arity{3, 3}, shaping: []int{0, 1, 2}, infer: inferRange},
	})
}

// Size returns dimension axis of x as an int64 of rank 0, known when the graph
// runs; a negative axis counts from the end.
func Size(x *Value, axis int) *Value {
	index := x.g.Const("", NewTensor([]int64{int64(axis)}))
	return x.g.Op("Gather", nil, x.g.Op("Shape", nil, x), index)
}

// Range returns start, start+delta, … before limit, all three of one type and of
// rank 0: [⌈(limit-start)/delta⌉] elements, or none.
func Range(start, limit, delta *Value) *Value {
	return start.g.Op("Range", nil, start, limit, delta)
}

func inferShape(n *Node) ([]Type, error) {
	rank := int64(n.Inputs[0].Rank())
	bound := func(name string, def int64) int64 {
		i := n.Int(name, def)
		if i < 0 {
			i += rank
		}
		return min(max(i, 0), rank)
	}
	return []Type{{Int64, []int{int(max(0, bound("end", rank)-bound("start", 0)))}}}, nil
}

// inferRange knows the length where all operands are constants.
func inferRange(n *Node) ([]Type, error) {
	d := n.Inputs[0].DType
	var bounds [3]float64
	known := true
	for i, v := range n.Inputs {
		if v.DType != d || v.Rank() != 0 || d == Bool || d == Uint8 {
			return nil, fmt.Errorf("operand %d: got %v, want a number of rank 0, of one type with the others", i, v.Type)
		}
		if v.konst == nil {
			known = false
			continue
		}
		switch x := v.konst.data.(type) {
		case []float32:
			bounds[i] = float64(x[0])
		case []float64:
			bounds[i] = x[0]
		case []int32:
			bounds[i] = float64(x[0])
		case []int64:
			bounds[i] = float64(x[0])
		}
	}
	if !known {
		return []Type{{d, []int{Dynamic}}}, nil
	}
	length := math.Ceil((bounds[1] - bounds[0]) / bounds[2])
	if !(length <= math.MaxInt32) {
		return nil, fmt.Errorf("got %v to %v by %v", bounds[0], bounds[1], bounds[2])
	}
	return []Type{{d, []int{int(max(0, length))}}}, nil
}
