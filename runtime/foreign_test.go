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
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/residual"
)

const (
	// halfTol is a sum of three products of numbers of 11 bits.
	halfTol = 4e-3
	// The size of the images of the models below.
	foreignHeight, foreignWidth = 16, 24
)

// Models of the families that other tools write. The map of all of them is the
// mean of the channels, in [0,1], the reconstruction half the input.
func TestForeign(t *testing.T) { each(t, testForeign) }

func testForeign(t *testing.T, provider Provider) {
	const h, w = foreignHeight, foreignWidth
	half := float32(.5)
	// A model from a dynamic batch of images to their means.
	means := func(opset int64, m string) sketch {
		s := newSketch(opset)
		s.input("input", graph.Float32, "batch", 3, h, w)
		s.mean("input", m, graph.Float32, 1)
		return s
	}
	four := func(threshold float64, more func(s sketch)) func() sketch {
		return func() sketch {
			s := means(14, "raw")
			s.weight("zero", graph.Float32, nil, 0)
			s.weight("one", graph.Float32, nil, 1)
			s.weight("t", graph.Float32, nil, threshold)
			s.node("Clip", []string{"raw", "zero", "one"}, "anomaly_map")
			s.highest("anomaly_map", "pred_score")
			s.node("Greater", []string{"pred_score", "t"}, "pred_label")
			s.node("Greater", []string{"anomaly_map", "t"}, "pred_mask")
			s.output("pred_score", graph.Float32, "batch", 1)
			s.output("pred_label", graph.Bool, "batch", 1)
			s.output("anomaly_map", graph.Float32, "batch", 1, h, w)
			s.output("pred_mask", graph.Bool, "batch", 1, h, w)
			if more != nil {
				more(s)
			}
			return s
		}
	}
	reconstruct := func(dtype graph.DType, change func(s sketch), dims ...any) func() sketch {
		return func() sketch {
			s := newSketch(13)
			s.input("image", dtype, dims...)
			x := "image"
			if dtype == graph.Uint8 {
				s.node("Cast", []string{x}, "x", "to", 1)
				s.node("Mul", []string{"x", s.weight("u", graph.Float32, nil, 1./255)}, "x01")
				x = "x01"
			}
			s.node("Mul", []string{x, s.weight("half", graph.Float32, nil, .5)}, "46")
			s.output("46", graph.Float32, dims...)
			if change != nil {
				change(s)
			}
			return s
		}
	}
	l1 := Options{Map: residual.Options{Kind: residual.L1Map}, Reconstruction: true}
	tests := []struct {
		name      string
		model     func() sketch
		sidecar   string
		o         Options
		kind      string
		threshold *float32
		tol       float64 // default formsTol
		scale     float64 // of map and score; default 1
		noMap     bool
		batch     int // insisted on; 0: none
		want      func(mean float64) float64
	}{
		{name: "anomalib", model: four(.5, nil), kind: KindAnomalib, threshold: &half},
		{name: "another sensitivity", model: four(.75, nil), kind: KindAnomalib, threshold: ptr(.75)},
		{name: "declared for one", kind: KindAnomalib, threshold: &half, model: four(.5, func(s sketch) {
			for _, out := range s.Graph.Output {
				out.GetType().GetTensorType().GetShape().GetDim()[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 1}
			}
		})},
		{name: "undeclared shapes", kind: KindAnomalib, threshold: &half, model: four(.5, func(s sketch) {
			for _, out := range s.Graph.Output {
				out.GetType().GetTensorType().Shape = nil
			}
		})},
		{name: "scores [N], maps [N,H,W]", kind: KindAnomalib, threshold: &half, model: func() sketch {
			s := four(.5, nil)()
			s.Graph.Output = nil
			s.weight("all", graph.Int64, []int64{1}, -1)
			s.weight("rank3", graph.Int64, []int64{3}, -1, h, w)
			for _, name := range []string{"pred_score", "pred_label", "anomaly_map", "pred_mask"} {
				for _, n := range s.Graph.Node {
					for _, list := range [][]string{n.Input, n.Output} {
						for i := range list {
							if list[i] == name {
								list[i] = name + "4"
							}
						}
					}
				}
				shape, dims := "all", []any{"batch"}
				if name == onnx.Map || name == onnx.Mask {
					shape, dims = "rank3", []any{"batch", h, w}
				}
				dtype := graph.Float32
				if name == onnx.Label || name == onnx.Mask {
					dtype = graph.Bool
				}
				s.node("Reshape", []string{name + "4", shape}, name)
				s.output(name, dtype, dims...)
			}
			return s
		}},
		{name: "score and label alone", kind: KindAnomalib, threshold: &half, noMap: true, model: func() sketch {
			s := four(.5, nil)()
			s.Graph.Output = s.Graph.Output[:2]
			return s
		}},
		{name: "score and map, raw", kind: KindAnomalib, scale: 40, model: func() sketch {
			s := newSketch(14)
			s.input("input", graph.Float32, "batch", 3, h, w)
			s.mean("input", "anomaly_map", graph.Float32, 40)
			s.highest("anomaly_map", "pred_score")
			s.output("pred_score", graph.Float32, "batch", 1)
			s.output("anomaly_map", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "map alone", kind: KindAnomalib, model: func() sketch {
			s := means(14, "anomaly_map")
			s.output("anomaly_map", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "label by <=, in attributes of opset 7", kind: KindAnomalib, threshold: ptr(.25), model: func() sketch {
			s := means(7, "raw")
			s.node("Clip", []string{"raw"}, "anomaly_map", "min", 0., "max", 1.)
			s.highest("anomaly_map", "pred_score")
			s.weight("t", graph.Float32, []int64{1}, .25)
			s.node("Less", []string{"t", "pred_score"}, "pred_label")
			s.output("anomaly_map", graph.Float32, "batch", 1, h, w)
			s.output("pred_score", graph.Float32, "batch", 1)
			s.output("pred_label", graph.Bool, "batch", 1)
			return s
		}},
		{name: "map and score of other names, one image", kind: KindDetector, batch: 1, model: func() sketch {
			s := newSketch(11)
			s.input("x.1", graph.Float32, 1, 3, h, w)
			s.mean("x.1", "46", graph.Float32, 1)
			s.highest("46", "47")
			s.output("46", graph.Float32, 1, 1, h, w)
			s.output("47", graph.Float32, 1, 1)
			return s
		}},
		{name: "map that is named", kind: KindDetector, o: Options{MapOutput: "b"}, model: func() sketch {
			s := means(14, "b")
			s.mean("input", "a", graph.Float32, 7)
			s.output("a", graph.Float32, "batch", 1, h, w)
			s.output("b", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "score that is named", kind: KindDetector, o: Options{ScoreOutput: "b"}, noMap: true, model: func() sketch {
			s := means(14, "m")
			s.highest("m", "b")
			s.node("Neg", []string{"b"}, "a")
			s.output("a", graph.Float32, "batch", 1)
			s.output("b", graph.Float32, "batch", 1)
			return s
		}},
		{name: "score that has its name, among maps that do not", kind: KindAnomalib, noMap: true, model: func() sketch {
			s := means(14, "b")
			s.mean("input", "a", graph.Float32, 7)
			s.highest("b", "pred_score")
			s.output("pred_score", graph.Float32, "batch", 1)
			s.output("a", graph.Float32, "batch", 1, h, w)
			s.output("b", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "NHWC map", kind: KindDetector, model: func() sketch {
			s := newSketch(14)
			s.input("image", graph.Float32, "n", h, w, 3)
			s.node("Transpose", []string{"image"}, "x", "perm", []int{0, 3, 1, 2})
			s.mean("x", "m", graph.Float32, 1)
			s.node("Transpose", []string{"m"}, "Identity:0", "perm", []int{0, 2, 3, 1})
			s.output("Identity:0", graph.Float32, "n", h, w, 1)
			return s
		}},
		{name: "float16", kind: KindAnomalib, threshold: ptr(.25), tol: halfTol, model: func() sketch {
			s := newSketch(14)
			s.input("input", float16, "batch", 3, h, w)
			s.mean("input", "anomaly_map", float16, 1)
			s.highest("anomaly_map", "pred_score")
			s.node("Greater", []string{"pred_score", s.weight("t", float16, nil, .25)}, "pred_label")
			s.output("anomaly_map", float16, "batch", 1, h, w)
			s.output("pred_score", float16, "batch", 1)
			s.output("pred_label", graph.Bool, "batch", 1)
			return s
		}},
		{name: "takes one, declares more", kind: KindDetector, batch: 1, model: func() sketch {
			s := means(14, "m")
			s.node("Reshape", []string{"m", s.weight("shape", graph.Int64, []int64{4}, 1, 1, h, w)}, "46")
			s.output("46", graph.Float32, 1, 1, h, w)
			return s
		}},
		{name: "weights among the inputs", kind: KindDetector, model: func() sketch {
			s := means(9, "46")
			s.IrVersion = proto.Int64(3)
			s.input("46.weight", graph.Float32, 1, 3, 1, 1)
			s.output("46", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "int64 and bool between, empty names, allowzero", kind: KindDetector, model: func() sketch {
			s := means(14, "m")
			s.weight("one", graph.Float32, nil, 1)
			s.node("Clip", []string{"m", "", "one"}, "c")
			s.node("Shape", []string{"c"}, "shape")
			s.node("Slice", []string{"shape", s.weight("from", graph.Int64, []int64{1}, 0), s.weight("to", graph.Int64, []int64{1}, 2)}, "head")
			s.node("Concat", []string{"head", s.weight("tail", graph.Int64, []int64{2}, h, w)}, "sizes", "axis", 0)
			s.node("Resize", []string{"c", "", "", "sizes"}, "r", "mode", "nearest")
			s.node("Reshape", []string{"r", "sizes"}, "r2", "allowzero", 1)
			s.node("Less", []string{"r2", s.weight("none", graph.Float32, nil, -1)}, "low")
			s.node("Where", []string{"low", "c", "r2"}, "46")
			s.output("46", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "opset 25", kind: KindDetector, model: func() sketch {
			s := means(25, "46")
			s.output("46", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "size of the graph's own Resize", kind: KindAnomalib, model: func() sketch {
			s := newSketch(13)
			s.input("input", graph.Float32, "batch", 3, "height", "weight")
			s.OpsetImport[0].Version = proto.Int64(18)
			s.node("Shape", []string{"input"}, "shape", "start", 2)
			s.node("Concat", []string{s.weight("start", graph.Int64, []int64{2}, -1, 3), "shape"}, "same", "axis", 0)
			s.node("Reshape", []string{"input", "same"}, "view", "allowzero", 1)
			s.node("Shape", []string{"view"}, "head", "start", 0, "end", 2)
			s.node("Concat", []string{"head", s.weight("tail", graph.Int64, []int64{2}, h, w)}, "sizes", "axis", 0)
			s.node("Resize", []string{"view", "", "", "sizes"}, "r", "mode", "linear", "coordinate_transformation_mode", "half_pixel")
			s.mean("r", "anomaly_map", graph.Float32, 1)
			s.output("anomaly_map", graph.Float32, "batch", 1, "a", "b")
			return s
		}},
		{name: "size of the map", kind: KindAnomalib, model: func() sketch {
			s := newSketch(13)
			s.input("input", graph.Float32, "batch", 3, "height", "width")
			s.mean("input", "m", graph.Float32, 1)
			s.node("Shape", []string{"m"}, "shape")
			s.node("Slice", []string{"shape", s.weight("from", graph.Int64, []int64{1}, 0), s.weight("to", graph.Int64, []int64{1}, 2)}, "head")
			s.node("Concat", []string{"head", s.weight("tail", graph.Int64, []int64{2}, h, w)}, "sizes", "axis", 0)
			s.node("Resize", []string{"m", "", "", "sizes"}, "anomaly_map", "mode", "linear", "coordinate_transformation_mode", "half_pixel")
			s.output("anomaly_map", graph.Float32, "batch", 1, h, w)
			return s
		}},
		{name: "size of the options", kind: KindAnomalib, o: Options{Height: h, Width: w}, model: func() sketch {
			s := newSketch(13)
			s.input("input", graph.Float32, "batch", 3, "height", "width")
			s.mean("input", "anomaly_map", graph.Float32, 1)
			s.output("anomaly_map", graph.Float32, "batch", 1, "height", "width")
			return s
		}},
		{name: "anomalib 1.0", kind: KindAnomalib, threshold: ptr(onnx.Below(.5)),
			sidecar: `{"task": "segmentation", "image_threshold": 0.4, "pixel_threshold": 0.4, "min": 0.1, "max": 0.9}`,
			want:    func(m float64) float64 { return min(max((m-.4)/.8+.5, 0), 1) },
			model: func() sketch {
				s := means(14, "output")
				s.output("output", graph.Float32, "batch", 1, h, w)
				return s
			}},
		{name: "anomalib 1.1", kind: KindAnomalib, threshold: ptr(onnx.Below(.5)),
			sidecar: `{"task": "segmentation", "image_threshold": 0.4, "pixel_threshold": 0.4, "pred_scores.min": 0.1, "pred_scores.max": 0.9, "anomaly_maps.min": 0.1, "anomaly_maps.max": 0.9}`,
			want:    func(m float64) float64 { return min(max((m-.4)/.8+.5, 0), 1) },
			model: func() sketch {
				s := means(14, "output")
				s.output("output", graph.Float32, "batch", 1, h, w)
				return s
			}},
		{name: "anomalib 1, not normalised", kind: KindAnomalib, threshold: ptr(onnx.Below(.4)),
			sidecar: `{"task": "segmentation", "image_threshold": 0.4, "pixel_threshold": 0.3}`,
			model: func() sketch {
				s := means(14, "output")
				s.output("output", graph.Float32, "batch", 1, h, w)
				return s
			}},
		{name: "anomalib 1, classification", kind: KindAnomalib, threshold: ptr(onnx.Below(.5)), noMap: true,
			sidecar: `{"task": "classification", "image_threshold": 0.4, "pixel_threshold": 0.4, "min": 0, "max": 1}`,
			want:    func(m float64) float64 { return min(max(m-.4+.5, 0), 1) },
			model: func() sketch {
				s := means(14, "m")
				s.highest("m", "two")
				s.node("Reshape", []string{"two", s.weight("all", graph.Int64, []int64{1}, -1)}, "output")
				s.output("output", graph.Float32, "batch")
				return s
			}},
		{name: "anomalib 0.7", kind: KindAnomalib, threshold: ptr(onnx.Below(.5)), batch: 1,
			sidecar: `{"task": "segmentation", "image_threshold": 0.4, "pixel_threshold": 0.4, "min": 0.1, "max": 0.9,
				"transform": {"__version__": "1.3.1", "transform": {"__class_fullname__": "Compose", "p": 1.0, "transforms": [
				{"__class_fullname__": "Resize", "always_apply": true, "p": 1, "height": 16, "width": 24, "interpolation": 1},
				{"__class_fullname__": "Normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "max_pixel_value": 255.0},
				{"__class_fullname__": "albumentations.pytorch.transforms.ToTensorV2", "p": 1.0, "transpose_mask": false}]}}}`,
			want: func(m float64) float64 { return min(max(((m-.5)/.25-.4)/.8+.5, 0), 1) },
			model: func() sketch {
				s := newSketch(11)
				s.input("input", graph.Float32, 1, 3, h, w)
				s.mean("input", "output", graph.Float32, 1)
				s.output("output", graph.Float32, 1, 1, h, w)
				return s
			}},
		{name: "reconstruction NCHW", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Float32, nil, "n", 3, h, w)},
		{name: "reconstruction NHWC", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Float32, nil, "n", h, w, 3)},
		{name: "reconstruction, one image", kind: KindReconstruction, o: l1, scale: .5, batch: 1, model: reconstruct(graph.Float32, nil, 1, 3, h, w)},
		{name: "reconstruction, uint8 NHWC", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Uint8, nil, "n", h, w, 3)},
		{name: "reconstruction, uint8 NCHW", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Uint8, nil, "n", 3, h, w)},
		{name: "reconstruction, uint8 in and out", kind: KindReconstruction, o: l1, scale: .5, tol: .51 / 255, model: reconstruct(graph.Uint8, func(s sketch) {
			s.node("Mul", []string{"46", s.weight("back", graph.Float32, nil, 255)}, "scaled")
			s.node("Cast", []string{"scaled"}, "47", "to", int(graph.Uint8))
			s.Graph.Output = nil
			s.output("47", graph.Uint8, "n", 3, h, w)
		}, "n", 3, h, w)},
		{name: "reconstruction, 0 to 255", kind: KindReconstruction, o: with(l1, func(o *Options) { o.Range = Range{0, 255} }), scale: .5, model: reconstruct(graph.Float32, nil, "n", 3, h, w)},
		{name: "reconstruction, 0 to 255 and back as 0 to 1", kind: KindReconstruction, o: with(l1, func(o *Options) { o.Range, o.ReconstructionRange = Range{0, 255}, Range{0, 1} }), scale: .5,
			model: reconstruct(graph.Float32, func(s sketch) {
				s.node("Mul", []string{"46", s.weight("scale", graph.Float32, nil, 1./255)}, "47")
				s.Graph.Output = nil
				s.output("47", graph.Float32, "n", 3, h, w)
			}, "n", 3, h, w)},
		{name: "reconstruction, 0 to 255 by the file", kind: KindReconstruction, o: l1, scale: .5, model: func() sketch {
			s := reconstruct(graph.Float32, nil, "n", 3, h, w)()
			s.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: proto.String(onnx.KeyRange), Value: proto.String("NominalRange_0_255")}}
			return s
		}},
		{name: "reconstruction, -1 to 1", kind: KindReconstruction, o: with(l1, func(o *Options) { o.Range = Range{-1, 1} }),
			scale: .5, model: reconstruct(graph.Float32, func(s sketch) { // x/2 - 1/2
				s.node("Sub", []string{"46", "half"}, "47")
				s.Graph.Output = nil
				s.output("47", graph.Float32, "n", 3, h, w)
			}, "n", 3, h, w)},
		{name: "reconstruction among others", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Float32, func(s sketch) {
			s.node("Flatten", []string{"46"}, "code")
			s.output("code", graph.Float32, "n", 3*h*w)
		}, "n", 3, h, w)},
		{name: "reconstruction beside metadata of another model", kind: KindReconstruction, o: l1, scale: .5,
			sidecar: `{"image_threshold": 0.4, "min": 0, "max": 1}`, model: reconstruct(graph.Float32, func(s sketch) {
				s.node("Identity", []string{"46"}, "output")
				s.Graph.Output = nil
				s.output("output", graph.Float32, "n", 3, h, w)
			}, "n", 3, h, w)},
		{name: "reconstruction, of undeclared sides", kind: KindReconstruction, o: l1, scale: .5, model: reconstruct(graph.Float32, func(s sketch) {
			s.Graph.Output = nil
			s.output("46", graph.Float32, "n", 3, "a", "b")
		}, "n", 3, h, w)},
		{name: "reconstruction, size of the options", kind: KindReconstruction, o: with(l1, func(o *Options) { o.Height, o.Width = h, w }), scale: .5, model: reconstruct(graph.Float32, nil, "n", 3, "h", "w")},
	}
	imgs := pictures(3)
	imgs = append(imgs, image.NewUniform(color.White), image.NewUniform(color.Black))
	for i, img := range imgs[3:] {
		imgs[3+i] = crop{img, image.Rect(0, 0, 30, 20)}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "model.onnx")
			b := tt.model().bytes(t)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.sidecar != "" {
				if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(tt.sidecar), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.tol == 0 {
				tt.tol = formsTol
			}
			if tt.scale == 0 {
				tt.scale = 1
			}
			want := func(v float64) float64 {
				if tt.want != nil {
					return tt.want(v)
				}
				return v * tt.scale
			}
			description, err := InspectFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if (tt.o.MapOutput == "" && tt.o.ScoreOutput == "") != (description.Kind == tt.kind) {
				t.Errorf("inspect: got %q: %s, want %q", description.Kind, description.Problem, tt.kind)
			}
			var first []Result
			for _, batch := range []int{1, 3} {
				tt.o.Provider, tt.o.Batch = provider, batch
				d, err := Open(path, &tt.o)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				info := d.Info()
				if info.Kind != tt.kind || info.Height != h || info.Width != w || info.Channels != 3 || info.Maps == tt.noMap ||
					batch > 1 && info.Fixed != (tt.batch > 0) || tt.batch > 0 && info.Batch != tt.batch {
					t.Errorf("got %+v", info)
				}
				if got, want := show(info.Threshold), show(tt.threshold); got != want || info.Judges != (tt.threshold != nil) {
					t.Errorf("threshold: got %s, want %s", got, want)
				}
				results := detect(t, d, imgs...)
				for i, r := range results {
					pix := make([]uint8, h*w*3)
					if err := imageio.Resize(pix, imgs[i], h, w, 3); err != nil {
						t.Fatal(err)
					}
					highest := math.Inf(-1)
					for at := range h * w {
						highest = max(highest, want(float64(int(pix[3*at])+int(pix[3*at+1])+int(pix[3*at+2]))/3/255))
					}
					if diff := math.Abs(float64(r.Score) - highest); !(diff <= tt.tol*max(1, tt.scale)) {
						t.Errorf("image %d: score: got %v, want %v", i, r.Score, highest)
					}
					if (r.Map == nil) != tt.noMap {
						t.Fatalf("image %d: got map %v", i, r.Map)
					}
					if m := r.Map; m != nil {
						if m.Height != h || m.Width != w {
							t.Fatalf("image %d: got a map of %dx%d", i, m.Height, m.Width)
						}
						for at, got := range m.Data {
							v := want(float64(int(pix[3*at])+int(pix[3*at+1])+int(pix[3*at+2])) / 3 / 255)
							if diff := math.Abs(float64(got) - v); !(diff <= tt.tol*max(1, tt.scale)) {
								t.Fatalf("image %d, pixel %d: got %v, want %v", i, at, got, v)
							}
						}
					}
					if want := tt.threshold != nil && r.Score > *tt.threshold; r.Anomalous != want {
						t.Errorf("image %d: score %v: anomalous: got %v", i, r.Score, r.Anomalous)
					}
					if (r.Reconstruction != nil) != (tt.kind == KindReconstruction) {
						t.Errorf("image %d: got reconstruction %v", i, r.Reconstruction)
					}
					if rgba, ok := r.Reconstruction.(*image.RGBA); ok && tt.want == nil {
						for at := range h * w {
							if diff := int(rgba.Pix[4*at+2]) - (int(pix[3*at+2])+1)/2; diff < -1 || diff > 1 {
								t.Fatalf("image %d, pixel %d: reconstruction: off by %d", i, at, diff)
							}
						}
					}
				}
				if first == nil {
					first = results
				}
				for i := range results {
					if first[i].Score != results[i].Score || first[i].Map != nil && !slices.Equal(first[i].Map.Data, results[i].Map.Data) {
						t.Errorf("image %d: other results in another batch", i)
					}
				}
			}
		})
	}
}

// crop is a part of an image.
type crop struct {
	image.Image
	rect image.Rectangle
}

func (c crop) Bounds() image.Rectangle { return c.rect }

func ptr(v float32) *float32 { return &v }

func show(v *float32) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

func with(o Options, change func(*Options)) Options {
	change(&o)
	return o
}

// Models of no size of their own see each image at its own, alone or among others.
func TestForeignNativeSize(t *testing.T) { each(t, testForeignNativeSize) }

func testForeignNativeSize(t *testing.T, provider Provider) {
	model := func(pool bool) []byte {
		s := newSketch(13)
		s.input("image", graph.Float32, "n", 3, "h", "w")
		x := "image"
		if pool { // and back: smaller for odd sides
			s.node("MaxPool", []string{x}, "small", "kernel_shape", []int{2, 2}, "strides", []int{2, 2})
			s.node("Resize", []string{"small", "", s.weight("twice", graph.Float32, []int64{4}, 1, 1, 2, 2)}, "large", "mode", "nearest")
			x = "large"
		}
		s.node("Mul", []string{x, s.weight("half", graph.Float32, nil, .5)}, "46")
		s.output("46", graph.Float32, "n", 3, "a", "b")
		return s.bytes(t)
	}
	imgs := pictures(6)
	imgs = append(imgs, imgs[0], imgs[3], imgs[0])
	var want []Result
	for _, batch := range []int{1, 2, 16} {
		d := openDetector(t, model(false), &Options{SessionOptions: SessionOptions{Provider: provider}, Batch: batch, Reconstruction: true})
		if i := d.Info(); i.Height != 0 || i.Width != 0 || i.MapHeight != 0 || i.Kind != KindReconstruction {
			t.Errorf("got %+v", i)
		}
		got := detect(t, d, imgs...)
		for i, img := range imgs {
			size := img.Bounds().Size()
			if m := got[i].Map; m.Width != size.X || m.Height != size.Y || got[i].Reconstruction.Bounds().Size() != size {
				t.Errorf("image %d of %v: got a map of %dx%d", i, size, m.Height, m.Width)
			}
			if want != nil {
				wantSame(t, fmt.Sprintf("batch %d, image %d", batch, i), got[i], want[i], matesTol)
			}
			wantSame(t, fmt.Sprintf("batch %d, image %d alone", batch, i), detect(t, d, img)[0], got[i], matesTol)
		}
		want = got
		if _, err := d.DetectPixels(t.Context(), make([]uint8, 12), 1); !errors.Is(err, ErrInput) {
			t.Errorf("pixels: got %v, want ErrInput", err)
		}
		if _, err := d.Detect(t.Context(), imgs[0], nil); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "image 1") {
			t.Errorf("no image: got %v, want ErrInput of image 1", err)
		}
	}
	d := openDetector(t, model(true), &Options{SessionOptions: SessionOptions{Provider: provider}})
	detect(t, d, image.NewRGBA(image.Rect(0, 0, 40, 24)))
	if _, err := d.Detect(t.Context(), image.NewRGBA(image.Rect(0, 0, 41, 25))); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "multiples of 8") {
		t.Errorf("odd size: got %v, want ErrModel that says what to do", err)
	}
}

// Networks that have nothing to say of black images are none the worse.
func TestForeignContrast(t *testing.T) {
	needProvider(t, CPU)
	s := newSketch(13)
	s.input("input", graph.Float32, "n", 3, foreignHeight, foreignWidth)
	s.mean("input", "m", graph.Float32, 1)
	s.node("GlobalMaxPool", []string{"m"}, "most")
	s.node("Div", []string{"m", "most"}, "anomaly_map") // 0/0
	s.output("anomaly_map", graph.Float32, "n", 1, foreignHeight, foreignWidth)
	d := openDetector(t, s.bytes(t), &Options{SessionOptions: SessionOptions{Provider: CPU}})
	if r := detect(t, d, pictures(1)...); r[0].Score != 1 {
		t.Errorf("got score %v, want 1", r[0].Score)
	}
	if _, err := d.Detect(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9))); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("black: got %v, want ErrModel of NaN", err)
	}
}

