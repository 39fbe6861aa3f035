package runtime

import (
	"image"
	"image/color"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// anomalibTol is how far normalised scores and maps of profile anomalib may be from
// profile detector's: their filters add up in another order, which SSIM's quotient
// magnifies in flat areas.
const anomalibTol = 1e-4

// photos returns n opaque pictures of one size, as they are and as anomalib feeds
// them: RGB, float32 [n,3,height,width] in [0,1].
func photos(n, height, width int) ([]image.Image, *graph.Tensor) {
	var imgs []image.Image
	pixels := graph.Zeros(graph.Float32, n, 3, height, width)
	for i := range n {
		img := image.NewRGBA(image.Rect(0, 0, width, height))
		for y := range height {
			for x := range width {
				rgb := [3]uint8{uint8(x*x*(i+1)/width + 3*y), uint8(x * y / 16), uint8(40*i + x)}
				img.SetRGBA(x, y, color.RGBA{rgb[0], rgb[1], rgb[2], 255})
				for c, level := range rgb {
					graph.Data[float32](pixels)[((i*3+c)*height+y)*width+x] = float32(level) / 255
				}
			}
		}
		imgs = append(imgs, img)
	}
	return imgs, pixels
}

// TestAnomalibProfile compares a file of profile anomalib, given images as
// anomalib's inferencer gives them, with profile detector of the same network,
// given the images that package imageio resized.
func TestAnomalibProfile(t *testing.T) {
	for _, channels := range []int{1, 3} {
		spec := models.Spec{Channels: channels, Height: 24, Width: 16, Filters: 4}
		o := onnxexport.Options{Map: residual.Options{Blur: .5}, Threshold: 1}
		probe := openDetector(t, detectorModel(t, spec, &o), &Options{SessionOptions: SessionOptions{Provider: Go}})
		imgs, _ := photos(3, 90, 91)
		// Between the scores, far from all of them.
		var scores []float64
		for _, r := range detect(t, probe, imgs...) {
			scores = append(scores, float64(r.Score))
		}
		slices.Sort(scores)
		o.Threshold = float32(scores[0]+scores[1]) / 2
		detector := detectorModel(t, spec, &o)
		o.Profile = onnxexport.Anomalib
		anomalib := detectorModel(t, spec, &o)
		normal := func(x float32) float64 { return float64(onnxexport.Normalize(x, o.Threshold, &o.Map)) }

		each(t, func(t *testing.T, provider Provider) {
			d := openDetector(t, detector, &Options{SessionOptions: SessionOptions{Provider: provider}})
			s := openTest(t, anomalib, &SessionOptions{Provider: provider})
			a := openDetector(t, anomalib, &Options{SessionOptions: SessionOptions{Provider: provider}})
			for _, size := range [][2]int{{24, 16}, {90, 91}, {20, 37}, {900, 900}} {
				if testing.Short() && size[0] == 900 {
					continue
				}
				imgs, pixels := photos(3, size[0], size[1])
				pix := make([]uint8, 3*24*16*channels)
				for i, img := range imgs {
					if err := imageio.Resize(pix[i*24*16*channels:][:24*16*channels], img, 24, 16, channels); err != nil {
						t.Fatal(err)
					}
				}
				want, err := d.DetectPixels(t.Context(), pix, 3)
				if err != nil {
					t.Fatal(err)
				}
				var native []float32 // scores of all three
				for _, batch := range []int{1, 3} {
					in := graph.NewTensor(graph.Data[float32](pixels)[:batch*3*size[0]*size[1]], batch, 3, size[0], size[1])
					out, err := s.Run(t.Context(), map[string]*graph.Tensor{"input": in})
					if err != nil {
						t.Fatal(err)
					}
					native = graph.Data[float32](out["pred_score"])
					for i := range batch {
						score, label := graph.Data[float32](out["pred_score"])[i], graph.Data[bool](out["pred_label"])[i]
						if diff := math.Abs(float64(score) - normal(want[i].Score)); !(diff <= anomalibTol) || label != want[i].Anomalous {
							t.Errorf("%v, batch %d, image %d: got %v, %v, want %v, %v", size, batch, i, score, label, normal(want[i].Score), want[i].Anomalous)
						}
						m := graph.Data[float32](out["anomaly_map"])[i*24*16:][:24*16]
						for j, raw := range want[i].Map.Data {
							if diff := math.Abs(float64(m[j]) - normal(raw)); !(diff <= anomalibTol) {
								t.Errorf("%v, batch %d, image %d, pixel %d: got %v, want %v", size, batch, i, j, m[j], normal(raw))
								break
							}
						}
					}
				}
				if channels == 1 && size[0] != 24 {
					continue // a detector takes it for a network of RGB, which it turns grey once it has resized it
				}
				for i, r := range detect(t, a, imgs...) {
					// The same graph, given the same pixels: the file resizes as the detector does.
					if diff := math.Abs(float64(r.Score - native[i])); !(diff <= matesTol) {
						t.Errorf("%v: image %d: got %v resized in the file, %v resized before", size, i, native[i], r.Score)
					}
					if diff := math.Abs(float64(r.Score) - normal(want[i].Score)); !(diff <= anomalibTol) || r.Anomalous != want[i].Anomalous || *r.Threshold != .5 {
						t.Errorf("%v: detector: image %d: got %v, %v, threshold %v, want %v, %v", size, i, r.Score, r.Anomalous, *r.Threshold, normal(want[i].Score), want[i].Anomalous)
					}
				}
			}
			if i := a.Info(); i.Kind != KindAnomalib || i.Height != 24 || i.Width != 16 || i.Channels != 3 || *i.Threshold != .5 || *i.PixelThreshold != .5 {
				t.Errorf("got %+v", i)
			}
		})
	}
}

// TestAnomalibProfileReview: the band, too, is where the scores are.
func TestAnomalibProfileReview(t *testing.T) {
	o := onnxexport.Options{Profile: onnxexport.Anomalib, Threshold: .5, Metadata: map[string]string{"review": "0.25:0.75"}}
	d := openDetector(t, detectorModel(t, models.Spec{Height: 16, Filters: 2, Depth: 1}, &o), &Options{SessionOptions: SessionOptions{Provider: Go}})
	want := Band{onnxexport.Normalize(.25, .5, nil), onnxexport.Normalize(.75, .5, nil)}
	if got := d.Info().Review; got == nil || *got != want || !(want.Low < .5 && .5 < want.High) {
		t.Errorf("got %v, want %v", got, want)
	}
}
