package ref

import (
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// reduceKernels are the reductions of elements E; sums are kept in A.
func reduceKernels[E, A number]() map[string]Kernel {
	add := func(y []A, step int, x []E) {
		if step != 0 {
			for i, v := range x {
				y[i*step] += A(v)
			}
			return
		}
		sum := y[0]
		for _, v := range x {
			sum += A(v)
		}
		y[0] = sum
	}
	one := func(y []A, step int, x []E) {
		for i := range x {
			y[i*step] = 1
		}
	}
	multiply := func(y []A, step int, x []E) {
		for i, v := range x {
			y[i*step] *= A(v)
		}
	}
	set := func(y []E, step int, x []E) {
		for i, v := range x {
			y[i*step] = v
		}
	}
	higher := func(y []E, step int, x []E) {
		for i, v := range x {
			y[i*step] = max(y[i*step], v)
		}
	}
	return map[string]Kernel{
		"ReduceSum": func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			y, shape, _, err := reduce(n, in, add)
			return tensorOf[E](y, shape, err)
		},
		"ReduceMean": func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			y, shape, count, err := reduce(n, in, add)
			for i := range y {
				y[i] /= A(max(count, 1))
			}
			return tensorOf[E](y, shape, err)
		},
		"ReduceProd": func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			y, shape, count, err := reduce(n, in, one, multiply)
			if count == 0 {
				fill(y, 1)
			}
			return tensorOf[E](y, shape, err)
		},
		"ReduceMax": func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			y, shape, count, err := reduce(n, in, set, higher) // set: any element is a lower bound
			if count == 0 {
				fill(y, lowest[E]())
			}
			return tensorOf[E](y, shape, err)
		},
	}
}

func fill[E number](y []E, v E) {
	for i := range y {
		y[i] = v
	}
}

// lowest returns what is below all numbers of a type, or the smallest of them.
func lowest[E number]() E {
	var low any
	switch any(E(0)).(type) {
	case float32:
		low = float32(math.Inf(-1))
	case float64:
		low = math.Inf(-1)
	case int32:
		low = int32(math.MinInt32)
	case int64:
		low = int64(math.MinInt64)
	default:
		low = uint8(0)
	}
	return low.(E)
}

// reduce lets each pass in turn see every run of the operand together with the
// first result y[0] that it belongs to, and the step to the next element's
// result: 0 where the run belongs to one. count is the number of elements that
// each result is made of.
func reduce[E, A number](n *graph.Node, in []*graph.Tensor, passes ...func(y []A, step int, x []E)) (y []A, shape []int, count int, err error) {
	x := in[0].Shape()
	axes := optInts(in, 1)
	for i := range axes {
		if axes[i], err = fromFront("axis", axes[i], len(x)); err != nil {
			return nil, nil, 0, err
		}
	}
	all := len(axes) == 0 && n.Int("noop_with_empty_axes", 0) == 0
	count = 1
	kept := slices.Clone(x) // the result's shape with reduced axes as 1
	for i, d := range x {
		if !all && !slices.Contains(axes, i) {
			shape = append(shape, d)
			continue
		}
		kept[i] = 1
		count *= d
		if n.Int("keepdims", 1) != 0 {
			shape = append(shape, 1)
		}
	}
	y = make([]A, graph.Elements(kept))
	data := graph.Data[E](in[0])
	for _, pass := range passes {
		walk(x, [][]int{broadcastStrides(kept, x)}, func(at0, n int, at, step []int) {
			pass(y[at[0]:], step[0], data[at0:at0+n])
		})
	}
	return y, shape, count, nil
}

// tensorOf makes the result of a reduction.
func tensorOf[E, A number](y []A, shape []int, err error) ([]*graph.Tensor, error) {
	if err != nil {
		return nil, err
	}
	out := make([]E, len(y))
	convert(out, y)
	return one(graph.NewTensor(out, shape...), nil)
}
