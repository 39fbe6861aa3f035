package graph

import (
	"fmt"
	"slices"
)

func init() {
	axis := []Attr{{"axis", int64(0)}}
	register(map[string]operator{
		"Reshape": {
			operands: binary, shaping: []int{1}, attrs: []Attr{{"allowzero", only{int64(0)}}}, infer: inferReshape,
			vjp: ofOne(func(n *Node, dy *Value) *Value { return reshapeLike(dy, n.Inputs[0]) }),
		},
		"Transpose": {operands: unary, attrs: []Attr{{"perm", []int64{}}}, infer: inferTranspose, vjp: vjpTranspose},
		"Concat":    {operands: anyNumber, attrs: axis, infer: inferConcat, vjp: vjpConcat},
		"Slice":     {operands: arity{3, 5}, shaping: []int{1, 2, 3, 4}, infer: inferSlice, vjp: vjpSlice},
		"Pad":       {operands: arity{2, 3}, shaping: []int{1}, attrs: []Attr{{"mode", ""}}, infer: inferPad, vjp: vjpPad},
		"Expand": {
			operands: binary, shaping: []int{1}, infer: inferExpand,
			vjp: ofOne(func(n *Node, dy *Value) *Value { return unbroadcast(dy, n.Inputs[0]) }),
		},
		"Gather": {operands: binary, attrs: axis, infer: inferGather, vjp: vjpGather},
	})
}

// Reshape gives x another shape of as many elements. One dimension may be -1
// (the rest), a 0 keeps x's dimension at that place.
func Reshape(x *Value, shape ...int) *Value {
	return x.g.Op("Reshape", nil, x, x.g.ints(shape...))
}

// reshapeLike reshapes v to x's shape.
func reshapeLike(v, x *Value) *Value {
	if slices.Equal(v.Shape, x.Shape) && !slices.Contains(x.Shape, Dynamic) {
		return v
	}
	dynamic := 0
	for _, d := range x.Shape {
		if d == Dynamic {
			dynamic++
		}
	}
	if dynamic > 1 {
		return v.g.fail("reshape to %s: more than one dynamic dimension", formatShape(x.Shape))
	}
	return Reshape(v, x.Shape...)
}

// Transpose permutes dimensions: dimension i of the result is dimension perm[i] of x.
func Transpose(x *Value, perm ...int) *Value {
	return x.g.Op("Transpose", []Attr{{"perm", int64s(perm)}}, x)
}

// Concat joins values along an axis.
func Concat(axis int, xs ...*Value) *Value {
	return xs[0].g.Op("Concat", []Attr{{"axis", int64(axis)}}, xs...)
}

// SliceAxis takes elements start, start+step, … before end along one axis, as Python's
// x[start:end:step]: negative bounds count from the end.
func SliceAxis(x *Value, axis, start, end, step int) *Value {
	g := x.g
	return g.Op("Slice", nil, x, g.ints(start), g.ints(end), g.ints(axis), g.ints(step))
}

// flip reverses x along an axis.
func flip(x *Value, axis int) *Value { return SliceAxis(x, axis, -1, -1<<31, -1) }

// Pad widens x: before[i] and after[i] elements along axis i. mode is
// "constant" (zeros), "reflect" (d c b | a b c d | c b a) or "edge".
func Pad(x *Value, mode string, before, after []int) *Value {
	return x.g.Op("Pad", []Attr{{"mode", mode}}, x, x.g.ints(slices.Concat(before, after)...))
}

// pad2D pads the last two of x's four dimensions with zeros.
func pad2D(x *Value, top, left, bottom, right int) *Value {
	if top|left|bottom|right == 0 {
		return x
	}
	return Pad(x, "constant", []int{0, 0, top, left}, []int{0, 0, bottom, right})
}

// Expand broadcasts x to a shape.
func Expand(x *Value, shape ...int) *Value {
	return x.g.Op("Expand", nil, x, x.g.ints(shape...))
}

// Gather takes the elements of x with the given indices along an axis.
func Gather(x *Value, axis int, indices ...int) *Value {
	return x.g.Op("Gather", []Attr{{"axis", int64(axis)}}, x, x.g.ints(indices...))
}

func int64s(xs []int) []int64 {
	out := make([]int64, len(xs))
	for i, x := range xs {
		out[i] = int64(x)
	}
	return out
}

// constInts returns the elements of operand i, which must be a constant int64 vector.
func constInts(n *Node, i int) ([]int, error) {
	v := n.In(i)
	if v == nil {
		return nil, nil
	}
	if v.konst == nil || v.DType != Int64 {
		return nil, fmt.Errorf("operand %d: got %v, want a constant int64 vector", i, v.Type)
	}
	out := make([]int, v.konst.Len())
	for j, x := range Data[int64](v.konst) {
		out[j] = int(x)
	}
	return out, nil
}

