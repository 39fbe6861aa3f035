package residual

import "github.com/anomaly-go/anomaly/graph"

// Constants of SSIM (Wang 2004, section III.C) for a data range of 1.
const (
	Window = 11  // pixels on each side of the Gaussian window
	Sigma  = 1.5 // its standard deviation, in pixels
	K1     = 0.01
	K2     = 0.03
)

// SSIM returns the structural similarity of x and y [N,C,H,W] at each pixel and
// channel, in [-1,1]: [N,C,H,W] or, with valid, [N,C,H-10,W-10] where the
// window lies inside the image.
func SSIM(x, y *graph.Value, valid bool) *graph.Value {
	if valid {
		return ssim(x, y, cropped)
	}
	return ssim(x, y, reflected)
}

func ssim(x, y *graph.Value, by filter) *graph.Value {
	g := x.Graph()
	taps := Gaussian(Sigma, Window/2)
	c := x.Dim(1)
	// Four local means suffice: x, y, x²+y² and xy. Those that depend on y are
	// filtered together, apart from x's, which needs no gradient.
	mx := by(x, taps)
	my := by(graph.Concat(1, y, graph.Add(graph.Square(x), graph.Square(y)), graph.Mul(x, y)), taps)
	part := func(i int) *graph.Value { return graph.SliceAxis(my, 1, i*c, (i+1)*c, 1) }
	sum, product := part(1), part(2)
	my = part(0)

	c1, c2, two := g.Scalar(K1*K1), g.Scalar(K2*K2), g.Scalar(2)
	mm := graph.Mul(mx, my)
	m2 := graph.Add(graph.Square(mx), graph.Square(my))
	num := graph.Mul(
		graph.Add(graph.Mul(mm, two), c1),
		graph.Add(graph.Mul(graph.Sub(product, mm), two), c2))
	den := graph.Mul(
		graph.Add(m2, c1),
		graph.Add(graph.Sub(sum, m2), c2))
	return graph.Div(num, den)
}
