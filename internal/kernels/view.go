package kernels

import (
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A buffer is a run of elements in memory: of a constant, of an input, or in the arena.
type buffer struct {
	id    int
	dtype graph.DType
	n     int // elements
	konst *graph.Tensor
	input int // place among the plan's inputs, -1 for others
	at    int // in the arena, in bytes

	first, last int // steps that use it
}

func (b *buffer) bytes() int {
	switch b.dtype {
	case graph.Uint8, graph.Bool:
		return b.n
	case graph.Int64, graph.Float64:
		return 8 * b.n
	}
	return 4 * b.n
}

// A view is an array of elements of a buffer, which may lie apart.
type view struct {
	buf     *buffer
	off     int
	shape   []int
	strides []int // in elements; 0 repeats, negative ones run backwards
}

// rowMajor returns the strides of a dense array.
func rowMajor(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

func (v view) len() int { return graph.Elements(v.shape) }

// dense reports whether v's elements follow each other in order.
func (v view) dense() bool {
	n := 1
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 && v.strides[i] != n {
			return false
		}
		n *= v.shape[i]
	}
	return true
}

// to returns v broadcast to a shape; nil strides if it cannot be.
func (v view) to(shape []int) (view, bool) {
	lead := len(shape) - len(v.shape)
	if lead < 0 {
		return v, false
	}
	strides := make([]int, len(shape))
	for i, d := range v.shape {
		switch {
		case d == shape[lead+i]:
			strides[lead+i] = v.strides[i]
		case d != 1:
			return v, false
		}
	}
	return view{v.buf, v.off, shape, strides}, true
}

// permute returns v with its axes in another order.
func (v view) permute(perm []int) view {
	out := view{buf: v.buf, off: v.off}
	for _, p := range perm {
		out.shape = append(out.shape, v.shape[p])
		out.strides = append(out.strides, v.strides[p])
	}
	return out
}

// slice returns count elements of an axis, each step from the one before.
func (v view) slice(axis, start, step, count int) view {
	v.shape, v.strides = slices.Clone(v.shape), slices.Clone(v.strides)
	v.off += start * v.strides[axis]
	v.strides[axis] *= step
	v.shape[axis] = count
	return v
}

// reshape returns v, which is dense, in another shape of as many elements.
func (v view) reshape(shape []int) view {
	return view{v.buf, v.off, shape, rowMajor(shape)}
}

// collapse merges neighbouring axes of a shape over which all the views, which
// have it, run evenly, and leaves out those of size 1. There is at least one axis.
func collapse(shape []int, views []view) (dims []int, strides [][]int) {
	strides = make([][]int, len(views))
	for i, d := range shape {
		if d == 1 {
			continue
		}
		last := len(dims) - 1
		merge := last >= 0
		for j, v := range views {
			merge = merge && strides[j][last] == v.strides[i]*d
		}
		if merge {
			dims[last] *= d
		} else {
			dims = append(dims, d)
			last++
		}
		for j, v := range views {
			strides[j] = append(strides[j][:last], v.strides[i])
		}
	}
	if len(dims) == 0 {
		dims = []int{1}
		for j := range views {
			strides[j] = []int{1}
		}
	}
	return dims, strides
}
