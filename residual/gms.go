package residual

import "github.com/anomaly-go/anomaly/graph"

const (
	gmsScales  = 4
	gmsC       = 170. / (255 * 255)
	gmsEpsilon = 1e-12 // under the root of a squared gradient magnitude
)

// msgms returns one less the gradient magnitude similarity of the mean of the
// channels of x and y [N,C,H,W], as [N,1,H,W] in [0,1]: the mean over as many as
// four scales, each half of the one before, brought back to the image's size (Xue
// et al., Gradient magnitude similarity deviation, IEEE TIP 23(2), 2014, equations
// 1 to 4, with Prewitt's operator; over scales Zavrtanik, Kristan and Skočaj,
// Reconstruction by inpainting for visual anomaly detection, Pattern Recognition
// 112, 2021, section 3.3). The image is continued by half-sample reflection.
func msgms(x, y *graph.Value) *graph.Value {
	g := x.Graph()
	h, w := x.Dim(2), x.Dim(3)
	x, y = graph.ReduceMean(x, true, 1), graph.ReduceMean(y, true, 1)
	var sum *graph.Value
	n := 0
	for {
		a, b := gradientSquared(x), gradientSquared(y)
		ab := graph.Sqrt(graph.Mul(a, b))
		c := g.Scalar(gmsC)
		similarity := graph.Div(graph.Add(graph.Mul(ab, g.Scalar(2)), c), graph.Add(graph.Add(a, b), c))
		m := graph.Sub(g.Scalar(1), similarity)
		if n > 0 {
			m = graph.ResizeLinear(m, h, w, nil)
		}
		if n++; sum == nil {
			sum = m
		} else {
			sum = graph.Add(sum, m)
		}
		if n == gmsScales || x.Dim(2) < 2 || x.Dim(3) < 2 {
			return graph.Mul(sum, g.Scalar(1/float64(n)))
		}
		x, y = graph.AveragePool(x, 2, 2, nil), graph.AveragePool(y, 2, 2, nil)
	}
}

// gradientSquared returns the squared magnitude of the gradient of x [N,1,H,W] by
// Prewitt's operator, whose weights are thirds.
func gradientSquared(x *graph.Value) *graph.Value {
	g := x.Graph()
	h, w := x.Dim(2), x.Dim(3)
	wide := extend(extend(x, 2, 1), 3, 1)
	shifted := func(v *graph.Value, axis, k, n int) *graph.Value { return graph.SliceAxis(v, axis, k, k+n, 1) }
	// d is the difference across one axis of the sum of three along the other.
	d := func(along, n, across, m int) *graph.Value {
		s := graph.Add(graph.Add(shifted(wide, along, 0, n), shifted(wide, along, 1, n)), shifted(wide, along, 2, n))
		return graph.Mul(graph.Sub(shifted(s, across, 0, m), shifted(s, across, 2, m)), g.Scalar(1./3))
	}
	return graph.Add(graph.Add(graph.Square(d(2, h, 3, w)), graph.Square(d(3, w, 2, h))), g.Scalar(gmsEpsilon))
}
