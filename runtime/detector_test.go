package runtime

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

const (
	// formsTol is how far scores and maps of the same weights, exported in
	// another form, may differ: float32 rounding of the same formulas, which
	// SSIM's quotient magnifies.
	formsTol = 2e-5
	// matesTol is how far they may differ with the images beside one in a batch:
	// kernels may add up in another order for another batch size.
	matesTol = 1e-6
)

// pictures returns n images of other sizes and types than the models of the tests.
func pictures(n int) []image.Image {
	var imgs []image.Image
	for i := range n {
		bounds := image.Rect(0, 0, 20+7*i, 30+3*i)
		rgba, grey := image.NewRGBA(bounds), image.NewGray(bounds)
		for y := range bounds.Dy() {
			for x := range bounds.Dx() {
				v := uint8(x*x*(i+1) + 3*y)
				rgba.SetRGBA(x, y, color.RGBA{v, uint8(x * y), uint8(40 * i), 255})
				grey.SetGray(x, y, color.Gray{v})
			}
		}
		if i%2 == 0 {
			imgs = append(imgs, rgba)
		} else {
			imgs = append(imgs, grey)
		}
	}
	return imgs
}

func openDetector(t testing.TB, model []byte, o *Options) *Detector {
	t.Helper()
	d, err := OpenBytes(model, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func detect(t testing.TB, d *Detector, imgs ...image.Image) []Result {
	t.Helper()
	r, err := d.Detect(t.Context(), imgs...)
	if err != nil {
		t.Fatal(err)
	}
	if len(r) != len(imgs) {
		t.Fatalf("got %d results, want %d", len(r), len(imgs))
	}
	return r
}

func wantSame(t *testing.T, what string, got, want Result, tol float64) {
	t.Helper()
	if d := math.Abs(float64(got.Score - want.Score)); !(d <= tol) {
		t.Errorf("%s: score: got %v, want %v within %g", what, got.Score, want.Score, tol)
	}
	if d := maxDiff(got.Map.Data, want.Map.Data); !(d <= tol) || got.Map.Height != want.Map.Height || got.Map.Width != want.Map.Width {
		t.Errorf("%s: map: differs by %g, want at most %g", what, d, tol)
	}
	if got.Anomalous != want.Anomalous {
		t.Errorf("%s: anomalous: got %v, want %v", what, got.Anomalous, want.Anomalous)
	}
}

// The detector against the steps it is made of.
func TestDetector(t *testing.T) {
	spec := models.Spec{Height: 24, Width: 16, Filters: 4}
	model := detectorModel(t, spec, &onnxexport.Options{Threshold: 1})
	imgs := pictures(5)
	pix := make([]uint8, len(imgs)*24*16*3)
	for i, img := range imgs {
		if err := imageio.Resize(pix[i*24*16*3:][:24*16*3], img, 24, 16, 3); err != nil {
			t.Fatal(err)
		}
	}
	each(t, func(t *testing.T, provider Provider) {
		s := openTest(t, model, &SessionOptions{Provider: provider})
		out, err := s.Run(t.Context(), map[string]*graph.Tensor{"input": graph.NewTensor(pix, len(imgs), 24, 16, 3)})
		if err != nil {
			t.Fatal(err)
		}
		d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: provider}, Batch: 2, Reconstruction: true})
		results := detect(t, d, imgs...)
		again, err := d.DetectPixels(t.Context(), pix, len(imgs))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if want := graph.Data[float32](out["pred_score"])[i]; !(math.Abs(float64(r.Score-want)) <= matesTol) {
				t.Errorf("image %d: score: got %v, want %v", i, r.Score, want)
			}
			if diff := maxDiff(r.Map.Data, graph.Data[float32](out["anomaly_map"])[i*24*16:][:24*16]); !(diff <= matesTol) {
				t.Errorf("image %d: map: differs by %g", i, diff)
			}
			if want := graph.Data[bool](out["pred_label"])[i]; r.Anomalous != want {
				t.Errorf("image %d: anomalous: got %v, want %v", i, r.Anomalous, want)
			}
			if r.Threshold == nil || *r.Threshold != 1 {
				t.Errorf("image %d: threshold: got %v, want 1", i, r.Threshold)
			}
			wantSame(t, fmt.Sprintf("image %d from pixels", i), again[i], r, 0)
			rgba := r.Reconstruction.(*image.RGBA)
			if rgba.Bounds() != image.Rect(0, 0, 16, 24) {
				t.Fatalf("image %d: reconstruction: got %v", i, rgba.Bounds())
			}
			planes := graph.Data[float32](out["reconstruction"])[i*3*24*16:]
			for at := range 24 * 16 {
				for c := range 3 {
					want := float64(planes[c*24*16+at]) * 255
					if got := float64(rgba.Pix[4*at+c]); math.Abs(got-want) > .501 { // rounding
						t.Fatalf("image %d: reconstruction at %d, channel %d: got %v, want %v", i, at, c, got, want)
					}
				}
			}
		}
		if r := detect(t, d); len(r) != 0 {
			t.Errorf("no images: got %v", r)
		}
	})
}