func normAxis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d: got a tensor of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

func inferReshape(n *Node) ([]Type, error) {
	x := n.Inputs[0]
	want, err := constInts(n, 1)
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(want)
	rest, known, dynamic := -1, 1, slices.Contains(x.Shape, Dynamic)
	for i, d := range shape {
		switch {
		case d == 0 && i < x.Rank():
			shape[i] = x.Shape[i]
		case d == -1 && rest < 0:
			rest = i
			continue
		case d <= 0:
			return nil, fmt.Errorf("shape %v", want)
		}
		if shape[i] != Dynamic {
			known *= shape[i]
		}
	}
	// The dynamic dimension passes through when a 0 copies it; otherwise -1 takes it up.
	have := 1
	for _, d := range x.Shape {
		if d != Dynamic {
			have *= d
		}
	}
	copied := slices.Contains(shape[:max(rest, 0)], Dynamic) || rest >= 0 && slices.Contains(shape[rest+1:], Dynamic) || rest < 0 && slices.Contains(shape, Dynamic)
	switch {
	case rest >= 0 && dynamic && !copied:
		shape[rest] = Dynamic
	case rest >= 0:
		if known == 0 || have%known != 0 {
			return nil, fmt.Errorf("shape %v does not divide the elements", want)
		}
		shape[rest] = have / known
	case have != known || dynamic != copied:
		return nil, fmt.Errorf("shape %v has another number of elements", want)
	}
	return []Type{{x.DType, shape}}, nil
}

func inferTranspose(n *Node) ([]Type, error) {
	x := n.Inputs[0]
	perm := n.Ints("perm")
	if len(perm) != x.Rank() {
		return nil, fmt.Errorf("permutation %v", perm)
	}
	shape := make([]int, len(perm))
	seen := map[int64]bool{}
	for i, p := range perm {
		if p < 0 || int(p) >= len(perm) || seen[p] {
			return nil, fmt.Errorf("permutation %v", perm)
		}
		seen[p] = true
		shape[i] = x.Shape[p]
	}
	return []Type{{x.DType, shape}}, nil
}

func vjpTranspose(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	perm := n.Ints("perm")
	inverse := make([]int, len(perm))
	for i, p := range perm {
		inverse[p] = i
	}
	return []*Value{Transpose(dy, inverse...)}
}

func inferConcat(n *Node) ([]Type, error) {
	first := n.Inputs[0]
	axis, err := normAxis(int(n.Int("axis", 0)), first.Rank())
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(first.Shape)
	for i, x := range n.Inputs[1:] {
		if x.DType != first.DType || x.Rank() != first.Rank() {
			return nil, fmt.Errorf("operand %d: got %v beside %v", i+1, x.Type, first.Type)
		}
		for j, d := range x.Shape {
			switch {
			case j != axis && d != shape[j] && d != Dynamic && shape[j] != Dynamic:
				return nil, fmt.Errorf("operand %d: got %v beside %v", i+1, x.Type, first.Type)
			case j == axis && (d == Dynamic || shape[j] == Dynamic):
				shape[j] = Dynamic
			case j == axis:
				shape[j] += d
			}
		}
	}
	return []Type{{first.DType, shape}}, nil
}

func vjpConcat(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	axis, _ := normAxis(int(n.Int("axis", 0)), dy.Rank())
	dx := make([]*Value, len(n.Inputs))
	at := 0
	for i, x := range n.Inputs {
		if x.Shape[axis] == Dynamic {
			return []*Value{dy.g.fail("gradient of Concat along a dynamic axis")}
		}
		if need[i] {
			dx[i] = SliceAxis(dy, axis, at, at+x.Shape[axis], 1)
		}
		at += x.Shape[axis]
	}
	return dx
}

// A span is the part of one axis that a Slice takes: count elements from start on.
type span struct{ axis, start, step, count int }

