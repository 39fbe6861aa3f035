package ref

import (
	"errors"

	"github.com/anomaly-go/anomaly/graph"
)

// taps returns the taps lo ≤ k < hi through which result o sees the image.
func (a axis) taps(o int) (lo, hi int) {
	at := o*a.stride - a.before
	if at < 0 {
		lo = min((-at+a.dilation-1)/a.dilation, a.kernel)
	}
	if last := a.in - 1 - at; last >= 0 {
		hi = min(last/a.dilation+1, a.kernel)
	}
	return lo, max(lo, hi)
}

// maxPool also returns where each maximum is in the flattened operand: the
// first one in row-major order among equals.
func maxPool[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	s, k := in[0].Shape(), n.Ints("kernel_shape")
	ay, ax := axes(n, s[2], s[3], int(k[0]), int(k[1]))
	x, planes := graph.Data[T](in[0]), s[0]*s[1]
	y, at := make([]T, planes*ay.out*ax.out), make([]int64, planes*ay.out*ax.out)
	i := 0
	for p := range planes {
		for oy := range ay.out {
			top, bottom := ay.taps(oy)
			for ox := range ax.out {
				left, right := ax.taps(ox)
				best := -1
				for ky := top; ky < bottom; ky++ {
					row := (p*s[2]+oy*ay.stride+ay.first(ky))*s[3] + ox*ax.stride
					for kx := left; kx < right; kx++ {
						if j := row + ax.first(kx); best < 0 || x[j] > x[best] {
							best = j
						}
					}
				}
				if best < 0 {
					return nil, errors.New("a window lies in the padding")
				}
				y[i], at[i] = x[best], int64(best)
				i++
			}
		}
	}
	shape := []int{s[0], s[1], ay.out, ax.out}
	return []*graph.Tensor{graph.NewTensor(y, shape...), graph.NewTensor(at, shape...)}, nil
}

func averagePool[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	s, k := in[0].Shape(), n.Ints("kernel_shape")
	ay, ax := axes(n, s[2], s[3], int(k[0]), int(k[1]))
	x, planes := graph.Data[T](in[0]), s[0]*s[1]
	y := make([]T, planes*ay.out*ax.out)
	padding := n.Int("count_include_pad", 0) != 0
	i := 0
	for p := range planes {
		for oy := range ay.out {
			top, bottom := ay.taps(oy)
			for ox := range ax.out {
				left, right := ax.taps(ox)
				var sum T
				for ky := top; ky < bottom; ky++ {
					row := (p*s[2]+oy*ay.stride+ay.first(ky))*s[3] + ox*ax.stride
					for kx := left; kx < right; kx++ {
						sum += x[row+ax.first(kx)]
					}
				}
				count := (bottom - top) * (right - left)
				if padding {
					count = ay.kernel * ax.kernel
				}
				y[i] = sum / T(count)
				i++
			}
		}
	}
	return one(graph.NewTensor(y, s[0], s[1], ay.out, ax.out), nil)
}

func globalAveragePool[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	s := in[0].Shape()
	x, area := graph.Data[T](in[0]), s[2]*s[3]
	y := make([]T, s[0]*s[1])
	for i := range y {
		sum := 0.
		for _, v := range x[i*area : (i+1)*area] {
			sum += float64(v)
		}
		y[i] = T(sum / float64(area))
	}
	return one(graph.NewTensor(y, s[0], s[1], 1, 1), nil)
}