// However the same weights are exported, they find the same.
func TestDetectorForms(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		for _, channels := range []int{1, 3} {
			spec := models.Spec{Height: 16, Width: 24, Filters: 4, Channels: channels}
			imgs := pictures(3)
			var want []Result
			for _, profile := range []onnxexport.Profile{onnxexport.Detector, onnxexport.Reconstruction} {
				for _, input := range []onnxexport.InputKind{onnxexport.Uint8NHWC, onnxexport.FloatNCHW} {
					model := detectorModel(t, spec, &onnxexport.Options{Profile: profile, Input: input})
					threshold := float32(.5)
					d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: provider}, Reconstruction: true, Threshold: &threshold})
					got := detect(t, d, imgs...)
					if want == nil {
						want = got
					}
					for i := range got {
						what := fmt.Sprintf("%d channels, %v, %v, image %d", channels, profile, input, i)
						wantSame(t, what, got[i], want[i], formsTol)
						if a, b := fmt.Sprintf("%T", got[i].Reconstruction), map[int]string{1: "*image.Gray", 3: "*image.RGBA"}[channels]; a != b {
							t.Errorf("%s: reconstruction: got %s, want %s", what, a, b)
						}
					}
				}
			}
		}
	})
}

// What an image is found to be depends neither on its batch nor on its place in it.
func TestDetectorBatchMates(t *testing.T) {
	model := detectorModel(t, models.Spec{Height: 16, Width: 16, Filters: 8}, nil)
	imgs := pictures(7)
	each(t, func(t *testing.T, provider Provider) {
		d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: provider}, Batch: 4})
		all := detect(t, d, imgs...)
		for i, img := range imgs {
			alone := detect(t, d, img)[0]
			wantSame(t, fmt.Sprintf("image %d alone", i), alone, all[i], matesTol)
			among := detect(t, d, imgs[6], img, imgs[0])[1]
			wantSame(t, fmt.Sprintf("image %d among others", i), among, all[i], matesTol)
		}
	})
}

// What is computed at once is told before.
func TestOnBatch(t *testing.T) {
	model := detectorModel(t, models.Spec{Height: 16, Width: 16, Filters: 8}, nil)
	var told []int
	d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}, Batch: 4, OnBatch: func(images int) { told = append(told, images) }})
	if told != nil {
		t.Errorf("opening told of %d", told)
	}
	detect(t, d, pictures(9)...)
	if want := []int{4, 4, 1}; !slices.Equal(told, want) {
		t.Errorf("got %d, want %d", told, want)
	}
}

// Networks of other tools: fixed batches, either layout, names of their own.
func TestDetectorForeign(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		for _, tt := range []struct {
			name   string
			dtype  graph.DType
			shape  []int
			layout string
			fixed  bool
		}{
			{"NCHW", graph.Float32, []int{graph.Dynamic, 3, 16, 12}, NCHW, false},
			{"NHWC", graph.Float32, []int{graph.Dynamic, 16, 12, 3}, NHWC, false},
			{"fixed batch", graph.Float32, []int{2, 16, 12, 3}, NHWC, true},
			{"batch of one", graph.Float32, []int{1, 3, 16, 12}, NCHW, true},
		} {
			g := graph.New("foreign")
			x := g.Input("image:0", tt.dtype, tt.shape...)
			g.Output("Identity:0", graph.Mul(x, g.Scalar(.5)))
			d := openDetector(t, marshal(t, g, nil), &Options{SessionOptions: SessionOptions{Provider: provider}, Reconstruction: true, Map: residual.Options{Kind: residual.L1Map}})
			info := d.Info()
			if info.Kind != KindReconstruction || info.Layout != tt.layout || info.Fixed != tt.fixed ||
				info.Height != 16 || info.Width != 12 || info.Channels != 3 || info.Threshold != nil {
				t.Errorf("%s: got %+v", tt.name, info)
			}
			imgs := pictures(3)
			for i, r := range detect(t, d, imgs...) {
				pix := make([]uint8, 16*12*3)
				if err := imageio.Resize(pix, imgs[i], 16, 12, 3); err != nil {
					t.Fatal(err)
				}
				highest := 0.
				for at, got := range r.Map.Data { // |x - x/2|, mean of the channels
					want := float64(int(pix[3*at])+int(pix[3*at+1])+int(pix[3*at+2])) / 3 / 255 / 2
					if highest = max(highest, want); math.Abs(float64(got)-want) > formsTol {
						t.Fatalf("%s, image %d, pixel %d: got %v, want %v", tt.name, i, at, got, want)
					}
					rgba := r.Reconstruction.(*image.RGBA)
					if got, want := int(rgba.Pix[4*at+1]), int(pix[3*at+1]+1)/2; got < want-1 || got > want+1 {
						t.Fatalf("%s, image %d, pixel %d: reconstruction: got %v, want %v", tt.name, i, at, got, want)
					}
				}
				if math.Abs(float64(r.Score)-highest) > formsTol || r.Anomalous || r.Threshold != nil {
					t.Errorf("%s, image %d: got %+v, want score %v, no threshold", tt.name, i, r, highest)
				}
			}
		}
	})
}

