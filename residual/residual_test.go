package residual

import (
	"context"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/ref"
)

const (
	// Filter taps and constants are float32 in a graph; evaluated in float64 they
	// leave an error of their own rounding, amplified by the variances' differences.
	goldenTolerance = 2e-6
	// Central differences of step 1e-5 in float64: truncation and cancellation both stay below this.
	gradientTolerance = 1e-5
)

// lcg returns n values in [0,1]: the images of the golden table, row by row.
func lcg(n int, seed uint32) []float64 {
	out := make([]float64, n)
	for i := range out {
		seed = 1664525*seed + 1013904223
		out[i] = float64(seed>>24) / 255
	}
	return out
}

// eval evaluates one value of a graph in float64.
func eval(t *testing.T, v *graph.Value, feeds map[string]*graph.Tensor) *graph.Tensor {
	t.Helper()
	out, err := ref.Eval[float64](context.Background(), v.Graph(), feeds, v)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

func TestSSIMGolden(t *testing.T) {
	x, z := lcg(32*32, 1), lcg(32*32, 7)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = math.Floor(0.75*math.Round(255*x[i])+32.5) / 255
	}
	ramp, block := make([]float64, len(x)), make([]float64, len(x))
	for r := range 32 {
		for c := range 32 {
			ramp[r*32+c] = float64((4*r+3*c)%256) / 255
			block[r*32+c] = ramp[r*32+c]
			if r >= 10 && r < 16 && c >= 12 && c < 20 {
				block[r*32+c] = 1
			}
		}
	}
	// From skimage's structural_similarity with Wang's settings; heatmap/testdata has the script.
	for _, c := range []struct {
		name        string
		a, b        []float64
		valid, same float64
	}{
		{"X,Y", x, y, 0.959692030270, 0.959739826004},
		{"X,Z", x, z, -0.103483305363, -0.026974302501},
		{"G,B", ramp, block, 0.641480597164, 0.830543563504},
		{"X,X", x, x, 1, 1},
	} {
		g := graph.New("ssim")
		a, b := g.Input("a", graph.Float32, 1, 1, 32, 32), g.Input("b", graph.Float32, 1, 1, 32, 32)
		feeds := map[string]*graph.Tensor{"a": graph.NewTensor(c.a, 1, 1, 32, 32), "b": graph.NewTensor(c.b, 1, 1, 32, 32)}
		if got := mean(graph.Data[float64](eval(t, SSIM(a, b, true), feeds))); math.Abs(got-c.valid) > goldenTolerance {
			t.Errorf("%s, valid region: got %.9f, want %.9f", c.name, got, c.valid)
		}
		if got := mean(graph.Data[float64](eval(t, SSIM(a, b, false), feeds))); math.Abs(got-c.same) > goldenTolerance {
			t.Errorf("%s, reflected border: got %.9f, want %.9f", c.name, got, c.same)
		}
	}
}