// What could have been used and is not is said.
func TestForeignDoubt(t *testing.T) {
	needProvider(t, CPU)
	s := newSketch(13)
	s.input("input", graph.Float32, "n", 3, foreignHeight, foreignWidth)
	s.mean("input", "a", graph.Float32, 1)
	s.mean("input", "b", graph.Float32, 2)
	s.highest("b", "pred_score")
	s.output("pred_score", graph.Float32, "n", 1)
	s.output("a", graph.Float32, "n", 1, foreignHeight, foreignWidth)
	s.output("b", graph.Float32, "n", 1, foreignHeight, foreignWidth)
	for name, maps := range map[string]bool{"": false, "b": true} {
		var said []string
		d := openDetector(t, s.bytes(t), &Options{SessionOptions: SessionOptions{Provider: CPU, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}, MapOutput: name})
		if got := slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, `["a" "b"] could each be the map`) }); got == maps || d.Info().Maps != maps {
			t.Errorf("map output %q: maps %v, said %q", name, d.Info().Maps, said)
		}
	}
}

// Networks that pool over the image score it otherwise at another size, and nothing
// fails: that no size is known is said.
func TestForeignSizeUnknown(t *testing.T) {
	for height, unknown := range map[int]bool{0: true, foreignHeight: false} {
		s := newSketch(13)
		s.input("input", graph.Float32, "n", 3, "height", "width")
		s.mean("input", "anomaly_map", graph.Float32, 1)
		s.output("anomaly_map", graph.Float32, "n", 1, "height", "width")
		var said []string
		openDetector(t, s.bytes(t), &Options{SessionOptions: SessionOptions{Provider: Go, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}, Height: height, Width: height})
		if got := slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "does not say which size it takes") }); got != unknown {
			t.Errorf("size %d: said %q", height, said)
		}
	}
}

