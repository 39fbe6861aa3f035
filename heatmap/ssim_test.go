package heatmap

import (
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

const (
	// ssimTol: float64 sums of 121 products of order 255^2, differenced; uniform
	// filters of the goldens run their sums along the whole row.
	ssimTol = 1e-9
	// residualTol: one rounding of a value in [0,2] to float32.
	residualTol = 1.2e-7
)

const side = 32 // of the golden images

// goldenImages makes the images of testdata/ssim_golden.py.
func goldenImages() map[string][]float64 {
	x, z := lcg(side*side, 1), lcg(side*side, 7)
	y, g := make([]float64, side*side), make([]float64, side*side)
	for i := range y {
		y[i] = math.Floor(.75*x[i] + 32.5)
		g[i] = float64((4*(i/side) + 3*(i%side)) % 256)
	}
	b := slices.Clone(g)
	for r := 10; r < 16; r++ {
		for c := 12; c < 20; c++ {
			b[r*side+c] = 255
		}
	}
	return map[string][]float64{"X": x, "Y": y, "Z": z, "G": g, "B": b}
}

func TestSSIMGolden(t *testing.T) {
	var golden struct {
		Taps  []float64
		Sums  map[string]float64
		Pairs map[string]map[string]float64
	}
	testenv.Golden(t, "ssim_golden.py", "ssim.json", &golden)
	images := goldenImages()
	for name, want := range golden.Sums {
		var sum float64
		for _, v := range images[name] {
			sum += v
		}
		if sum != want {
			t.Fatalf("image %s differs from the script's: got sum %v, want %v", name, sum, want)
		}
	}
	for i, want := range golden.Taps {
		if got := gaussian(5, 1.5)[i]; !(math.Abs(got-want) < 1e-15) { // one rounding of a value below 1
			t.Errorf("tap %d: got %v, want %v", i, got, want)
		}
	}

	valid := map[string]SSIMOptions{
		"gaussian":         {},
		"gaussian_sample":  {SampleCovariance: true},
		"uniform7_sample":  {Window: Uniform7, SampleCovariance: true},
		"uniform11_sample": {Window: Uniform11, SampleCovariance: true},
	}
	sameSize := map[string]SSIMOptions{
		"reflect": {},
		"mirror":  {Border: Mirror},
		"zero":    {Border: Zero},
	}
	for pair, want := range golden.Pairs {
		a, b := images[pair[:1]], images[pair[2:]]
		for name, o := range valid {
			o.DataRange = 255
			got, _, err := SSIM(a, b, 1, side, side, &o)
			if err != nil || !(math.Abs(got-want[name]) <= ssimTol) {
				t.Errorf("%s %s: got %.12f, %v, want %.12f", pair, name, got, err, want[name])
			}
		}
		for name, o := range sameSize {
			o.DataRange = 255
			_, values, err := ssim(a, b, 1, side, side, &o)
			if err != nil {
				t.Fatal(err)
			}
			var got float64
			for _, v := range values {
				got += v / (side * side)
			}
			if !(math.Abs(got-want[name]) <= ssimTol) {
				t.Errorf("%s same size, %s: got %.12f, want %.12f", pair, name, got, want[name])
			}
		}
	}
}

// TestSSIMDefinition compares the map with the definition written out, a double
// loop over the window at each pixel, on an image that is not square.
func TestSSIMDefinition(t *testing.T) {
	const h, w, l = 12, 17, 255.
	a, b := lcg(h*w, 11), lcg(h*w, 12)
	taps := gaussian(5, 1.5)
	reflect := func(i, n int) int {
		if i < 0 {
			return -i - 1
		}
		if i >= n {
			return 2*n - 1 - i
		}
		return i
	}
	_, residual, err := SSIM(a, b, 1, h, w, &SSIMOptions{DataRange: l})
	if err != nil {
		t.Fatal(err)
	}
	for y := range h {
		for x := range w {
			var ma, mb, va, vb, cov float64
			window := func(visit func(weight, a, b float64)) {
				for i, wy := range taps {
					for j, wx := range taps {
						k := reflect(y+i-5, h)*w + reflect(x+j-5, w)
						visit(wy*wx, a[k], b[k])
					}
				}
			}
			window(func(weight, a, b float64) { ma += weight * a; mb += weight * b })
			window(func(weight, a, b float64) {
				va += weight * (a - ma) * (a - ma)
				vb += weight * (b - mb) * (b - mb)
				cov += weight * (a - ma) * (b - mb)
			})
			c1, c2 := (.01*l)*(.01*l), (.03*l)*(.03*l)
			want := 1 - (2*ma*mb+c1)*(2*cov+c2)/((ma*ma+mb*mb+c1)*(va+vb+c2))
			if got := float64(residual.Data[y*w+x]); !(math.Abs(got-want) <= residualTol) {
				t.Errorf("row %d, column %d: got %v, want %v", y, x, got, want)
			}
		}
	}
}

func TestSSIMProperties(t *testing.T) {
	images := goldenImages()
	x, z := images["X"], images["Z"]
	options := &SSIMOptions{DataRange: 255}
	base, residual, err := SSIM(x, z, 1, side, side, options)
	if err != nil {
		t.Fatal(err)
	}
	scaled := func(v []float64) []float64 {
		out := make([]float64, len(v))
		for i := range v {
			out[i] = v[i] / 255
		}
		return out
	}
	other, _, err := SSIM(x, images["Y"], 1, side, side, options)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		a, b     []float64
		channels int
		options  *SSIMOptions
		want     float64
	}{
		"symmetric":                    {z, x, 1, options, base},
		"default range is 1":           {scaled(x), scaled(z), 1, nil, base},
		"replicated channels":          {slices.Concat(x, x, x), slices.Concat(z, z, z), 3, options, base},
		"colour is the channels' mean": {slices.Concat(x, x), slices.Concat(z, images["Y"]), 2, options, (base + other) / 2},
	}
	for name, tc := range tests {
		got, _, err := SSIM(tc.a, tc.b, tc.channels, side, side, tc.options)
		if err != nil || !(math.Abs(got-tc.want) <= ssimTol) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, tc.want)
		}
	}

	to32 := func(v []float64) []float32 {
		out := make([]float32, len(v))
		for i := range v {
			out[i] = float32(v[i])
		}
		return out
	}
	got, residual32, err := SSIM(to32(x), to32(z), 1, side, side, options)
	if err != nil || got != base || !slices.Equal(residual32.Data, residual.Data) {
		t.Errorf("float32 images of whole numbers: got %v, %v, want %v and the same map", got, err, base)
	}
}

