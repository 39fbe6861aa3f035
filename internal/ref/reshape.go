package ref

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// shapeKernels are the operators that move elements of any type.
func shapeKernels[E graph.Elem]() map[string]Kernel {
	return map[string]Kernel{
		"Identity":       identity,
		"Shape":          shape,
		"Reshape":        reshape,
		"Transpose":      transpose[E],
		"Concat":         concat[E],
		"Slice":          slice[E],
		"Split":          split[E],
		"Pad":            pad[E],
		"Expand":         expand[E],
		"Gather":         gather[E],
		"Resize":         resizeNearest[E],
		"DepthToSpace":   depthToSpace[E],
		"SpaceToDepth":   spaceToDepth[E],
		"GatherElements": gatherElements[E],
		"GatherND":       gatherND[E],
		"ScatterND":      scatterND[E],
		"Where":          where[E],
		"Equal":          equal[E](),
	}
}

func identity(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) { return one(in[0], nil) }

// shape gives the dimensions from attribute start to before end, which count from
// the end where they are negative.
func shape(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	dims := in[0].Shape()
	bound := func(name string, def int) int {
		i := int(n.Int(name, int64(def)))
		if i < 0 {
			i += len(dims)
		}
		return min(max(i, 0), len(dims))
	}
	var y []int64
	for i := bound("start", 0); i < bound("end", len(dims)); i++ {
		y = append(y, int64(dims[i]))
	}
	return one(graph.NewTensor(y, len(y)), nil)
}

func reshape(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	x := in[0]
	shape := optInts(in, 1)
	rest, known := -1, 1
	for i, d := range shape {
		if d == 0 && i < len(x.Shape()) {
			shape[i] = x.Shape()[i]
		}
		if d == -1 {
			rest = i
		} else {
			known *= shape[i]
		}
	}
	if rest >= 0 && known > 0 {
		shape[rest] = x.Len() / known
	}
	if graph.Elements(shape) != x.Len() {
		return nil, fmt.Errorf("shape: got %v for %d elements", shape, x.Len())
	}
	return one(x.Reshape(shape...), nil)
}

func transpose[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	x := graph.Data[E](in[0])
	from := strides(in[0].Shape())
	perm := n.Ints("perm")
	shape, read := make([]int, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		shape[i], read[i] = in[0].Shape()[p], from[p]
	}
	y := make([]E, len(x))
	walk(shape, [][]int{read}, func(dst, n int, at, step []int) {
		if step[0] == 1 {
			copy(y[dst:dst+n], x[at[0]:])
			return
		}
		for i := range n {
			y[dst+i] = x[at[0]+i*step[0]]
		}
	})
	return one(graph.NewTensor(y, shape...), nil)
}

func concat[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	axis, err := fromFront("axis", int(n.Int("axis", 0)), len(in[0].Shape()))
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(in[0].Shape())
	shape[axis] = 0
	for _, t := range in {
		d := t.Shape()[axis]
		shape[axis] += d
		for i := range shape {
			if i != axis && t.Shape()[i] != shape[i] {
				return nil, fmt.Errorf("got shape %v beside %v", t.Shape(), in[0].Shape())
			}
		}
	}
	outer, inner := graph.Elements(shape[:axis]), graph.Elements(shape[axis+1:])
	y := make([]E, graph.Elements(shape))
	at := 0
	for _, t := range in {
		block := t.Shape()[axis] * inner
		for i := range outer {
			copy(y[i*shape[axis]*inner+at:], graph.Data[E](t)[i*block:(i+1)*block])
		}
		at += block
	}
	return one(graph.NewTensor(y, shape...), nil)
}

// take returns the array of x's elements at index[0][i0], index[1][i1], …, and
// fill where an index is negative. A nil index takes the whole axis as it is.
func take[E graph.Elem](t *graph.Tensor, index [][]int, fill E) ([]*graph.Tensor, error) {
	x, shape, from := graph.Data[E](t), slices.Clone(t.Shape()), strides(t.Shape())
	last := -1 // axes after the last one with an index are one block
	for axis, idx := range index {
		if idx != nil {
			shape[axis] = len(idx)
			last = axis
		}
	}
	if last < 0 {
		return one(t, nil)
	}
	y := make([]E, 0, graph.Elements(shape))
	var visit func(axis, at int)
	visit = func(axis, at int) {
		step := from[axis]
		if index[axis] == nil {
			for i := range shape[axis] {
				visit(axis+1, at+i*step)
			}
			return
		}
		for _, i := range index[axis] {
			switch {
			case i < 0:
				for range graph.Elements(shape[axis+1:]) {
					y = append(y, fill)
				}
			case axis < last:
				visit(axis+1, at+i*step)
			case step == 1:
				y = append(y, x[at+i])
			default:
				y = append(y, x[at+i*step:at+(i+1)*step]...)
			}
		}
	}
	visit(0, 0)
	return one(graph.NewTensor(y, shape...), nil)
}