// All ways of writing a filter, two of them by size, give the map of package heatmap.
func TestMapEqualsHeatmap(t *testing.T) {
	for _, size := range [][3]int{{1, 16, 24}, {3, 32, 32}, {3, 11, 40}, {2, 13, widestBand + 8}, {1, 4, widestBand + 1}} {
		c, h, w := size[0], size[1], size[2]
		x, y := lcg(c*h*w, 3), lcg(c*h*w, 9)
		for i := range y {
			y[i] = .7*x[i] + .3*y[i]
		}
		_, want, err := heatmap.SSIM(x, y, c, h, w, nil)
		if h < Window {
			want, err = nil, nil // the plain one has no mean for it
		}
		if err != nil {
			t.Fatal(err)
		}
		var first []float64
		for _, bySums := range []bool{false, true} {
			g := graph.New("map")
			a, b := g.Input("a", graph.Float32, graph.Dynamic, c, h, w), g.Input("b", graph.Float32, graph.Dynamic, c, h, w)
			feeds := map[string]*graph.Tensor{"a": graph.NewTensor(x, 1, c, h, w), "b": graph.NewTensor(y, 1, c, h, w)}
			got := graph.Data[float64](eval(t, Map(a, b, &Options{BySums: bySums}), feeds))
			if want != nil {
				for i := range got {
					if math.Abs(got[i]-float64(want.Data[i])) > 1e-5 {
						t.Fatalf("%v: pixel %d: got %v, want %v", size, i, got[i], want.Data[i])
					}
				}
				blurred := want.Blur(1.5)
				smooth := graph.Data[float64](eval(t, Map(a, b, &Options{Blur: 1.5, BySums: bySums}), feeds))
				for i := range smooth {
					if math.Abs(smooth[i]-float64(blurred.Data[i])) > 1e-5 {
						t.Fatalf("%v: blurred pixel %d: got %v, want %v", size, i, smooth[i], blurred.Data[i])
					}
				}
			}
			if first == nil {
				first = got
			}
			for i := range got { // where there is no plain one, too
				if math.Abs(got[i]-first[i]) > 1e-7 {
					t.Fatalf("%v: pixel %d: got %v by sums, want %v", size, i, got[i], first[i])
				}
			}
			if err := g.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMirror(t *testing.T) {
	var got []int
	for i := -4; i < 7; i++ {
		got = append(got, mirror(i, 3))
	}
	want := []int{2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestSimpleMapsAndScore(t *testing.T) {
	x := graph.NewTensor([]float64{.5, 1, 0, .25 /**/, .5, 0, 1, .25}, 1, 2, 2, 2)
	y := graph.NewTensor([]float64{.5, .5, 0, .5 /**/, .5, 0, 0, .25}, 1, 2, 2, 2)
	for kind, want := range map[Kind][]float64{
		L2Map: {0, .125, .5, .03125},
		L1Map: {0, .25, .5, .125},
	} {
		g := graph.New("map")
		a, b := g.Input("a", graph.Float32, graph.Dynamic, 2, 2, 2), g.Input("b", graph.Float32, graph.Dynamic, 2, 2, 2)
		m := Map(a, b, &Options{Kind: kind})
		feeds := map[string]*graph.Tensor{"a": x, "b": y}
		for i, got := range graph.Data[float64](eval(t, m, feeds)) {
			if got != want[i] {
				t.Errorf("%s: pixel %d: got %v, want %v", kind, i, got, want[i])
			}
		}
		if got := graph.Data[float64](eval(t, Score(m), feeds)); len(got) != 1 || got[0] != .5 {
			t.Errorf("%s: score: got %v, want [0.5]", kind, got)
		}
	}
}

// gmsTolerance is what constants of float32 leave.
const gmsTolerance = 1e-7

// plainMSGMS is the map written down pixel by pixel, for grey images whose sides
// can be halved three times.
func plainMSGMS(x, y []float64, h, w int) []float64 {
	out := make([]float64, h*w)
	sh, sw := h, w
	for range gmsScales {
		squared := func(img []float64) []float64 {
			at := func(r, c int) float64 { return img[mirror(r, sh)*sw+mirror(c, sw)] }
			g := make([]float64, sh*sw)
			for r := range sh {
				for c := range sw {
					var dx, dy float64
					for k := -1; k <= 1; k++ {
						dx += (at(r+k, c-1) - at(r+k, c+1)) / 3
						dy += (at(r-1, c+k) - at(r+1, c+k)) / 3
					}
					g[r*sw+c] = dx*dx + dy*dy + gmsEpsilon
				}
			}
			return g
		}
		a, b := squared(x), squared(y)
		m := make([]float64, sh*sw)
		for i := range m {
			m[i] = 1 - (2*math.Sqrt(a[i]*b[i])+gmsC)/(a[i]+b[i]+gmsC)
		}
		for r := range h {
			for c := range w {
				place := func(i, n, size int) (int, int, float64) {
					p := min(max((float64(i)+.5)*float64(n)/float64(size)-.5, 0), float64(n-1))
					k := int(p)
					return k, min(k+1, n-1), p - float64(k)
				}
				r0, r1, fr := place(r, sh, h)
				c0, c1, fc := place(c, sw, w)
				out[r*w+c] += ((m[r0*sw+c0]*(1-fc)+m[r0*sw+c1]*fc)*(1-fr) + (m[r1*sw+c0]*(1-fc)+m[r1*sw+c1]*fc)*fr) / gmsScales
			}
		}
		half := func(img []float64) []float64 {
			s := make([]float64, sh/2*sw/2)
			for r := range sh / 2 {
				for c := range sw / 2 {
					at := 2*r*sw + 2*c
					s[r*(sw/2)+c] = (img[at] + img[at+1] + img[at+sw] + img[at+sw+1]) / 4
				}
			}
			return s
		}
		x, y, sh, sw = half(x), half(y), sh/2, sw/2
	}
	return out
}

func TestMSGMS(t *testing.T) {
	const h, w = 16, 24
	x, y := lcg(h*w, 3), lcg(h*w, 9)
	maps := map[Kind][]float64{}
	for _, kind := range []Kind{MSGMSMap, SSIMMap, "ssim+msgms"} {
		g := graph.New("map")
		a, b := g.Input("a", graph.Float32, graph.Dynamic, 1, h, w), g.Input("b", graph.Float32, graph.Dynamic, 1, h, w)
		feeds := map[string]*graph.Tensor{"a": graph.NewTensor(x, 1, 1, h, w), "b": graph.NewTensor(y, 1, 1, h, w)}
		maps[kind] = graph.Data[float64](eval(t, Map(a, b, &Options{Kind: kind}), feeds))
	}
	for i, want := range plainMSGMS(x, y, h, w) {
		if got := maps[MSGMSMap][i]; math.Abs(got-want) > gmsTolerance || want < 0 || want > 1 {
			t.Fatalf("pixel %d: got %v, want %v", i, got, want)
		}
		if got, want := maps["ssim+msgms"][i], maps[SSIMMap][i]+maps[MSGMSMap][i]; math.Abs(got-want) > gmsTolerance {
			t.Fatalf("pixel %d of the sum: got %v, want %v", i, got, want)
		}
	}
	if top := (&Options{Kind: "ssim+msgms"}).Top(); top != 3 {
		t.Errorf("got a top of %v, want 3", top)
	}
	// Images of one pixel have one scale.
	g := graph.New("small")
	a, b := g.Input("a", graph.Float32, 1, 1, 1, 1), g.Input("b", graph.Float32, 1, 1, 1, 1)
	if Map(a, b, &Options{Kind: MSGMSMap}); g.Err() != nil {
		t.Error(g.Err())
	}
}

// Of images whose pixels are each four times those of smaller ones, ssim/2 is the
// smaller ones' SSIM map between pixels, three quarters of the nearest and one of the next.
func TestHalfSSIM(t *testing.T) {
	const h, w = 12, 14
	x, y := lcg(h*w, 3), lcg(h*w, 9)
	twice := func(x []float64) []float64 {
		out := make([]float64, 4*h*w)
		for i := range out {
			out[i] = x[i/(2*w)/2*w+i%(2*w)/2]
		}
		return out
	}
	run := func(kind Kind, x, y []float64, h, w int) []float64 {
		g := graph.New("map")
		a, b := g.Input("a", graph.Float32, graph.Dynamic, 1, h, w), g.Input("b", graph.Float32, graph.Dynamic, 1, h, w)
		return graph.Data[float64](eval(t, Map(a, b, &Options{Kind: kind}), map[string]*graph.Tensor{"a": graph.NewTensor(x, 1, 1, h, w), "b": graph.NewTensor(y, 1, 1, h, w)}))
	}
	small := run(SSIMMap, x, y, h, w)
	got := run(HalfSSIMMap, twice(x), twice(y), 2*h, 2*w)
	for r := range 2 * h {
		for c := range 2 * w {
			near := func(i, n int) (int, int) { // the pixel that i lies in, and the nearest beside it
				return i / 2, min(max(i/2+2*(i%2)-1, 0), n-1)
			}
			r0, r1 := near(r, h)
			c0, c1 := near(c, w)
			want := .75*(.75*small[r0*w+c0]+.25*small[r0*w+c1]) + .25*(.75*small[r1*w+c0]+.25*small[r1*w+c1])
			if math.Abs(got[r*2*w+c]-want) > 1e-9 {
				t.Fatalf("pixel %d, %d: got %v, want %v", r, c, got[r*2*w+c], want)
			}
		}
	}
	if top := (&Options{Kind: "ssim/2+l2"}).Top(); top != 3 {
		t.Errorf("got a top of %v, want 3", top)
	}
	g := graph.New("small")
	a, b := g.Input("a", graph.Float32, 1, 1, 1, 1), g.Input("b", graph.Float32, 1, 1, 1, 1)
	if Map(a, b, &Options{Kind: HalfSSIMMap}); g.Err() != nil {
		t.Error(g.Err())
	}
}

func TestLossGradients(t *testing.T) {
	const n, c, h, w = 2, 3, 13, 12
	x, y := lcg(n*c*h*w, 5), lcg(n*c*h*w, 11)
	for _, loss := range []string{"mse", "l1", "ssim", "ssim+mse:0.1"} {
		l, err := ParseLoss(loss)
		if err != nil {
			t.Fatal(err)
		}
		g := graph.New("loss")
		a, b := g.Input("a", graph.Float32, n, c, h, w), g.Input("b", graph.Float32, n, c, h, w)
		e := l.Of(a, b)
		grads, err := graph.Gradients(e, []*graph.Value{b}, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := func(y []float64) float64 {
			return graph.Data[float64](eval(t, e, map[string]*graph.Tensor{"a": graph.NewTensor(x, n, c, h, w), "b": graph.NewTensor(y, n, c, h, w)}))[0]
		}
		got := graph.Data[float64](eval(t, grads[0], map[string]*graph.Tensor{"a": graph.NewTensor(x, n, c, h, w), "b": graph.NewTensor(y, n, c, h, w)}))
		scale := 0.0
		for _, d := range got {
			scale = max(scale, math.Abs(d))
		}
		if scale == 0 {
			t.Fatalf("%s: the gradient is zero", loss)
		}
		for i := 0; i < len(y); i += 37 {
			const step = 1e-5
			keep := y[i]
			y[i] = keep + step
			up := at(y)
			y[i] = keep - step
			down := at(y)
			y[i] = keep
			if want := (up - down) / (2 * step); math.Abs(got[i]-want) > gradientTolerance*scale {
				t.Errorf("%s: element %d: got %v, want %v", loss, i, got[i], want)
			}
		}
	}
}

func TestParseLoss(t *testing.T) {
	for in, want := range map[string]string{
		"ssim": "ssim", "mse:1": "mse", "ssim+mse:0.1": "ssim+mse:0.1", " l1 + ssim:2.50": "l1+ssim:2.5",
		"": "", "psnr": "", "ssim+": "", "mse:0": "", "mse:-1": "", "mse:x": "", "mse:NaN": "", "mse:Inf": "",
	} {
		l, err := ParseLoss(in)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: got %v, want an error", in, l)
		case want != "" && (err != nil || l.String() != want):
			t.Errorf("%q: got %v, %v, want %s", in, l, err, want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []*Options{{Kind: "psnr"}, {Kind: "ssim+psnr"}, {Kind: "ssim+ssim"}, {Kind: "l2+network"}, {Blur: -1}, {Blur: math.NaN()}, {Blur: 1e9}} {
		if o.Validate() == nil {
			t.Errorf("%+v: got no error", *o)
		}
	}
	for _, o := range []*Options{nil, {}, {Kind: L1Map, Blur: 3}, {Kind: "l2+msgms+ssim"}, {Kind: NetworkMap}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// The valid region of an image smaller than the window is empty: an error, not a panic.
func TestTooSmall(t *testing.T) {
	g := graph.New("small")
	a, b := g.Input("a", graph.Float32, 1, 1, 8, 8), g.Input("b", graph.Float32, 1, 1, 8, 8)
	Loss{}.Of(a, b)
	if g.Err() == nil {
		t.Error("got no error")
	}
}
