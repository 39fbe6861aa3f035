package ref

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

func numberKernels[E number]() map[string]Kernel {
	return map[string]Kernel{
		"Add": binary(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] + b[i*db]
			}
		}),
		"Sub": binary(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] - b[i*db]
			}
		}),
		"Mul": binary(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] * b[i*db]
			}
		}),
		"Div": binary(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] / b[i*db]
			}
		}),
		"Greater": binary(func(dst []bool, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] > b[i*db]
			}
		}),
		"GreaterOrEqual": binary(func(dst []bool, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] >= b[i*db]
			}
		}),
		"Less": binary(func(dst []bool, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] < b[i*db]
			}
		}),
		"LessOrEqual": binary(func(dst []bool, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = a[i*da] <= b[i*db]
			}
		}),
		"Neg": unary(func(dst, x []E) {
			for i, v := range x {
				dst[i] = -v
			}
		}),
		"Abs": unary(func(dst, x []E) {
			for i, v := range x {
				if v <= 0 { // no less of types without sign; a zero loses it
					v = 0 - v
				}
				dst[i] = v
			}
		}),
		"Sign": unary(func(dst, x []E) {
			for i, v := range x {
				switch {
				case v > 0:
					dst[i] = 1
				case v < 0:
					dst[i]-- // from 0: -1 is no number of all types
				default: // 0, or NaN
					dst[i] = v
				}
			}
		}),
		"Relu": unary(func(dst, x []E) {
			for i, v := range x {
				dst[i] = max(v, 0)
			}
		}),
		"Max": extreme(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = max(a[i*da], b[i*db])
			}
		}),
		"Min": extreme(func(dst []E, a []E, da int, b []E, db int) {
			for i := range dst {
				dst[i] = min(a[i*da], b[i*db])
			}
		}),
		"Clip":            clip[E],
		"Range":           sequence[E],
		"ScatterElements": scatterElements[E],
	}
}

// divisionKernels are those of integers, which cannot be divided by zero.
func divisionKernels[E integer]() map[string]Kernel {
	divide := func(k Kernel) Kernel {
		return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			if slices.Contains(graph.Data[E](in[1]), 0) {
				return nil, errors.New("division by zero")
			}
			return k(n, in)
		}
	}
	remainder := binary(func(dst []E, a []E, da int, b []E, db int) {
		for i := range dst {
			dst[i] = a[i*da] % b[i*db]
		}
	})
	modulo := binary(func(dst []E, a []E, da int, b []E, db int) {
		for i := range dst {
			d := b[i*db]
			if dst[i] = a[i*da] % d; dst[i] != 0 && (dst[i] < 0) != (d < 0) {
				dst[i] += d
			}
		}
	})
	return map[string]Kernel{
		"Div": divide(numberKernels[E]()["Div"]),
		// With fmod the remainder has the sign of the dividend, else of the divisor.
		"Mod": divide(func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
			if n.Int("fmod", 0) != 0 {
				return remainder(n, in)
			}
			return modulo(n, in)
		}),
	}
}

var logicKernels = map[string]Kernel{
	"And": binary(func(dst, a []bool, da int, b []bool, db int) {
		for i := range dst {
			dst[i] = a[i*da] && b[i*db]
		}
	}),
	"Or": binary(func(dst, a []bool, da int, b []bool, db int) {
		for i := range dst {
			dst[i] = a[i*da] || b[i*db]
		}
	}),
	"Not": unary(func(dst, x []bool) {
		for i, v := range x {
			dst[i] = !v
		}
	}),
}

// binary makes the kernel of an operator on two operands that broadcast. row
// computes a run of results from a run of each operand with steps da and db.
func binary[R, E graph.Elem](row func(dst []R, a []E, da int, b []E, db int)) Kernel {
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		shape, err := broadcast(in[0].Shape(), in[1].Shape())
		if err != nil {
			return nil, err
		}
		a, b := graph.Data[E](in[0]), graph.Data[E](in[1])
		y := make([]R, graph.Elements(shape))
		walk(shape, [][]int{broadcastStrides(in[0].Shape(), shape), broadcastStrides(in[1].Shape(), shape)},
			func(dst, n int, at, step []int) {
				row(y[dst:dst+n], a[at[0]:], step[0], b[at[1]:], step[1])
			})
		return one(graph.NewTensor(y, shape...), nil)
	}
}