// A model that measures from the highest value of the whole batch, as anomalib's
// CFlow does, gets images one by one.
func TestForeignBatchMates(t *testing.T) {
	for together, batch := range map[bool]int{true: 1, false: 4} {
		s := newSketch(13)
		s.input("input", graph.Float32, "n", 3, foreignHeight, foreignWidth)
		s.mean("input", "anomaly_map", graph.Float32, 1)
		s.highest("anomaly_map", "own")
		if together {
			s.node("ReduceMax", []string{"anomaly_map"}, "top", "keepdims", 0)
		} else {
			s.weight("top", graph.Float32, nil, 2)
		}
		s.node("Div", []string{"own", "top"}, "pred_score")
		s.output("anomaly_map", graph.Float32, "n", 1, foreignHeight, foreignWidth)
		s.output("pred_score", graph.Float32, "n", 1)
		var said []string
		d := openDetector(t, s.bytes(t), &Options{SessionOptions: SessionOptions{Provider: Go, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}, Batch: 4})
		info := d.Info()
		told := slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "depends on those beside it") })
		if info.Batch != batch || info.Fixed != together || told != together {
			t.Errorf("together %v: got batches of %d, want %d; said %q", together, info.Batch, batch, said)
		}
		results, err := d.Detect(t.Context(), filled(40), filled(200))
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0].Score; together && math.Abs(float64(got)-1) > formsTol {
			t.Errorf("got a score of %v beside a brighter image, want that of the image alone, 1", got)
		}
	}
}

