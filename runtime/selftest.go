package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A SelfTest is what a model makes of an image that is drawn by arithmetic. A
// file that carries its own (see [SelfTest.Metadata]) can be checked wherever it
// arrives: damaged weights, and providers that compute something else, show.
type SelfTest struct {
	Image string  // which image: "pattern-1"
	Score float32 // as the model gives it; of a model that gives a reconstruction alone, the largest difference of a value in [0,1] from the image's
	Mean  float32 // of the anomaly map; of the differences for a reconstruction; else 0
}

// selfTestImage names pattern, the only image there is.
const selfTestImage = "pattern-1"

// How far a self-test may be from its figures, as a share of them.
const (
	// selfTestExact is for go and ORT's own kernels, which differ by the order in
	// which they add up, and SSIM's quotient magnifies that: 2e-6 was seen.
	selfTestExact = 1e-4
	// selfTestFloat is for other kernels in float32, which approximate more.
	selfTestFloat = 1e-3
	// selfTestReduced is for TF32, half precision and bfloat16, of 10, 10 and 7 bits:
	// OpenVINO in bfloat16 was 1.2e-2 off. And for files in less than float32, of which providers
	// compute some parts in more, and round numbers of 8 bits that are near the middle of two otherwise.
	selfTestReduced = 5e-2
	// selfTestFloor is below what any residual means: less is taken for it.
	selfTestFloor = 1e-4
)

// selfTestTol is the tolerance for what a provider computes of a file with.
func selfTestTol(provider Provider, o *ProviderOptions, metadata map[string]string) float64 {
	switch {
	case metadata[onnx.KeyPrecision] != "" || o.precision(provider) != Float32:
		return selfTestReduced
	case !provider.row().Accelerates():
		return selfTestExact
	}
	return selfTestFloat
}

// pattern is the image "pattern-1", uint8 [height,width,channels]: squares of 8
// pixels, ramps across them and noise, so that every filter has something to do.
// The value at row y, column x and channel c is
//
//	64 + 96·((x/8+y/8+c) mod 2) + (3x+5y+40c) mod 64 + n/2²⁷
//
// where n is the 32-bit hash of y·65536+x·4+c: three rounds of n ^= n>>16 and
// n *= 0x7feb352d (integers throughout, so every machine draws the same).
func pattern(height, width, channels int) []uint8 {
	pix := make([]uint8, 0, height*width*channels)
	for y := range height {
		for x := range width {
			for c := range channels {
				n := uint32(y<<16 + x<<2 + c)
				for range 3 {
					n ^= n >> 16
					n *= 0x7feb352d
				}
				pix = append(pix, uint8(64+96*((x/8+y/8+c)%2)+(3*x+5*y+40*c)%64+int(n>>27)))
			}
		}
	}
	return pix
}

// Metadata returns the self-test as a file carries it, for [onnxexport.Model].Metadata.
func (t SelfTest) Metadata() map[string]string {
	number := func(x float32) string { return strconv.FormatFloat(float64(x), 'g', 6, 32) }
	return map[string]string{onnx.KeySelfTestImage: t.Image, onnx.KeySelfTestScore: number(t.Score), onnx.KeySelfTestMean: number(t.Mean)}
}

// readSelfTest returns the self-test that a file carries, nil where it has none
// or one with an image that this version cannot draw.
func readSelfTest(metadata map[string]string) (*SelfTest, error) {
	t := &SelfTest{Image: metadata[onnx.KeySelfTestImage]}
	if t.Image != selfTestImage {
		return nil, nil
	}
	for key, value := range map[string]*float32{onnx.KeySelfTestScore: &t.Score, onnx.KeySelfTestMean: &t.Mean} {
		v, err := strconv.ParseFloat(metadata[key], 32)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: metadata %s: got %q, want a number", ErrModel, key, metadata[key])
		}
		*value = float32(v)
	}
	return t, nil
}

// SelfTest measures what the model makes of the image of self-tests. Neither
// thresholds nor [Options] change it.
func (d *Detector) SelfTest(ctx context.Context) (SelfTest, error) {
	l, err := d.acquire()
	if err != nil {
		return SelfTest{}, err
	}
	defer d.release(l)
	return l.selfTest(ctx)
}