func TestDetectorThreshold(t *testing.T) {
	spec := models.Spec{Height: 16, Filters: 4}
	low, high := float32(-1), float32(1.99)
	for _, tt := range []struct {
		model     float32
		option    *float32
		anomalous bool
	}{
		{0, nil, false},
		{1e-6, nil, true},
		{1.99, nil, false},
		{1.99, &low, true},
		{1e-6, &high, false},
		{0, &low, true},
	} {
		var said []string
		logf := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
		d := openDetector(t, detectorModel(t, spec, &onnxexport.Options{Threshold: tt.model}), &Options{SessionOptions: SessionOptions{Provider: Go, Logf: logf}, Threshold: tt.option})
		r := detect(t, d, pictures(1)...)[0]
		if r.Anomalous != tt.anomalous {
			t.Errorf("%+v: got %+v", tt, r)
		}
		none := tt.model == 0 && tt.option == nil
		if (r.Threshold == nil) != none || (d.Info().Threshold == nil) != none || (len(said) == 1) != none {
			t.Errorf("%+v: got threshold %v, %v in Info, said %q", tt, r.Threshold, d.Info().Threshold, said)
		}
	}
	d := openDetector(t, detectorModel(t, spec, &onnxexport.Options{Threshold: .5, PixelThreshold: .25}), &Options{SessionOptions: SessionOptions{Provider: Go}})
	if i := d.Info(); *i.Threshold != .5 || *i.PixelThreshold != .25 {
		t.Errorf("got thresholds %v and %v, want .5 and .25", *i.Threshold, *i.PixelThreshold)
	}
	*d.Info().Threshold = 7 // a caller's copy
	*detect(t, d, pictures(1)...)[0].Threshold = 7
	if got := *d.Info().Threshold; got != .5 {
		t.Errorf("got threshold %v, want .5", got)
	}
}

// NaN weights give NaN scores, which no threshold would find anomalous.
func TestDetectorNaN(t *testing.T) {
	g := graph.New("nan")
	x := g.Input("x", graph.Float32, graph.Dynamic, 1, 16, 16)
	g.Output("y", graph.Div(x, graph.Sub(x, x)))
	_, err := OpenBytes(marshal(t, g, nil), &Options{SessionOptions: SessionOptions{Provider: Go}})
	if !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "want finite numbers") {
		t.Errorf("got %v, want ErrModel of numbers that are not finite", err)
	}
}