// filled is an image of one grey level.
func filled(level uint8) image.Image {
	img := image.NewGray(image.Rect(0, 0, foreignWidth, foreignHeight))
	for i := range img.Pix {
		img.Pix[i] = level
	}
	return img
}

// A label that the model gives is its verdict, whatever its score is, unless the
// user has a rule of their own.
func TestForeignLabel(t *testing.T) { each(t, testForeignLabel) }

func testForeignLabel(t *testing.T, provider Provider) {
	model := func() sketch {
		s := newSketch(13)
		s.input("input", graph.Float32, "n", 3, foreignHeight, foreignWidth)
		s.mean("input", "raw", graph.Float32, 1)
		s.node("Clip", []string{"raw", s.weight("zero", graph.Float32, nil, 0), s.weight("one", graph.Float32, nil, 1)}, "anomaly_map")
		s.highest("anomaly_map", "pred_score")
		s.node("Sin", []string{"pred_score"}, "sin") // not to be seen through: above .1 where the score is above .1002
		s.node("Greater", []string{"sin", s.weight("t", graph.Float32, nil, .1)}, "pred_label")
		s.output("pred_score", graph.Float32, "n", 1)
		s.output("pred_label", graph.Bool, "n", 1)
		s.output("anomaly_map", graph.Float32, "n", 1, foreignHeight, foreignWidth)
		return s
	}
	grey := func(v uint8) image.Image { return crop{image.NewUniform(color.Gray{v}), image.Rect(0, 0, 9, 9)} }
	imgs := []image.Image{grey(20), grey(60), grey(200)}
	for _, tt := range []struct {
		name string
		o    Options
		want [3]bool
	}{
		{"its label", Options{}, [3]bool{false, true, true}},
		{"a threshold", Options{Threshold: ptr(.5)}, [3]bool{false, false, true}},
		{"a smallest area", Options{MinArea: 2}, [3]bool{false, false, true}}, // against the map's .5
	} {
		tt.o.Provider = provider
		d := openDetector(t, model().bytes(t), &tt.o)
		if !d.Info().Judges {
			t.Errorf("%s: does not judge", tt.name)
		}
		for i, r := range detect(t, d, imgs...) {
			if r.Anomalous != tt.want[i] {
				t.Errorf("%s: score %v: anomalous: got %v, want %v", tt.name, r.Score, r.Anomalous, tt.want[i])
			}
		}
	}

	s := model() // a label of a score that nothing says the threshold of
	s.Graph.Output = s.Graph.Output[:2]
	s.Graph.Node[1].Input[2] = s.weight("two", graph.Float32, nil, 2)
	d := openDetector(t, s.bytes(t), &Options{SessionOptions: SessionOptions{Provider: provider}})
	if i := d.Info(); !i.Judges || i.Threshold != nil || i.Maps {
		t.Errorf("got %+v, want a verdict without a threshold", i)
	}
	for i, r := range detect(t, d, imgs...) {
		if want := i > 0; r.Anomalous != want || r.Threshold != nil || r.Map != nil {
			t.Errorf("score %v: got %+v, want anomalous %v", r.Score, r, want)
		}
	}
}

