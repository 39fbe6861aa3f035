package ref

import (
	"fmt"
	"slices"
	"sort"

	"github.com/anomaly-go/anomaly/graph"
)

// searchKernels are the operators that find the places of elements.
func searchKernels[E number]() map[string]Kernel {
	return map[string]Kernel{
		"ArgMax": argExtreme(func(a, b E) bool { return a > b }),
		"ArgMin": argExtreme(func(a, b E) bool { return a < b }),
		"TopK":   topK[E],
	}
}

// along calls visit with the place of the first element of each row along an
// axis, and that of the row; the elements lie step apart.
func along(shape []int, axis int, visit func(row, first, step int)) {
	step := graph.Elements(shape[axis+1:])
	row := 0
	for outer := range graph.Elements(shape[:axis]) {
		for inner := range step {
			visit(row, outer*shape[axis]*step+inner, step)
			row++
		}
	}
}

// argExtreme makes the kernel that gives the first place, or the last, of the
// element that comes before all others.
func argExtreme[E number](before func(a, b E) bool) Kernel {
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		shape := slices.Clone(in[0].Shape())
		axis, err := fromFront("axis", int(n.Int("axis", 0)), len(shape))
		if err != nil {
			return nil, err
		}
		if shape[axis] == 0 {
			return nil, fmt.Errorf("got %v, want elements along axis %d", shape, axis)
		}
		x, d := graph.Data[E](in[0]), shape[axis]
		last := n.Int("select_last_index", 0) != 0
		y := make([]int64, len(x)/d)
		along(shape, axis, func(row, first, step int) {
			best := 0
			for i := range d {
				a, b := x[first+i*step], x[first+best*step]
				if before(a, b) || last && a == b {
					best = i
				}
			}
			y[row] = int64(best)
		})
		shape[axis] = 1
		if n.Int("keepdims", 1) == 0 {
			shape = slices.Delete(shape, axis, axis+1)
		}
		return one(graph.NewTensor(y, shape...), nil)
	}
}

// topK gives the k largest or smallest elements along an axis, best first, and
// their places; of equal ones the first.
func topK[E number](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape, k := slices.Clone(in[0].Shape()), optInts(in, 1)[0]
	axis, err := fromFront("axis", int(n.Int("axis", -1)), len(shape))
	if err != nil {
		return nil, err
	}
	d, x := shape[axis], graph.Data[E](in[0])
	if k < 0 || k > d {
		return nil, fmt.Errorf("got k %d for %d elements", k, d)
	}
	shape[axis] = k
	y, at := make([]E, graph.Elements(shape)), make([]int64, graph.Elements(shape))
	largest := n.Int("largest", 1) != 0
	order := make([]int, d)
	along(in[0].Shape(), axis, func(row, first, step int) {
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(i, j int) bool {
			a, b := x[first+order[i]*step], x[first+order[j]*step]
			if largest {
				return a > b
			}
			return a < b
		})
		to := row/step*k*step + row%step
		for i, place := range order[:k] {
			y[to+i*step], at[to+i*step] = x[first+place*step], int64(place)
		}
	})
	return []*graph.Tensor{graph.NewTensor(y, shape...), graph.NewTensor(at, shape...)}, nil
}

// gatherElements takes, for each place of the indices, the element whose
// coordinate along an axis they give.
func gatherElements[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape, rows := in[0].Shape(), in[1].Shape()
	axis, err := fromFront("axis", int(n.Int("axis", 0)), len(shape))
	if err != nil {
		return nil, err
	}
	if len(rows) != len(shape) {
		return nil, fmt.Errorf("got indices of shape %v for %v", rows, shape)
	}
	at, err := placesAlong(in[1], shape, axis)
	if err != nil {
		return nil, err
	}
	x, y := graph.Data[E](in[0]), make([]E, len(at))
	from := strides(shape)
	step := from[axis]
	from[axis] = 0
	walk(rows, [][]int{from}, func(dst, n int, base, along []int) {
		for i := range n {
			y[dst+i] = x[base[0]+i*along[0]+at[dst+i]*step]
		}
	})
	return one(graph.NewTensor(y, rows...), nil)
}

// parts returns where in x the parts start that the rows of indices name, and
// how long each is.
func parts(x, indices *graph.Tensor) (starts []int, length int, err error) {
	shape, rows := x.Shape(), indices.Shape()
	if len(rows) == 0 || rows[len(rows)-1] > len(shape) || rows[len(rows)-1] < 1 {
		return nil, 0, fmt.Errorf("got indices of shape %v for %v", rows, shape)
	}
	depth := rows[len(rows)-1]
	step := strides(shape)
	at := graph.Data[int64](cast(indices, graph.Int64))
	for i := 0; i < len(at); i += depth {
		start := 0
		for j := range depth {
			place, err := fromFront("index", int(at[i+j]), shape[j])
			if err != nil {
				return nil, 0, err
			}
			start += place * step[j]
		}
		starts = append(starts, start)
	}
	return starts, graph.Elements(shape[depth:]), nil
}

func gatherND[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	starts, length, err := parts(in[0], in[1])
	if err != nil {
		return nil, err
	}
	x, y := graph.Data[E](in[0]), make([]E, 0, len(starts)*length)
	for _, at := range starts {
		y = append(y, x[at:at+length]...)
	}
	rows := in[1].Shape()
	depth := len(rows) - 1
	return one(graph.NewTensor(y, slices.Concat(rows[:depth], in[0].Shape()[rows[depth]:])...), nil)
}

// scatterND replaces the parts of a copy of its first operand that the indices name.
func scatterND[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	starts, length, err := parts(in[0], in[1])
	if err != nil {
		return nil, err
	}
	if in[2].Len() != len(starts)*length {
		return nil, fmt.Errorf("got updates of shape %v, want %d parts of %d elements", in[2].Shape(), len(starts), length)
	}
	out := in[0].Clone()
	y, updates := graph.Data[E](out), graph.Data[E](in[2])
	for i, at := range starts {
		copy(y[at:at+length], updates[i*length:])
	}
	return one(out, nil)
}
