package conformance

import (
	"fmt"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

// The images of own models: not square, so that no two dimensions can be confused.
const ownBatch, ownHeight, ownWidth, ownFilters = 3, 32, 48, 8

// ownTests are the models that package onnxexport writes: of each network, in each
// profile, with each map and kind of input, of colour and grey images. Weights are
// untrained; the golden outputs are those of the same graph in float64.
func ownTests(t *testing.T, _ *manifest) []test {
	var tests []test
	add := func(title string, spec models.Spec, o onnxexport.Options, height, width int) {
		spec.Height, spec.Width, spec.Filters = ownHeight, ownWidth, ownFilters
		tests = append(tests, ownTest(t, "own/"+title, spec, o, height, width))
	}
	for _, network := range models.Names() {
		if network == "features" {
			continue // its weights come from a backbone and a fit: package models tests it
		}
		for _, channels := range []int{3, 1} {
			spec := models.Spec{Model: network, Channels: channels}
			name := network + "/" + map[int]string{3: "rgb", 1: "grey"}[channels]
			for _, input := range []onnxexport.InputKind{onnxexport.Uint8NHWC, onnxexport.FloatNCHW} {
				for _, profile := range []onnxexport.Profile{onnxexport.Reconstruction, onnxexport.Detector} {
					add(fmt.Sprintf("%s/%s/%s", name, input, profile), spec, onnxexport.Options{Profile: profile, Input: input}, ownHeight, ownWidth)
				}
			}
			add(name+"/anomalib", spec, onnxexport.Options{Profile: onnxexport.Anomalib}, ownHeight, ownWidth)
			add(name+"/anomalib/resized", spec, onnxexport.Options{Profile: onnxexport.Anomalib}, 2*ownHeight+9, ownWidth-7)
		}
	}
	for _, kind := range residual.Kinds() {
		for _, blur := range []float64{0, 1.5} {
			o := onnxexport.Options{Map: residual.Options{Kind: kind, Blur: blur}}
			add(fmt.Sprintf("map/%s/blur=%g", kind, blur), models.Spec{}, o, ownHeight, ownWidth)
		}
	}
	return tests
}

// ownTest is a test of a model on images of the given size.
func ownTest(t *testing.T, title string, spec models.Spec, o onnxexport.Options, height, width int) *modelTest {
	channels, modelHeight, modelWidth := spec.InputSize()
	layout := o.Input
	if o.Profile == onnxexport.Anomalib {
		channels, layout = 3, onnxexport.FloatNCHW
	}
	c := &modelTest{title: title, images: pixels(layout, channels, height, width), tol: ownTol}
	if o.Profile.Judges() {
		// Thresholds between the raw scores, so that there are labels of both kinds.
		raw := onnxexport.Options{Map: o.Map}
		scores := numbers(evaluated(t, spec, raw, pixels(raw.Input, spec.WithDefaults().Channels, modelHeight, modelWidth))["pred_score"])
		o.Threshold = float32(scores[0]+scores[1]) / 2
		o.PixelThreshold = o.Threshold / 2
		c.labels = []label{{"pred_label", "pred_score", float64(o.Threshold)}, {"pred_mask", "anomaly_map", float64(o.PixelThreshold)}}
	}
	if o.Profile == onnxexport.Anomalib { // where scores and residuals are normalised
		c.labels = []label{{"pred_label", "pred_score", .5}, {"pred_mask", "anomaly_map", .5}}
	}
	c.golden = evaluated(t, spec, o, c.images)
	b, err := onnxexport.Marshal(built(t, spec, o))
	if err != nil {
		t.Fatal(err)
	}
	c.open = func(o *runtime.SessionOptions) (*runtime.Session, error) { return runtime.OpenSession(b, o) }
	return c
}

func built(t *testing.T, spec models.Spec, o onnxexport.Options) *onnxexport.Model {
	net, err := models.Open(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Build(net, net.Init(1), &o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// evaluated returns a model's outputs as float64 arithmetic has them, rounded to float32.
func evaluated(t *testing.T, spec models.Spec, o onnxexport.Options, images *graph.Tensor) map[string]*graph.Tensor {
	m := built(t, spec, o)
	feeds := map[string]*graph.Tensor{"input": images}
	for name, w := range m.Weights {
		feeds[name] = w
	}
	values, err := ref.Eval[float64](t.Context(), m.Graph, feeds)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*graph.Tensor{}
	for i, v := range m.Graph.Outputs() {
		out[v.Name()] = single(values[i])
	}
	return out
}

// single rounds a float64 tensor to float32, and returns others as they are.
func single(t *graph.Tensor) *graph.Tensor {
	data, ok := t.Raw().([]float64)
	if !ok {
		return t
	}
	rounded := make([]float32, len(data))
	for i, x := range data {
		rounded[i] = float32(x)
	}
	return graph.NewTensor(rounded, t.Shape()...)
}

// pixels draws a batch of images, of stripes and noise from integer arithmetic.
func pixels(input onnxexport.InputKind, channels, height, width int) *graph.Tensor {
	nchw := input == onnxexport.FloatNCHW
	bytes := make([]uint8, ownBatch*height*width*channels)
	state := uint32(1)
	for n := range ownBatch {
		for y := range height {
			for x := range width {
				for c := range channels {
					state = state*1664525 + 1013904223
					v := (x*(n+2) + y*(c+3)) * 5 % 200
					i := ((n*height+y)*width+x)*channels + c
					if nchw {
						i = ((n*channels+c)*height+y)*width + x
					}
					bytes[i] = uint8(v) + uint8(state>>27)
				}
			}
		}
	}
	if !nchw {
		return graph.NewTensor(bytes, ownBatch, height, width, channels)
	}
	floats := make([]float32, len(bytes))
	for i, b := range bytes {
		floats[i] = float32(b) / 255
	}
	return graph.NewTensor(floats, ownBatch, channels, height, width)
}