func sliceSpans(n *Node) ([]span, error) {
	var lists [5][]int
	for i := 1; i < len(n.Inputs); i++ {
		var err error
		if lists[i], err = constInts(n, i); err != nil {
			return nil, err
		}
	}
	starts, ends, axes, steps := lists[1], lists[2], lists[3], lists[4]
	for _, l := range [][]int{ends, axes, steps} {
		if l != nil && len(l) != len(starts) {
			return nil, fmt.Errorf("got %d starts, %d ends, %d axes, %d steps", len(starts), len(ends), len(axes), len(steps))
		}
	}
	var spans []span
	for i := range starts {
		axis, step := i, 1
		if axes != nil {
			axis = axes[i]
		}
		if steps != nil {
			step = steps[i]
		}
		axis, err := normAxis(axis, n.Inputs[0].Rank())
		if err != nil {
			return nil, err
		}
		d := n.Inputs[0].Shape[axis]
		if d == Dynamic || step == 0 {
			return nil, fmt.Errorf("cannot take [%d::%d] of axis %d of %v", starts[i], step, axis, n.Inputs[0].Type)
		}
		fromFront := func(v int) int {
			if v < 0 {
				v += d
			}
			return v
		}
		step = min(max(step, -d-1), d+1) // as far as any, and no sum overflows
		// A start before the first place is that place, downwards too: in Python it is none.
		s := span{axis: axis, start: max(fromFront(starts[i]), 0), step: step}
		end := max(fromFront(ends[i]), -1)
		if step > 0 {
			s.start = min(s.start, d)
			s.count = max(0, (min(end, d)-s.start+step-1)/step)
		} else {
			s.start = min(s.start, d-1)
			s.count = max(0, (s.start-end-step-1)/-step)
		}
		spans = append(spans, s)
	}
	return spans, nil
}