// Verify runs the self-test that the model's file carries and reports whether
// there is one: models of other tools, and older ones, have none. The error
// wraps [ErrModel] where the model gives something else than it should.
func (d *Detector) Verify(ctx context.Context) (tested bool, err error) {
	l, err := d.acquire()
	if err != nil {
		return false, err
	}
	defer d.release(l)
	return l.verify(ctx)
}

func (l *loaded) verify(ctx context.Context) (tested bool, err error) {
	want, err := readSelfTest(l.network.plan.model.Metadata)
	if err != nil || want == nil {
		return false, err
	}
	got, err := l.selfTest(ctx)
	if err != nil {
		return true, fmt.Errorf("self-test: %w", err)
	}
	for _, v := range []struct {
		name      string
		got, want float32
	}{{"score", got.Score, want.Score}, {"mean residual", got.Mean, want.Mean}} {
		tol := selfTestTol(l.info.Provider, &l.options.ProviderOptions, l.network.plan.model.Metadata) * max(math.Abs(float64(v.want)), selfTestFloor)
		if d := math.Abs(float64(v.got) - float64(v.want)); !(d <= tol) {
			return true, fmt.Errorf("%w: self-test on provider %s: %s of image %s: got %.6g, want %.6g ± %.2g: the file is damaged, or computed wrongly here",
				ErrModel, l.info.Provider, v.name, want.Image, v.got, v.want, tol)
		}
	}
	return true, nil
}

// selfTest reads the model as its file has it, whatever Options make of it.
func (l *loaded) selfTest(ctx context.Context) (SelfTest, error) {
	t := SelfTest{Image: selfTestImage}
	c, err := recognize(l.network.plan.model, &Options{})
	if err != nil {
		return t, err
	}
	height, width := c.images.height, c.images.width
	if height < 1 {
		height, width = warmSize, warmSize
	}
	rows := l.rows(1)
	var wanted []string
	for _, p := range []*onnx.Port{c.score, c.residuals} {
		if p != nil {
			wanted = append(wanted, p.Name)
		}
	}
	if c.kind == KindReconstruction {
		wanted = []string{c.reconstruction.Name}
	}
	if !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(l.outputs, name) }) {
		wanted = l.outputs // what is ready
	}
	f := frames{pattern(height, width, c.images.channels), 1, height, width}
	out, err := l.network.Run(ctx, map[string]*graph.Tensor{c.input.Name: c.tensor(f, rows, newScratch())}, wanted...)
	if err != nil {
		return t, err
	}
	var residuals []float32 // of the first row
	switch {
	case c.kind == KindReconstruction:
		y := out[c.reconstruction.Name]
		if got, want := y.Shape(), c.reconstructed.at(height, width).shape(rows); !slices.Equal(got, want) {
			return t, fmt.Errorf("%w: got a reconstruction %v, want %v", ErrModel, got, want)
		}
		residuals = c.differences(floats(y), f)
	case c.residuals != nil:
		maps, err := c.maps(out[c.residuals.Name], rows)
		if err != nil {
			return t, err
		}
		residuals = maps[0].Data
	}
	switch {
	case c.score != nil:
		scores := floats(out[c.score.Name])
		if len(scores) != rows {
			return t, fmt.Errorf("%w: got %d scores for %d images", ErrModel, len(scores), rows)
		}
		t.Score = scores[0]
	case len(residuals) > 0:
		t.Score = slices.Max(residuals) // NaN if any is
	}
	var sum float64
	for _, v := range residuals {
		sum += float64(v)
	}
	t.Mean = float32(sum / float64(max(len(residuals), 1)))
	return t, nil
}

// differences returns |y-x|, in the range of [0,1], of the first row of a
// reconstruction y and its image x.
func (c *contract) differences(y []float32, f frames) []float32 {
	t := c.reconstructed.at(f.height, f.width)
	area := t.height * t.width
	d := make([]float32, len(f.pix))
	for i, v := range f.pix {
		at := i
		if t.layout == NCHW {
			at = i%t.channels*area + i/t.channels
		}
		value := (y[at] - c.outRange.Low) / (c.outRange.High - c.outRange.Low)
		d[i] = float32(math.Abs(float64(value - float32(v)*(1.0/255))))
	}
	return d
}
