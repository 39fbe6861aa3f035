package heatmap

import (
	"cmp"
	"fmt"
)

// A Window weighs the pixels that one SSIM value is computed from.
type Window int

const (
	Gaussian11 Window = iota // 11x11 Gaussian: Wang et al., TensorFlow, pytorch-msssim
	Uniform7                 // 7x7, equal weights: scikit-image's default
	Uniform11                // 11x11, equal weights
)

// SSIMOptions are SSIM's constants. Nil and zero fields mean the defaults.
type SSIMOptions struct {
	Window    Window  // default Gaussian11
	Sigma     float64 // of Gaussian11, in pixels; default 1.5
	K1, K2    float64 // stabilise flat areas; default 0.01 and 0.03
	DataRange float64 // between the lowest and the highest possible value; default 1
	Border    Border  // for the map only; default Reflect

	// SampleCovariance divides variances and covariances by N-1 instead of N,
	// for the window's N pixels: scikit-image's default.
	SampleCovariance bool
}

func (o *SSIMOptions) withDefaults() SSIMOptions {
	var d SSIMOptions
	if o != nil {
		d = *o
	}
	d.Sigma = cmp.Or(d.Sigma, 1.5)
	d.K1 = cmp.Or(d.K1, .01)
	d.K2 = cmp.Or(d.K2, .03)
	d.DataRange = cmp.Or(d.DataRange, 1)
	return d
}

func (o *SSIMOptions) validate() error {
	if o.Window < Gaussian11 || o.Window > Uniform11 {
		return fmt.Errorf("heatmap: SSIM: got window %d, want Gaussian11, Uniform7 or Uniform11", o.Window)
	}
	if o.Border < Reflect || o.Border > Zero {
		return fmt.Errorf("heatmap: SSIM: got border %d, want Reflect, Mirror or Zero", o.Border)
	}
	for _, c := range []struct {
		name  string
		value float64
	}{{"Sigma", o.Sigma}, {"K1", o.K1}, {"K2", o.K2}, {"DataRange", o.DataRange}} {
		if !(c.value > 0) {
			return fmt.Errorf("heatmap: SSIM: got %s %v, want it above 0", c.name, c.value)
		}
	}
	return nil
}

func (o *SSIMOptions) taps() []float64 {
	switch o.Window {
	case Uniform7:
		return uniform(7)
	case Uniform11:
		return uniform(11)
	default:
		return gaussian(5, o.Sigma)
	}
}

// SSIM returns the structural similarity of two images, in [-1,1] and 1 where
// they are equal, and its residual map 1-SSIM, in [0,2] (Wang et al., "Image
// Quality Assessment: From Error Visibility to Structural Similarity", IEEE
// Transactions on Image Processing 13(4), 2004, equation 13).
//
// a and b are planar, [channels, height, width], in a range of
// SSIMOptions.DataRange. Channels are compared apart and averaged. The scalar is
// the mean over the valid region, where the window lies within the image; the
// map has the image's size, its border made up as SSIMOptions.Border says, and
// equals the valid map inside. All is computed in float64.
//
// An error says which option, length or side does not fit; sides are at least
// the window's.
func SSIM[F ~float32 | ~float64](a, b []F, channels, height, width int, o *SSIMOptions) (mean float64, residual *Map, err error) {
	mean, ssim, err := ssim(a, b, channels, height, width, o)
	if err != nil {
		return 0, nil, err
	}
	residual = NewMap(height, width)
	for i, s := range ssim {
		residual.Data[i] = float32(1 - s)
	}
	return mean, residual, nil
}

// ssim returns the mean over the valid region and the map, SSIM itself.
func ssim[F ~float32 | ~float64](a, b []F, channels, height, width int, options *SSIMOptions) (mean float64, ssim []float64, err error) {
	o := options.withDefaults()
	if err := o.validate(); err != nil {
		return 0, nil, err
	}
	taps := o.taps()
	if channels < 1 || height < len(taps) || width < len(taps) {
		return 0, nil, fmt.Errorf("heatmap: SSIM: got %d channels of %dx%d, want at least 1 of %[4]dx%[4]d", channels, height, width, len(taps))
	}
	if want := channels * height * width; len(a) != want || len(b) != want {
		return 0, nil, fmt.Errorf("heatmap: SSIM: got %d and %d values, want %dx%dx%d", len(a), len(b), channels, height, width)
	}

	area := height * width
	c1 := o.K1 * o.DataRange * o.K1 * o.DataRange
	c2 := o.K2 * o.DataRange * o.K2 * o.DataRange
	unbias := 1.
	if o.SampleCovariance {
		n := float64(len(taps) * len(taps))
		unbias = n / (n - 1)
	}
	ssim = make([]float64, area)
	windowed := func(plane []float64) []float64 { return convolve(plane, height, width, taps, o.Border) }
	for c := range channels {
		a, b := float64s(a[c*area:(c+1)*area]), float64s(b[c*area:(c+1)*area])
		meanA, meanB := windowed(a), windowed(b)
		meanAA, meanBB, meanAB := windowed(multiply(a, a)), windowed(multiply(b, b)), windowed(multiply(a, b))
		for i := range ssim {
			ma, mb := meanA[i], meanB[i]
			varA, varB := unbias*(meanAA[i]-ma*ma), unbias*(meanBB[i]-mb*mb)
			cov := unbias * (meanAB[i] - ma*mb)
			ssim[i] += (2*ma*mb + c1) * (2*cov + c2) / ((ma*ma + mb*mb + c1) * (varA + varB + c2)) / float64(channels)
		}
	}

	radius := len(taps) / 2
	for y := radius; y < height-radius; y++ {
		for x := radius; x < width-radius; x++ {
			mean += ssim[y*width+x]
		}
	}
	return mean / float64((height-2*radius)*(width-2*radius)), ssim, nil
}

func float64s[F ~float32 | ~float64](values []F) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

func multiply(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] * b[i]
	}
	return out
}