func inferSlice(n *Node) ([]Type, error) {
	spans, err := sliceSpans(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	shape := slices.Clone(x.Shape)
	for _, s := range spans {
		shape[s.axis] = s.count
	}
	return []Type{{x.DType, shape}}, nil
}

// vjpSlice puts dy back among zeros: reversed where the step is negative,
// spread out where it is larger than one, padded to x's size.
func vjpSlice(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	spans, _ := sliceSpans(n)
	x := n.Inputs[0]
	before, after := make([]int, x.Rank()), make([]int, x.Rank())
	for _, s := range spans {
		if s.count == 0 {
			return []*Value{dy.g.fail("gradient of an empty Slice")}
		}
		start, step := s.start, s.step
		if step < 0 {
			dy = flip(dy, s.axis)
			start, step = start+step*(s.count-1), -step
		}
		length := s.count
		if step > 1 {
			dy = dilate(dy, s.axis, step)
			length = (s.count-1)*step + 1
		}
		before[s.axis], after[s.axis] = start, x.Shape[s.axis]-start-length
	}
	return []*Value{Pad(dy, "constant", before, after)}
}

// dilate puts step-1 zeros between the elements along an axis.
func dilate(x *Value, axis, step int) *Value {
	d := x.Shape[axis]
	shape := slices.Insert(slices.Clone(x.Shape), axis+1, 1)
	spread := Reshape(x, shape...)
	after := make([]int, len(shape))
	after[axis+1] = step - 1
	spread = Pad(spread, "constant", make([]int, len(shape)), after)
	shape = slices.Clone(x.Shape)
	shape[axis] = d * step
	return SliceAxis(Reshape(spread, shape...), axis, 0, (d-1)*step+1, 1)
}

// padAmounts returns what a Pad adds before and after each axis.
func padAmounts(n *Node) (before, after []int, err error) {
	pads, err := constInts(n, 1)
	if err != nil {
		return nil, nil, err
	}
	rank := n.Inputs[0].Rank()
	if len(pads) != 2*rank {
		return nil, nil, fmt.Errorf("got %d pads, want %d", len(pads), 2*rank)
	}
	return pads[:rank], pads[rank:], nil
}

func inferPad(n *Node) ([]Type, error) {
	before, after, err := padAmounts(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	if v := n.In(2); v != nil && (v.DType != x.DType || v.Rank() != 0) {
		return nil, fmt.Errorf("value: got %v, want a scalar of type %v", v.Type, x.DType)
	}
	mode := n.Text("mode", "constant")
	shape := slices.Clone(x.Shape)
	for i, d := range shape {
		if before[i] == 0 && after[i] == 0 {
			continue
		}
		widest := max(before[i], after[i])
		switch {
		case d == Dynamic:
			return nil, fmt.Errorf("pads dynamic axis %d", i)
		case mode == "reflect" && widest >= d:
			return nil, fmt.Errorf("axis %d: reflects %d of %d elements", i, widest, d)
		case mode != "constant" && mode != "reflect" && mode != "edge":
			return nil, fmt.Errorf("mode %q", mode)
		}
		if shape[i] += before[i] + after[i]; shape[i] < 0 {
			return nil, fmt.Errorf("axis %d: crops %d elements from %d", i, -before[i]-after[i], d)
		}
	}
	return []Type{{x.DType, shape}}, nil
}

// vjpPad crops the padding away; for the modes that repeat elements it
// multiplies by the transposed matrix of the padding, axis by axis.
func vjpPad(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	if len(need) > 2 && need[2] {
		return []*Value{dy.g.fail("gradient of Pad with respect to its value")}
	}
	before, after, _ := padAmounts(n)
	x := n.Inputs[0]
	mode := n.Text("mode", "constant")
	for axis, d := range x.Shape {
		if before[axis] == 0 && after[axis] == 0 {
			continue
		}
		if mode == "constant" {
			b, a := max(before[axis], 0), max(after[axis], 0)
			dy = SliceAxis(dy, axis, b, dy.Shape[axis]-a, 1)
			if before[axis] < 0 || after[axis] < 0 {
				lo, hi := make([]int, x.Rank()), make([]int, x.Rank())
				lo[axis], hi[axis] = max(-before[axis], 0), max(-after[axis], 0)
				dy = Pad(dy, "constant", lo, hi)
			}
			continue
		}
		wide := d + before[axis] + after[axis]
		m := make([]float32, wide*d)
		for i := range wide {
			j := i - before[axis]
			if mode == "edge" {
				j = min(max(j, 0), d-1)
			} else if j < 0 {
				j = -j
			} else if j >= d {
				j = 2*(d-1) - j
			}
			m[i*d+j] = 1
		}
		dy = mulAxis(dy, axis, dy.g.Const("", NewTensor(m, wide, d)))
	}
	return []*Value{dy}
}

// mulAxis multiplies along an axis by a matrix: the axis of length m.Dim(0) becomes m.Dim(1) long.
func mulAxis(x *Value, axis int, m *Value) *Value {
	last := x.Rank() - 1
	if axis == last {
		return MatMul(x, m)
	}
	perm := make([]int, x.Rank())
	for i := range perm {
		perm[i] = i
	}
	perm[axis], perm[last] = last, axis
	return Transpose(MatMul(Transpose(x, perm...), m), perm...)
}

func inferExpand(n *Node) ([]Type, error) {
	want, err := constInts(n, 1)
	if err != nil {
		return nil, err
	}
	for _, d := range want {
		if d < 0 {
			return nil, fmt.Errorf("shape %v", want)
		}
	}
	shape, err := broadcast(n.Inputs[0].Shape, want)
	return []Type{{n.Inputs[0].DType, shape}}, err
}

func inferGather(n *Node) ([]Type, error) {
	x, idx := n.Inputs[0], n.Inputs[1]
	axis, err := normAxis(int(n.Int("axis", 0)), x.Rank())
	if err != nil {
		return nil, err
	}
	if idx.DType != Int64 && idx.DType != Int32 {
		return nil, fmt.Errorf("indices: got %v, want int64", idx.Type)
	}
	shape := append([]int{}, slices.Concat(x.Shape[:axis], idx.Shape, x.Shape[axis+1:])...) // not nil, of rank 0
	return []Type{{x.DType, shape}}, nil
}

// vjpGather multiplies dy by the matrix with a one where an index picks a place:
// sums in a fixed order on every provider, which scattering does not promise.
func vjpGather(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, idx, g := n.Inputs[0], n.Inputs[1], dy.g
	axis, _ := normAxis(int(n.Int("axis", 0)), x.Rank())
	d, k := x.Shape[axis], Elements(idx.Shape)
	if d == Dynamic || k < 0 {
		return []*Value{g.fail("gradient of Gather from %v by %v: give the axis and the indices a size", x.Type, idx.Type)}
	}
	places := make([]int64, d)
	for i := range places {
		places[i] = int64(i)
	}
	// An index from the end equals its place less d.
	row := Reshape(Cast(idx, Int64), 1, k)
	column, size := g.Const("", NewTensor(places, d, 1)), g.Const("", NewTensor([]int64{int64(d)}))
	row = Where(g.Op("Less", nil, row, g.Const("", NewTensor([]int64{0}))), Add(row, size), row)
	flat := slices.Concat(x.Shape[:axis], []int{k}, x.Shape[axis+1:])
	return []*Value{mulLeft(Cast(Equal(column, row), x.DType), Reshape(dy, flat...), axis)}
}

// mulLeft multiplies a matrix m by x along an axis: the axis of length m.Dim(1)
// becomes m.Dim(0) long.
func mulLeft(m, x *Value, axis int) *Value {
	last := x.Rank() - 1
	switch {
	case axis == last && last > 0:
		return MatMul(x, transposeLast(m))
	case axis == last-1:
		return MatMul(m, x)
	}
	length := func(shape []int) int { return max(Elements(shape), Dynamic) }
	shape := slices.Clone(x.Shape)
	shape[axis] = m.Shape[0]
	return Reshape(MatMul(m, Reshape(x, length(shape[:axis]), m.Shape[1], length(shape[axis+1:]))), shape...)
}