func TestForeignErrors(t *testing.T) {
	needProvider(t, CPU)
	const h, w = foreignHeight, foreignWidth
	two := func() sketch {
		s := newSketch(13)
		s.input("input", graph.Float32, "n", 3, h, w)
		s.mean("input", "a", graph.Float32, 1)
		s.mean("input", "b", graph.Float32, 2)
		s.output("a", graph.Float32, "n", 1, h, w)
		s.output("b", graph.Float32, "n", 1, h, w)
		return s
	}
	score := func() sketch {
		s := two()
		s.highest("a", "pred_score")
		s.Graph.Output = nil
		s.output("pred_score", graph.Float32, "n", 1)
		return s
	}
	legacy := func() sketch {
		s := two()
		s.Graph.Node[0].Output[0] = "output"
		s.Graph.Output = s.Graph.Output[:1]
		s.Graph.Output[0].Name = proto.String("output")
		return s
	}
	step := func(steps string) string {
		return `{"image_threshold": 1, "transform": {"transform": {"__class_fullname__": "Compose", "transforms": [` + steps + `]}}}`
	}
	for _, tt := range []struct {
		name    string
		model   func() sketch
		sidecar string
		o       Options
		want    error
		text    string
	}{
		{"two maps", two, "", Options{}, ErrModel, `["a" "b"] could each be the map`},
		{"one output twice", two, "", Options{MapOutput: "a", ReconstructionOutput: "a"}, ErrInput, `"a", which is something else`},
		{"a reconstruction that is a map", two, "", Options{ReconstructionOutput: "a"}, ErrModel, `reconstruction: got output "a" float32[N,1,16,24], want one of the shape of "input" float32[N,3,16,24]`},
		{"a score that is a map", two, "", Options{ScoreOutput: "a"}, ErrModel, `got 6144 scores`},
		{"an area of no map", score, "", Options{MinArea: 2}, ErrInput, `the model gives none`},
		{"an area beyond the map", two, "", Options{MapOutput: "a", MinArea: h*w + 1}, ErrInput, `want at most the map's 384`},
		{"no JSON", legacy, `{"image_threshold": NaN}`, Options{}, ErrModel, `metadata.json of anomalib: invalid`},
		{"an empty range", legacy, `{"image_threshold": 1, "min": 2, "max": 2}`, Options{}, ErrModel, `got scores from 2 to 2`},
		{"a crop", legacy, step(`{"__class_fullname__": "CenterCrop", "height": 16, "width": 24}`), Options{}, ErrModel, `got CenterCrop, want only Resize`},
		{"another size", legacy, step(`{"__class_fullname__": "Resize", "height": 32, "width": 24}`), Options{}, ErrModel, `Resize to 32x24, want the model's 16x24`},
		{"no floats", legacy, step(`{"__class_fullname__": "ToTensorV2"}`), Options{}, ErrModel, `neither Normalize nor ToFloat`},
		{"two means", legacy, step(`{"__class_fullname__": "Normalize", "mean": [1, 2], "std": [1, 1]}`), Options{}, ErrModel, `mean [1 2]`},
		{"a range of zero", legacy, step(`{"__class_fullname__": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "max_pixel_value": 0}`), Options{}, ErrModel, `a range of 0`},
		{"an empty step", legacy, step(`null`), Options{}, ErrModel, `preprocessing: got ,`},
		{"a batch beyond memory", func() sketch {
			s := newSketch(14)
			s.input("input", graph.Float32, 1<<40, 3, "h", "w")
			s.mean("input", "46", graph.Float32, 1)
			s.output("46", graph.Float32, 1<<40, 1, "h", "w")
			return s
		}, "", Options{}, ErrInput, `batch: got 1099511627776 images of 256x256`},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.onnx")
		if err := os.WriteFile(path, tt.model().bytes(t), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.sidecar != "" {
			if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(tt.sidecar), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tt.o.Provider = CPU
		d, err := Open(path, &tt.o)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || d != nil {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
	}
}

// Two classes of each pixel are a map: the share of the second.
func TestTwoClasses(t *testing.T) {
	for _, softmax := range []bool{false, true} {
		each(t, func(t *testing.T, provider Provider) {
			sk := newSketch(13)
			sk.input("input", graph.Float32, "n", 3, 8, 12)
			sk.node("Conv", []string{"input", sk.weight("w", graph.Float32, []int64{2, 3, 1, 1}, 0, 0, 0, 4, 0, 0)}, "logits", "kernel_shape", []int{1, 1})
			out := "logits"
			if softmax {
				sk.node("Softmax", []string{"logits"}, "shares", "axis", 1)
				out = "shares"
			}
			sk.node("Identity", []string{"input"}, "recon")
			sk.node("AveragePool", []string{"input"}, "features", "kernel_shape", []int{2, 2}, "strides", []int{2, 2})
			sk.output("recon", graph.Float32, "n", 3, 8, 12)
			sk.output(out, graph.Float32, "n", 2, 8, 12)
			sk.output("features", graph.Float32, "n", 3, 4, 6)
			var said []string
			d := openDetector(t, sk.bytes(t), &Options{SessionOptions: SessionOptions{Provider: provider, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}})
			img := image.NewRGBA(image.Rect(0, 0, 12, 8))
			img.Set(3, 2, color.RGBA{255, 0, 0, 255})
			r := detect(t, d, img)[0]
			want := float32(1 / (1 + math.Exp(-4)))
			if got := r.Map.Data[2*12+3]; math.Abs(float64(got-want)) > 1e-6 || r.Map.Data[0] != .5 || r.Score != got {
				t.Errorf("got %v and %v, score %v, want %v and .5", got, r.Map.Data[0], r.Score, want)
			}
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, `not used: ["features"]`) }) {
				t.Errorf("said %q", said)
			}
			if i, err := Inspect(sk.bytes(t)); err != nil || !slices.Equal(i.Unused, []string{"features"}) || i.Kind != KindDetector {
				t.Errorf("got %+v, %v", i, err)
			}
		})
	}
}
