package ref

import (
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// curveKernels are the functions of one number, all computed in float64.
func curveKernels[T float]() map[string]Kernel {
	return map[string]Kernel{
		"Sigmoid": curve[T](func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }),
		"Tanh":    curve[T](math.Tanh),
		"Exp":     curve[T](math.Exp),
		"Log":     curve[T](math.Log),
		"Sqrt":    curve[T](math.Sqrt),
		"Erf":     curve[T](math.Erf),
		"Sin":     curve[T](math.Sin),
		"Cos":     curve[T](math.Cos),
		"Atan":    curve[T](math.Atan),
		"Floor":   curve[T](math.Floor),
		"Ceil":    curve[T](math.Ceil),
		"Round":   curve[T](math.RoundToEven),
		"Softplus": curve[T](func(x float64) float64 {
			return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
		}),
		"LeakyRelu": withAlpha[T](0.01, func(x, alpha float64) float64 { return alpha * x }),
		"Elu":       withAlpha[T](1, func(x, alpha float64) float64 { return alpha * math.Expm1(x) }),
		"Pow": binary(func(dst []T, a []T, da int, b []T, db int) {
			for i := range dst {
				dst[i] = T(math.Pow(float64(a[i*da]), float64(b[i*db])))
			}
		}),
	}
}

func curve[T float](f func(x float64) float64) Kernel {
	return unary(func(dst, x []T) {
		for i, v := range x {
			dst[i] = T(f(float64(v)))
		}
	})
}

// fmod is the remainder of a division that rounds towards zero.
func fmod[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	return binary(func(dst []T, a []T, da int, b []T, db int) {
		for i := range dst {
			dst[i] = T(math.Mod(float64(a[i*da]), float64(b[i*db])))
		}
	})(n, in)
}

// withAlpha makes the kernel of an activation that is x where x > 0 and f
// elsewhere; alpha is the attribute's default.
func withAlpha[T float](alpha float32, f func(x, alpha float64) float64) Kernel {
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		a := float64(n.Float("alpha", alpha))
		return curve[T](func(x float64) float64 {
			if x > 0 {
				return x
			}
			return f(x, a)
		})(n, in)
	}
}

// softmax subtracts the maximum first, so that nothing overflows.
func softmax[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	shape := in[0].Shape()
	axis, err := fromFront("axis", int(n.Int("axis", -1)), len(shape))
	if err != nil {
		return nil, err
	}
	x, y := graph.Data[T](in[0]), make([]T, in[0].Len())
	d, inner := shape[axis], graph.Elements(shape[axis+1:])
	for start := range len(x) {
		if start/inner%d != 0 { // not the first along the axis
			continue
		}
		top, sum := math.Inf(-1), 0.
		for i := range d {
			top = max(top, float64(x[start+i*inner]))
		}
		for i := range d {
			sum += math.Exp(float64(x[start+i*inner]) - top)
		}
		for i := range d {
			y[start+i*inner] = T(math.Exp(float64(x[start+i*inner])-top) / sum)
		}
	}
	return one(graph.NewTensor(y, shape...), nil)
}