// extreme makes the kernel of an operator on any number of operands, which works on two.
func extreme[E graph.Elem](row func(dst []E, a []E, da int, b []E, db int)) Kernel {
	pair := binary(row)
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		y := in[0]
		for _, x := range in[1:] {
			out, err := pair(n, []*graph.Tensor{y, x})
			if err != nil {
				return nil, err
			}
			y = out[0]
		}
		return one(y, nil)
	}
}

// unary makes the kernel of an operator on one operand, of the same type as its result.
func unary[E graph.Elem](row func(dst, x []E)) Kernel {
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		y := make([]E, in[0].Len())
		row(y, graph.Data[E](in[0]))
		return one(graph.NewTensor(y, in[0].Shape()...), nil)
	}
}

func equal[E graph.Elem]() Kernel {
	return binary(func(dst []bool, a []E, da int, b []E, db int) {
		for i := range dst {
			dst[i] = a[i*da] == b[i*db]
		}
	})
}

// clip is min(max(x, lo), hi): hi where lo > hi.
func clip[E number](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	y := make([]E, in[0].Len())
	copy(y, graph.Data[E](in[0]))
	if len(in) > 1 && in[1] != nil {
		lo := graph.Data[E](in[1])[0]
		for i, v := range y {
			y[i] = max(v, lo)
		}
	}
	if len(in) > 2 && in[2] != nil {
		hi := graph.Data[E](in[2])[0]
		for i, v := range y {
			y[i] = min(v, hi)
		}
	}
	return one(graph.NewTensor(y, in[0].Shape()...), nil)
}

// sequence is start, start+delta, … before limit.
func sequence[E number](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	start, limit, delta := graph.Data[E](in[0])[0], graph.Data[E](in[1])[0], graph.Data[E](in[2])[0]
	length := math.Ceil((float64(limit) - float64(start)) / float64(delta))
	if !(length <= math.MaxInt32) {
		return nil, fmt.Errorf("got %v to %v by %v", start, limit, delta)
	}
	y := make([]E, int(max(0, length)))
	for i := range y {
		y[i] = start + E(i)*delta
	}
	return one(graph.NewTensor(y, len(y)), nil)
}

func where[E graph.Elem](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape, err := broadcast(in[0].Shape(), in[1].Shape(), in[2].Shape())
	if err != nil {
		return nil, err
	}
	cond, a, b := graph.Data[bool](in[0]), graph.Data[E](in[1]), graph.Data[E](in[2])
	y := make([]E, graph.Elements(shape))
	operands := make([][]int, len(in))
	for i, t := range in {
		operands[i] = broadcastStrides(t.Shape(), shape)
	}
	walk(shape, operands, func(dst, n int, at, step []int) {
		for i := range n {
			if cond[at[0]+i*step[0]] {
				y[dst+i] = a[at[1]+i*step[1]]
			} else {
				y[dst+i] = b[at[2]+i*step[2]]
			}
		}
	})
	return one(graph.NewTensor(y, shape...), nil)
}

// cast converts t to dtype, t itself if it is of that type: floats are
// truncated towards zero (beyond the range of integers the result is not
// defined, as in ONNX), bools are 0 and 1, numbers other than 0 are true.
func cast(t *graph.Tensor, dtype graph.DType) *graph.Tensor {
	if t.DType() == dtype {
		return t
	}
	switch dtype {
	case graph.Float32:
		return numbers[float32](t)
	case graph.Float64:
		return numbers[float64](t)
	case graph.Uint8:
		return numbers[uint8](t)
	case graph.Int32:
		return numbers[int32](t)
	case graph.Int64:
		return numbers[int64](t)
	}
	f := graph.Data[float64](numbers[float64](t))
	y := make([]bool, len(f))
	for i, v := range f {
		y[i] = v != 0
	}
	return graph.NewTensor(y, t.Shape()...)
}

// numbers converts t's elements to D.
func numbers[D number](t *graph.Tensor) *graph.Tensor {
	y := make([]D, t.Len())
	switch x := t.Raw().(type) {
	case []float32:
		convert(y, x)
	case []float64:
		convert(y, x)
	case []uint8:
		convert(y, x)
	case []int32:
		convert(y, x)
	case []int64:
		convert(y, x)
	case []bool:
		for i, v := range x {
			if v {
				y[i] = 1
			}
		}
	}
	return graph.NewTensor(y, t.Shape()...)
}

func convert[D, S number](dst []D, src []S) {
	for i, v := range src {
		dst[i] = D(v)
	}
}