func TestSSIMErrors(t *testing.T) {
	ok := make([]float32, 121)
	tests := map[string]struct {
		a, b                    []float32
		channels, height, width int
		options                 *SSIMOptions
		want                    string
	}{
		"lengths":   {ok, ok[1:], 1, 11, 11, nil, "heatmap: SSIM: got 121 and 120 values, want 1x11x11"},
		"channels":  {ok, ok, 0, 11, 11, nil, "heatmap: SSIM: got 0 channels of 11x11, want at least 1 of 11x11"},
		"too small": {ok, ok, 1, 10, 12, nil, "heatmap: SSIM: got 1 channels of 10x12, want at least 1 of 11x11"},
		"window":    {ok, ok, 1, 11, 11, &SSIMOptions{Window: 3}, "heatmap: SSIM: got window 3, want Gaussian11, Uniform7 or Uniform11"},
		"border":    {ok, ok, 1, 11, 11, &SSIMOptions{Border: -1}, "heatmap: SSIM: got border -1, want Reflect, Mirror or Zero"},
		"sigma":     {ok, ok, 1, 11, 11, &SSIMOptions{Sigma: -1}, "heatmap: SSIM: got Sigma -1, want it above 0"},
		"K2":        {ok, ok, 1, 11, 11, &SSIMOptions{K2: math.NaN()}, "heatmap: SSIM: got K2 NaN, want it above 0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, m, err := SSIM(tc.a, tc.b, tc.channels, tc.height, tc.width, tc.options)
			if err == nil || err.Error() != tc.want || m != nil {
				t.Errorf("got %v, %v, want %q", m, err, tc.want)
			}
		})
	}
	if _, _, err := SSIM(ok, ok, 1, 11, 11, nil); err != nil {
		t.Errorf("an image of the window's size: %v", err)
	}
}

func TestBorder(t *testing.T) {
	tests := []struct {
		border Border
		n      int
		want   []int // of positions -2n to 3n-1
	}{
		{Reflect, 3, []int{0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2}},
		{Mirror, 3, []int{2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0}},
		{Zero, 3, []int{-1, -1, -1, -1, -1, -1, 0, 1, 2, -1, -1, -1, -1, -1, -1}},
		{Reflect, 1, []int{0, 0, 0, 0, 0}},
		{Mirror, 1, []int{0, 0, 0, 0, 0}},
	}
	for _, tc := range tests {
		var got []int
		for i := -2 * tc.n; i < 3*tc.n; i++ {
			got = append(got, tc.border.index(i, tc.n))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("border %d of %d: got %v, want %v", tc.border, tc.n, got, tc.want)
		}
	}
}

func BenchmarkSSIM(b *testing.B) {
	const c, size = 3, 256
	x, y := lcg(c*size*size, 1), lcg(c*size*size, 7)
	for b.Loop() {
		if _, _, err := SSIM(x, y, c, size, size, &SSIMOptions{DataRange: 255}); err != nil {
			b.Fatal(err)
		}
	}
}
