package runtime

import (
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

const (
	// imagesTol is how far scores of images that we prepare may be from those of
	// images that Pillow prepared: what an input 1e-7 away does to SSIM and to
	// normalised distances, with room for another library's kernels.
	imagesTol = 1e-2
	// pixelTol is the rounding of reconstructions to 8 bit.
	pixelTol = .5/255 + 1e-4
)

// An interopModel is a model in ../shared/interop: a real export of another tool.
type interopModel struct {
	Name    string
	Goldens []struct {
		File   string
		Images []string
	}
}

func interopModels(t *testing.T) []interopModel {
	t.Helper()
	b, err := os.ReadFile(testenv.Shared(t, "interop", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Models []interopModel }
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Models) == 0 {
		t.Fatal("the manifest has no models")
	}
	return manifest.Models
}

// What detectors find in images with models that other tools exported, against those
// tools' results. (That sessions give the golden outputs is internal/conformance's.)
func TestInterop(t *testing.T) { each(t, testInterop) }

func testInterop(t *testing.T, provider Provider) {
	kinds := map[string]string{"anomalib_padim_128": KindAnomalib, "torch_dynamo_dcae_128": KindReconstruction, "keras_dcae_128_nhwc": KindReconstruction}
	for _, m := range interopModels(t) {
		t.Run(m.Name, func(t *testing.T) {
			dir := testenv.Shared(t, "interop", m.Name)
			path := filepath.Join(dir, "model.onnx")
			for _, batch := range []int{1, 3} {
				d, err := Open(path, &Options{SessionOptions: SessionOptions{Provider: provider}, Reconstruction: true, Batch: batch})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if want := kinds[m.Name]; want != "" && d.Info().Kind != want {
					t.Errorf("kind: got %s, want %s", d.Info().Kind, want)
				}
				for _, g := range m.Goldens {
					golden := readGolden(t, filepath.Join(dir, g.File))
					var imgs []image.Image
					for _, name := range g.Images {
						imgs = append(imgs, readPNG(t, testenv.Shared(t, "data", "mvtec", "bottle", filepath.FromSlash(name))))
					}
					imagesGolden(t, d, imgs, golden)
				}
			}
		})
	}
}

// imagesGolden holds what the detector finds in the images that a golden is of to
// the golden outputs.
func imagesGolden(t *testing.T, d *Detector, imgs []image.Image, golden map[string]*graph.Tensor) {
	t.Helper()
	results, info := detect(t, d, imgs...), d.Info()
	outputs := map[string][]float32{}
	for i, out := range info.Outputs {
		if want := golden["output_"+itoa(i)]; want != nil { // no label or mask
			outputs[out.Name] = graph.Data[float32](want)
		}
	}
	for i, r := range results {
		switch info.Kind {
		case KindAnomalib:
			want := outputs[onnx.Score][i]
			if diff := math.Abs(float64(r.Score - want)); !(diff <= imagesTol) {
				t.Errorf("image %d: score: got %v, want %v", i, r.Score, want)
			}
			if r.Threshold == nil || *r.Threshold != .5 || r.Anomalous != (want > .5) {
				t.Errorf("image %d: got threshold %v, anomalous %v; want .5, %v", i, r.Threshold, r.Anomalous, want > .5)
			}
			area := info.MapHeight * info.MapWidth
			if diff := maxDiff(r.Map.Data, outputs[onnx.Map][i*area:][:area]); !(diff <= imagesTol) {
				t.Errorf("image %d: map: differs by %g", i, diff)
			}
		case KindReconstruction:
			size := info.Channels * info.Height * info.Width
			x, y := graph.Data[float32](golden["input"])[i*size:][:size], outputs[info.Outputs[0].Name][i*size:][:size]
			if info.Layout == NHWC {
				x, y = planar(x, info.Channels), planar(y, info.Channels)
			}
			_, want, err := heatmap.SSIM(x, y, info.Channels, info.Height, info.Width, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := math.Abs(float64(r.Score - want.Max())); !(diff <= imagesTol) {
				t.Errorf("image %d: score: got %v, want %v", i, r.Score, want.Max())
			}
			if diff := maxDiff(r.Map.Data, want.Data); !(diff <= imagesTol) {
				t.Errorf("image %d: map: differs by %g", i, diff)
			}
			if r.Threshold != nil || r.Anomalous {
				t.Errorf("image %d: got a verdict of a model without a threshold", i)
			}
			area := info.Height * info.Width
			for at := range area {
				if diff := math.Abs(float64(r.Reconstruction.(*image.RGBA).Pix[4*at])/255 - float64(y[at])); diff > pixelTol {
					t.Fatalf("image %d: reconstruction: differs by %g at %d", i, diff, at)
				}
			}
		default:
			t.Errorf("got kind %q", info.Kind)
		}
	}
}

// planar turns [H,W,C] into [C,H,W].
func planar(x []float32, channels int) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i%channels*(len(x)/channels)+i/channels] = v
	}
	return out
}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
