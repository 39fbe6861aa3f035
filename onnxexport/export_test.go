package onnxexport

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
)

func TestMetadata(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name     string
		channels int
		o        *Options
		want     map[string]string
	}{
		{"defaults", 3, nil, map[string]string{
			"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "NominalRange_0_255", "Image.ColorSpaceGamma": "SRGB",
			"anomaly.schema": "1", "anomaly.profile": "detector",
			"anomaly.map": "ssim", "anomaly.map.window": "11", "anomaly.map.sigma": "1.5", "anomaly.map.blur": "0",
		}},
		{"grey floats", 1, &Options{
			Input: FloatNCHW, Map: residual.Options{Kind: residual.L2Map, Blur: 2.5},
			Threshold: .1, PixelThreshold: nan, Metadata: map[string]string{"model": "conv", "train.hash": "é"},
		}, map[string]string{
			"Image.BitmapPixelFormat": "Gray8", "Image.NominalPixelRange": "Normalized_0_1", "Image.ColorSpaceGamma": "SRGB",
			"anomaly.schema": "1", "anomaly.profile": "detector", "anomaly.map": "l2", "anomaly.map.blur": "2.5",
			"anomaly.threshold": "0.1", "anomaly.model": "conv", "anomaly.train.hash": "é",
		}},
		{"reconstruction", 1, &Options{Profile: Reconstruction, Threshold: 1}, map[string]string{
			"Image.BitmapPixelFormat": "Gray8", "Image.NominalPixelRange": "NominalRange_0_255", "Image.ColorSpaceGamma": "SRGB",
			"anomaly.schema": "1", "anomaly.profile": "reconstruction",
		}},
		{"anomalib", 1, &Options{Profile: Anomalib, Threshold: .5}, map[string]string{
			"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "Normalized_0_1", "Image.ColorSpaceGamma": "SRGB",
			"anomaly.schema": "1", "anomaly.profile": "anomalib", "anomaly.threshold": "0.5", "anomaly.pixel_threshold": "0.5",
			"anomaly.map": "ssim", "anomaly.map.window": "11", "anomaly.map.sigma": "1.5", "anomaly.map.blur": "0",
		}},
	} {
		net := conv{c.channels, 4, 6}
		if d := cmp.Diff(c.want, build(t, net, net.weights(), c.o).Metadata); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestThresholds(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct{ image, pixel, wantImage, wantPixel float32 }{
		{0, 0, inf, inf},
		{nan, 0, inf, inf},
		{.3, 0, .3, .3},
		{.3, nan, .3, inf},
		{0, .25, inf, .25},
		{1e-7, 16777216, 1e-7, 16777216},
		{-1, math.MaxFloat32, -1, math.MaxFloat32},
	} {
		net := conv{1, 4, 6}
		m := build(t, net, net.weights(), &Options{Threshold: c.image, PixelThreshold: c.pixel})
		for key, want := range map[string]float32{"threshold": c.wantImage, "pixel_threshold": c.wantPixel} {
			if got := graph.Data[float32](m.Weights[key]); len(got) != 1 || got[0] != want {
				t.Errorf("%v: %s: got %v, want [%v]", c, key, got, want)
			}
			text, ok := m.Metadata["anomaly."+key]
			if got, err := strconv.ParseFloat(text, 32); ok && (err != nil || float32(got) != want) || ok != (want != inf) {
				t.Errorf("%v: metadata %s: got %q, want %v", c, key, text, want)
			}
		}
	}
}

// Changing the thresholds of a file gives the file that an export with them gives.
func TestSetThresholds(t *testing.T) {
	net, nan := conv{3, 4, 6}, float32(math.NaN())
	for profile, pairs := range map[Profile][][2]float32{
		Detector: {{.5, .25}, {nan, nan}, {.125, nan}},
		Anomalib: {{.5, .25}, {.125, 1}},
	} {
		file := func(pair [2]float32) []byte {
			return marshal(t, build(t, net, net.weights(), &Options{Profile: profile, Threshold: pair[0], PixelThreshold: pair[1]}))
		}
		for _, from := range pairs {
			for _, to := range pairs {
				m, err := parse(file(from))
				if err != nil {
					t.Fatal(err)
				}
				if err := m.SetThresholds(to[0], to[1]); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(marshal(t, m), file(to)) {
					t.Errorf("profile %v, %v to %v: differs from an export with those", profile, from, to)
				}
			}
		}
	}
	if err := build(t, net, net.weights(), &Options{Profile: Anomalib, Threshold: 1}).SetThresholds(1, nan); !errors.Is(err, ErrOption) {
		t.Errorf("profile anomalib: got %v, want an error", err)
	}
	m := build(t, net, net.weights(), &Options{Profile: Reconstruction})
	if err := m.SetThresholds(1, 1); !errors.Is(err, ErrModel) {
		t.Errorf("profile reconstruction: got %v, want an error", err)
	}
}

// bad is a network whose reconstruction does not fit its images.
type bad struct{ conv }

func (b bad) Forward(x *graph.Value) models.Outputs {
	return models.Outputs{Reconstruction: graph.SliceAxis(x, 3, 1, 4, 1)}
}

func TestBuildErrors(t *testing.T) {
	net := conv{3, 4, 6}
	few := net.weights()
	delete(few, "conv.bias")
	meta := func(key, value string) *Options { return &Options{Metadata: map[string]string{key: value}} }
	for _, c := range []struct {
		name    string
		net     Network
		weights map[string]*graph.Tensor
		o       *Options
		want    string
	}{
		{"profile", net, net.weights(), &Options{Profile: "classifier"}, `profile: got "classifier", want "detector", "reconstruction" or "anomalib"`},
		{"anomalib without threshold", net, net.weights(), &Options{Profile: Anomalib}, "onnxexport: option: threshold: got none, want a number: profile anomalib shows scores by it"},
		{"anomalib without pixel threshold", net, net.weights(), &Options{Profile: Anomalib, Threshold: .5, PixelThreshold: float32(math.NaN())},
			"onnxexport: option: pixel_threshold: got none"},
		{"anomalib of bytes", net, net.weights(), &Options{Profile: Anomalib, Threshold: .5, Input: Uint8NHWC}, `input: got "uint8", want none: profile anomalib has its own`},
		{"input", net, net.weights(), &Options{Input: "float16"}, `input: got "float16", want "uint8" or "float"`},
		{"map", net, net.weights(), &Options{Map: residual.Options{Kind: "psnr"}}, `map: got "psnr"`},
		{"channels", conv{2, 4, 6}, net.weights(), nil, "got images of 2 channels, 4x6, want 1 or 3 channels"},
		{"size", conv{1, 4, 0}, net.weights(), nil, "got images of 1 channels, 4x0"},
		{"weights missing", net, few, nil, `parameter "conv.bias": got no weight, want float32[3]`},
		{"no weights", net, nil, nil, `parameter "conv.weight": got no weight`},
		{"weights of another network", net, conv{1, 4, 6}.weights(), nil, "weight \"conv.bias\": got float32[1], want float32[3]"},
		{"reconstruction", bad{net}, nil, nil, "got a reconstruction float32[N,3,4,3] of float32[N,3,4,6], want the same type"},
		{"threshold", net, net.weights(), &Options{Threshold: float32(math.Inf(1))}, "onnxexport: option: threshold: got +Inf, want a finite number"},
		{"key", net, net.weights(), meta("Train Hash", "x"), `metadata: got key "Train Hash"`},
		{"empty key", net, net.weights(), meta("", "x"), `metadata: got key ""`},
		{"dots", net, net.weights(), meta("a..b", "x"), `metadata: got key "a..b"`},
		{"own key", net, net.weights(), meta("schema", "2"), `metadata "schema": the file has its own`},
		{"threshold key", net, net.weights(), meta("threshold", "2"), `metadata "threshold": the file has its own`},
		{"value", net, net.weights(), meta("a", "\xff"), `metadata "a": want UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Build(c.net, c.weights, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if invalid := c.o.Validate() != nil; invalid != errors.Is(err, ErrOption) || invalid == errors.Is(err, ErrModel) {
				t.Errorf("got %v, want it to wrap ErrOption if the options are wrong, else ErrModel", err)
			}
		})
	}
}

func TestBuildLeavesItsArgumentsAlone(t *testing.T) {
	net := conv{1, 4, 6}
	weights, o := net.weights(), &Options{Metadata: map[string]string{"a": "b"}}
	build(t, net, weights, o)
	if len(weights) != 2 || len(o.Metadata) != 1 || o.Map.Kind != "" {
		t.Errorf("got %d weights, options %+v", len(weights), o)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteReportsTheWriter(t *testing.T) {
	net, full := conv{1, 4, 6}, fmt.Errorf("disk full")
	if err := Write(failingWriter{full}, net, net.weights(), nil); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}