func TestDetectorErrors(t *testing.T) {
	reconstruction := func(dtype graph.DType, shape ...int) []byte {
		g := graph.New("g")
		g.Output("y", g.Input("x", dtype, shape...))
		return marshal(t, g, nil)
	}
	smaller := graph.New("smaller")
	smaller.Output("y", graph.MaxPool(smaller.Input("x", graph.Float32, -1, 3, 16, 16), 2, 2, nil))
	nan := float32(math.NaN())
	good := detectorModel(t, models.Spec{Height: 16, Filters: 2}, &onnxexport.Options{Metadata: map[string]string{"note": "x"}})
	tests := []struct {
		name  string
		model []byte
		o     Options
		want  error
		text  string
	}{
		{"two inputs", affine(t), Options{}, ErrModel,
			`got inputs "x" float32[N,2], "a" float32[2] and outputs "y" float32[N,2], "z" float32[N,2]; want one input, images`},
		{"four channels", reconstruction(graph.Float32, -1, 4, 16, 16), Options{}, ErrModel, `float32[N,4,16,16]`},
		{"one side unknown", reconstruction(graph.Float32, -1, 3, -1, 16), Options{}, ErrInput, `float32[N,3,N,16]`},
		{"another size", good, Options{Height: 8, Width: 8}, ErrInput, `size: got 8x8, the model has input "input" uint8[N,16,16,3]`},
		{"half a size", good, Options{Height: 8}, ErrInput, `size: got 8x0`},
		{"layout", good, Options{Layout: "CHWN"}, ErrInput, `layout: got "CHWN"`},
		{"range", good, Options{Range: Range{1, 0}}, ErrInput, `range: got 1:0`},
		{"range of reconstructions", good, Options{ReconstructionRange: Range{2, 2}}, ErrInput, `range: got 2:2`},
		{"no such output", good, Options{MapOutput: "map"}, ErrInput, `map: got output "map", the model has "anomaly_map"`},
		{"size absurd", reconstruction(graph.Float32, -1, 3, 1<<15, 1<<15), Options{}, ErrModel, `up to 67108864`},
		{"no batch", good, Options{Batch: -1}, ErrInput, `batch: got -1`},
		{"batch absurd", good, Options{Batch: 1 << 30}, ErrInput, `batch: got 1073741824 images of 16x16`},
		{"dtype", reconstruction(graph.Float64, -1, 3, 16, 16), Options{}, ErrModel, `float64`},
		{"smaller output", marshal(t, smaller, nil), Options{}, ErrModel, `"y" float32[N,3,8,8]`},
		{"no model", []byte("no model"), Options{}, ErrModel, `no ONNX model`},
		{"threshold", good, Options{Threshold: &nan}, ErrInput, `threshold`},
		{"map", good, Options{Map: residual.Options{Kind: "l3"}}, ErrInput, `l3`},
		{"provider", good, Options{SessionOptions: SessionOptions{Provider: "gpu"}}, ErrProvider, `gpu`},
	}
	for _, tt := range tests {
		o := tt.o
		if o.Provider == "" {
			o.Provider = Go
		}
		d, err := OpenBytes(tt.model, &o)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || d != nil {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent.onnx"), nil); !errors.Is(err, ErrModel) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: got %v", err)
	}

	d := openDetector(t, good, &Options{SessionOptions: SessionOptions{Provider: Go}})
	if _, err := d.DetectPixels(t.Context(), make([]uint8, 5), 1); !errors.Is(err, ErrInput) {
		t.Errorf("five bytes: got %v, want ErrInput", err)
	}
	if _, err := d.DetectPixels(t.Context(), nil, 1<<60); !errors.Is(err, ErrInput) { // whose size in bytes overflows to 0
		t.Errorf("no bytes for many images: got %v, want ErrInput", err)
	}
	for _, img := range []image.Image{nil, image.NewRGBA(image.Rectangle{})} {
		if _, err := d.Detect(t.Context(), pictures(1)[0], img); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "image 1") {
			t.Errorf("image %v: got %v, want ErrInput of image 1", img, err)
		}
	}
}

func TestDetectorSwapAndClose(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, seed uint64) string {
		net := network(t, models.Spec{Height: 16, Filters: 4})
		m, err := onnxexport.Build(net, net.Init(seed), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := onnxexport.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := file("one.onnx", 1), file("two.onnx", 2)
	broken := filepath.Join(dir, "broken.onnx")
	if err := os.WriteFile(broken, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, provider Provider) {
		d, err := Open(one, &Options{SessionOptions: SessionOptions{Provider: provider, Threads: 1}})
		if err != nil {
			t.Fatal(err)
		}
		img := pictures(1)[0]
		first := detect(t, d, img)[0]
		if err := d.Swap(t.Context(), broken); !errors.Is(err, ErrModel) {
			t.Errorf("got %v, want ErrModel", err)
		}
		wantSame(t, "after a failed Swap", detect(t, d, img)[0], first, 0)

		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					_, err := d.Detect(t.Context(), img)
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for _, path := range []string{two, one, two} {
			if err := d.Swap(t.Context(), path); err != nil {
				t.Error(err)
			}
		}
		second := detect(t, d, img)[0]
		if second.Score == first.Score {
			t.Errorf("got score %v from both models", first.Score)
		}
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if _, err := d.Detect(t.Context(), img); !errors.Is(err, ErrClosed) {
			t.Errorf("Detect: got %v, want ErrClosed", err)
		}
		if err := d.Swap(t.Context(), one); !errors.Is(err, ErrClosed) {
			t.Errorf("Swap: got %v, want ErrClosed", err)
		}
		if i := d.Info(); i.Kind != "" {
			t.Errorf("Info: got %+v, want zero", i)
		}
	})
}