func slice[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	starts, ends, axes, steps := optInts(in, 1), optInts(in, 2), optInts(in, 3), optInts(in, 4)
	shape := in[0].Shape()
	index := make([][]int, len(shape))
	for i, start := range starts {
		axis, step := i, 1
		if axes != nil {
			axis = axes[i]
		}
		if steps != nil {
			step = steps[i]
		}
		axis, err := fromFront("axis", axis, len(shape))
		if err != nil {
			return nil, err
		}
		d, end := shape[axis], ends[i]
		if start < 0 {
			start += d
		}
		if end < 0 {
			end += d
		}
		// Beyond the axis any step is as good, and no sum overflows; starts before it
		// are its first place, as ONNX has it.
		index[axis], step, start = []int{}, min(max(step, -d-1), d+1), max(start, 0)
		if step > 0 {
			for j := start; j < min(end, d); j += step {
				index[axis] = append(index[axis], j)
			}
		} else {
			for j := min(start, d-1); j > max(end, -1); j += step {
				index[axis] = append(index[axis], j)
			}
		}
	}
	var zero E
	return take(in[0], index, zero)
}

// split cuts its operand into pieces of the given lengths, or into num_outputs
// equal ones of which the last may be shorter.
func split[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape := in[0].Shape()
	axis, err := fromFront("axis", int(n.Int("axis", 0)), len(shape))
	if err != nil {
		return nil, err
	}
	d, lengths := shape[axis], optInts(in, 1)
	if count := int(n.Int("num_outputs", 0)); lengths == nil {
		for i, each := 0, (d+count-1)/count; i < count; i++ {
			lengths = append(lengths, min(each, d-i*each))
		}
	}
	var pieces []*graph.Tensor
	at := 0
	var zero E
	for _, l := range lengths {
		index := make([][]int, len(shape))
		index[axis] = []int{}
		for i := range l {
			index[axis] = append(index[axis], at+i)
		}
		at += l
		piece, err := take(in[0], index, zero)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece...)
	}
	return pieces, nil
}

func pad[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape := in[0].Shape()
	pads, rank := optInts(in, 1), len(shape)
	mode := n.Text("mode", "constant")
	var fill E
	if len(in) > 2 && in[2] != nil {
		fill = graph.Data[E](in[2])[0]
	}
	index := make([][]int, rank)
	for axis, d := range shape {
		before, after := pads[axis], pads[rank+axis]
		if before == 0 && after == 0 {
			continue
		}
		index[axis] = []int{}
		for i := -before; i < d+after; i++ {
			j := i
			switch {
			case 0 <= i && i < d:
			case mode == "constant":
				j = -1
			case mode == "edge":
				j = min(max(i, 0), d-1)
			case i < 0:
				j = -i
			default:
				j = 2*(d-1) - i
			}
			index[axis] = append(index[axis], j)
		}
	}
	return take(in[0], index, fill)
}

func expand[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape, err := broadcast(in[0].Shape(), optInts(in, 1))
	if err != nil {
		return nil, err
	}
	x, y := graph.Data[E](in[0]), make([]E, graph.Elements(shape))
	walk(shape, [][]int{broadcastStrides(in[0].Shape(), shape)}, func(dst, n int, at, step []int) {
		for i := range n {
			y[dst+i] = x[at[0]+i*step[0]]
		}
	})
	return one(graph.NewTensor(y, shape...), nil)
}

// places returns indices as places on an axis of d elements: negative ones count from its end.
func places(indices *graph.Tensor, d int) ([]int, error) {
	out := make([]int, indices.Len())
	for i, x := range graph.Data[int64](cast(indices, graph.Int64)) {
		place, err := fromFront("index", int(x), d)
		if err != nil {
			return nil, err
		}
		out[i] = place
	}
	return out, nil
}

// placesAlong is places for indices that have the rank of a shape, along an axis of
// it, and may not reach beyond it along the others.
func placesAlong(indices *graph.Tensor, shape []int, axis int) ([]int, error) {
	rows := indices.Shape()
	for i, d := range rows {
		if i != axis && d > shape[i] {
			return nil, fmt.Errorf("got indices of shape %v for %v", rows, shape)
		}
	}
	return places(indices, shape[axis])
}

func gather[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	x := in[0].Shape()
	axis, err := fromFront("axis", int(n.Int("axis", 0)), len(x))
	if err != nil {
		return nil, err
	}
	index := make([][]int, len(x))
	if index[axis], err = places(in[1], x[axis]); err != nil {
		return nil, err
	}
	var zero E
	out, err := take(in[0], index, zero)
	if err != nil {
		return nil, err
	}
	return one(out[0].Reshape(slices.Concat(x[:axis], in[1].Shape(), x[axis+1:])...), nil)
}

// scatterElements sets, or adds to, the elements of a copy of its first operand
// that the indices name along an axis.
func scatterElements[E number](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape, rows := in[0].Shape(), in[1].Shape()
	axis, err := fromFront("axis", int(n.Int("axis", 0)), len(shape))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(rows, in[2].Shape()) || len(rows) != len(shape) {
		return nil, fmt.Errorf("got indices of shape %v and updates of %v for %v", rows, in[2].Shape(), shape)
	}
	at, err := placesAlong(in[1], shape, axis)
	if err != nil {
		return nil, err
	}
	reduction := n.Text("reduction", "none")
	if reduction != "none" && reduction != "add" {
		return nil, fmt.Errorf("reduction %q is not known", reduction)
	}
	out := in[0].Clone()
	y, updates := graph.Data[E](out), graph.Data[E](in[2])
	to := strides(shape)
	along := to[axis]
	to[axis] = 0
	walk(rows, [][]int{to}, func(src, n int, base, step []int) {
		for i := range n {
			dst := &y[base[0]+i*step[0]+at[src+i]*along]
			if reduction == "add" {
				*dst += updates[src+i]
			} else {
				*dst = updates[src+i]
			}
		}
	})
	return one(out, nil)
}
