package graph

import (
	"fmt"
	"slices"
)

// The operators here have no gradient: networks of other tools have them, and
// are only run.
func init() {
	for _, op := range []string{"Atan", "Ceil", "Cos", "Round", "Sin"} {
		operators[op] = operator{operands: unary, infer: inferFloat}
	}
	for _, op := range []string{"ArgMax", "ArgMin"} {
		operators[op] = operator{operands: unary, infer: inferArgExtreme, attrs: []Attr{{"axis", int64(0)}, {"keepdims", int64(0)}, {"select_last_index", int64(0)}}}
	}
	register(map[string]operator{
		"Mod":            {operands: binary, attrs: []Attr{{"fmod", int64(0)}}, infer: inferMod},
		"ReduceProd":     {operands: arity{1, 2}, shaping: []int{1}, attrs: reduceAttrs, infer: inferReduce},
		"TopK":           {operands: binary, shaping: []int{1}, attrs: []Attr{{"axis", int64(0)}, {"largest", int64(0)}, {"sorted", int64(0)}}, infer: inferTopK},
		"GatherElements": {operands: binary, attrs: []Attr{{"axis", int64(0)}}, infer: inferGatherElements},
		"GatherND":       {operands: binary, attrs: []Attr{{"batch_dims", only{int64(0)}}}, infer: inferGatherND},
		"ScatterND":      {operands: arity{3, 3}, attrs: []Attr{{"reduction", only{"none"}}}, infer: inferScatterND},
	})
}

// inferMod: of floats there is the remainder of a division that rounds towards
// zero alone, as ONNX says.
func inferMod(n *Node) ([]Type, error) {
	t, err := inferBinary(n)
	if err == nil && t[0].DType.IsFloat() && n.Int("fmod", 0) == 0 {
		err = fmt.Errorf("fmod: got 0 for %v, want 1", t[0].DType)
	}
	return t, err
}

func inferArgExtreme(n *Node) ([]Type, error) {
	x := n.Inputs[0]
	axis, err := normAxis(int(n.Int("axis", 0)), x.Rank())
	if err != nil {
		return nil, err
	}
	if x.Shape[axis] == 0 {
		return nil, fmt.Errorf("axis %d of %v is empty", axis, x.Type)
	}
	shape := slices.Clone(x.Shape)
	shape[axis] = 1
	if n.Int("keepdims", 1) == 0 {
		shape = slices.Delete(shape, axis, axis+1)
	}
	return []Type{{Int64, shape}}, nil
}

func inferTopK(n *Node) ([]Type, error) {
	x := n.Inputs[0]
	axis, err := normAxis(int(n.Int("axis", -1)), x.Rank())
	if err != nil {
		return nil, err
	}
	k, err := constInts(n, 1)
	if err != nil {
		return nil, err
	}
	if d := x.Shape[axis]; len(k) != 1 || k[0] < 0 || d != Dynamic && k[0] > d {
		return nil, fmt.Errorf("got k %v for axis %d of %v", k, axis, x.Type)
	}
	shape := slices.Clone(x.Shape)
	shape[axis] = k[0]
	return []Type{{x.DType, shape}, {Int64, slices.Clone(shape)}}, nil
}

func inferGatherElements(n *Node) ([]Type, error) {
	x, at := n.Inputs[0], n.Inputs[1]
	axis, err := normAxis(int(n.Int("axis", 0)), x.Rank())
	if err != nil {
		return nil, err
	}
	if !isIndex(at) || at.Rank() != x.Rank() {
		return nil, fmt.Errorf("indices: got %v for %v", at.Type, x.Type)
	}
	for i, d := range at.Shape {
		if w := x.Shape[i]; i != axis && d > w && w != Dynamic {
			return nil, fmt.Errorf("indices: got %v for %v", at.Type, x.Type)
		}
	}
	return []Type{{x.DType, at.Shape}}, nil
}

func isIndex(v *Value) bool { return v.DType == Int64 || v.DType == Int32 }

// inferGatherND: each row of the indices names a part of x by its first dimensions.
func inferGatherND(n *Node) ([]Type, error) {
	shape, err := partsShape(n.Inputs[0], n.Inputs[1])
	return []Type{{n.Inputs[0].DType, shape}}, err
}

// partsShape is the shape of the parts of x that the rows of indices name.
func partsShape(x, at *Value) ([]int, error) {
	depth := at.Dim(-1)
	if !isIndex(at) || at.Rank() < 1 || depth < 1 || depth > x.Rank() {
		return nil, fmt.Errorf("indices: got %v for %v", at.Type, x.Type)
	}
	return slices.Concat(at.Shape[:at.Rank()-1], x.Shape[depth:]), nil
}

func inferScatterND(n *Node) ([]Type, error) {
	x, at, up := n.Inputs[0], n.Inputs[1], n.Inputs[2]
	shape, err := partsShape(x, at)
	if err == nil && (up.DType != x.DType || !compatible(up.Shape, shape)) {
		err = fmt.Errorf("updates: got %v, want %v", up.Type, Type{x.DType, shape})
	}
	return []Type{x.Type}, err
}
