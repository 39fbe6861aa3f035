package residual

import (
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// Gaussian returns the 2·radius+1 taps of a Gaussian of standard deviation sigma (pixels), of sum 1.
func Gaussian(sigma float64, radius int) []float64 {
	taps := make([]float64, 2*radius+1)
	sum := 0.0
	for i := range taps {
		d := float64(i - radius)
		taps[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

// border says what a filter does where its window leaves the image.
type border int

const (
	inside  border = iota // result only where the window lies inside: smaller by the taps less one
	reflect               // half-sample reflection: d c b a | a b c d | d c b a
)

// widestBand is the largest image side for which a filter is written as a
// product with a banded matrix. It costs side/taps times the arithmetic of a
// convolution and is the faster of the two up to here, for being one large
// matrix product.
const widestBand = 192

// separable filters each channel of x [N,C,H,W] by the same taps down and across.
func separable(x *graph.Value, taps []float64, b border) *graph.Value {
	g := x.Graph()
	h, w := x.Dim(2), x.Dim(3)
	if h <= widestBand && w <= widestBand {
		return graph.MatMul(band(g, h, taps, b, false), graph.MatMul(x, band(g, w, taps, b, true)))
	}
	r := len(taps) / 2
	if b == reflect {
		x = extend(extend(x, 2, r), 3, r)
	}
	c := x.Dim(1)
	kernel := func(kh, kw int) *graph.Value {
		k := make([]float32, 0, c*len(taps))
		for range c {
			for _, t := range taps {
				k = append(k, float32(t))
			}
		}
		return g.Const("", graph.NewTensor(k, c, 1, kh, kw))
	}
	depthwise := &graph.ConvOptions{Groups: c}
	return graph.Conv(graph.Conv(x, kernel(1, len(taps)), nil, depthwise), kernel(len(taps), 1), nil, depthwise)
}

// bySums filters as separable does, with border reflect, by adding up shifted
// images: in elementwise operators alone.
func bySums(x *graph.Value, taps []float64) *graph.Value {
	g, r := x.Graph(), len(taps)/2
	for _, axis := range []int{3, 2} {
		n := x.Dim(axis)
		wide := extend(x, axis, r)
		shifted := func(k int) *graph.Value { return graph.SliceAxis(wide, axis, k, k+n, 1) }
		x = graph.Mul(shifted(r), g.Scalar(taps[r]))
		for k := range r { // taps are symmetric
			x = graph.Add(x, graph.Mul(graph.Add(shifted(k), shifted(2*r-k)), g.Scalar(taps[k])))
		}
	}
	return x
}

// band returns the matrix [out,n] that filters a column of n pixels, or its transpose.
func band(g *graph.Graph, n int, taps []float64, b border, transpose bool) *graph.Value {
	r, out := len(taps)/2, n
	first := -r
	if b == inside {
		out, first = n-2*r, 0
	}
	if out < 1 {
		return g.Const("", graph.Zeros(graph.Float32, 0, n)) // fails in MatMul with both shapes
	}
	m := make([]float64, out*n)
	for i := range out {
		for k, t := range taps {
			m[i*n+mirror(i+first+k, n)] += t
		}
	}
	rows, cols := out, n
	if transpose {
		rows, cols = n, out
	}
	m32 := make([]float32, len(m))
	for i := range out {
		for j := range n {
			at := i*n + j
			if transpose {
				at = j*out + i
			}
			m32[at] = float32(m[i*n+j])
		}
	}
	return g.Const("", graph.NewTensor(m32, rows, cols))
}

// mirror reflects index i into [0,n), edges repeated, as often as it takes.
func mirror(i, n int) int {
	i = ((i % (2 * n)) + 2*n) % (2 * n)
	if i >= n {
		i = 2*n - 1 - i
	}
	return i
}

// extend continues x by r pixels at both ends of an axis, by half-sample reflection.
func extend(x *graph.Value, axis, r int) *graph.Value {
	n := x.Dim(axis)
	if r >= n { // more than one reflection
		index := make([]int, n+2*r)
		for i := range index {
			index[i] = mirror(i-r, n)
		}
		return graph.Gather(x, axis, index...)
	}
	head := graph.SliceAxis(x, axis, r-1, -n-1, -1)
	tail := graph.SliceAxis(x, axis, -1, -r-1, -1)
	return graph.Concat(axis, head, x, tail)
}

// A filter filters each channel of images [N,C,H,W] by taps, down and across.
type filter func(x *graph.Value, taps []float64) *graph.Value

func reflected(x *graph.Value, taps []float64) *graph.Value { return separable(x, taps, reflect) }

func cropped(x *graph.Value, taps []float64) *graph.Value { return separable(x, taps, inside) }

// blur smooths each channel of x [N,C,H,W] by a Gaussian of standard deviation
// sigma (pixels) and radius ⌊4σ+½⌋, as SciPy's gaussian_filter does.
func blur(x *graph.Value, sigma float64, by filter) *graph.Value {
	if sigma <= 0 {
		return x
	}
	return by(x, Gaussian(sigma, int(4*sigma+.5)))
}
