package onnxexport

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/residual"
)

// TestAnomalibOutputs: names, order and types as anomalib's inferencer wants them.
func TestAnomalibOutputs(t *testing.T) {
	for _, channels := range []int{1, 3} {
		net := conv{channels, 17, 13}
		m := build(t, net, net.weights(), &Options{Profile: Anomalib, Threshold: .5})
		var got []string
		for _, v := range append(slices.Clone(m.Graph.Inputs()), m.Graph.Outputs()...) {
			got = append(got, v.Name()+" "+v.Type.String())
		}
		want := []string{"input float32[N,3,N,N]", "pred_score float32[N]", "pred_label bool[N]", "anomaly_map float32[N,1,17,13]", "pred_mask bool[N,1,17,13]"}
		if !slices.Equal(got, want) {
			t.Errorf("%d channels: got %q, want %q", channels, got, want)
		}
	}
}

// TestNormalized: 0.5 is the threshold, to the last bit; above it scores keep their order.
func TestNormalized(t *testing.T) {
	for _, kind := range residual.Kinds() {
		o := &residual.Options{Kind: kind}
		for _, threshold := range []float32{1e-6, .1, .3, float32(o.Top()) / 2, .9, 3} {
			g := graph.New("")
			x, at := g.Input("x", graph.Float32, graph.Dynamic), g.Input("at", graph.Float32, 1)
			label := graph.Greater(x, at)
			g.Output("y", normalized(x, at, label, o.Top()))
			up := math.Nextafter32(threshold, 9)
			raw := []float32{0, threshold / 2, math.Nextafter32(threshold, 0), threshold, up, math.Nextafter32(up, 9)}
			for i := range 65 {
				raw = append(raw, float32(i)/64*float32(o.Top()))
			}
			slices.Sort(raw)
			out, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{
				"x": graph.NewTensor(raw, len(raw)), "at": graph.NewTensor([]float32{threshold}, 1),
			})
			if err != nil {
				t.Fatal(err)
			}
			got := graph.Data[float32](out[0])
			for i, y := range got {
				switch {
				case y != Normalize(raw[i], threshold, o):
					t.Errorf("%s %v: %v: got %v, Normalize gives %v", kind, threshold, raw[i], y, Normalize(raw[i], threshold, o))
				case (y > .5) != (raw[i] > threshold):
					t.Errorf("%s %v: %v: got %v, on the other side of 0.5", kind, threshold, raw[i], y)
				case y < 0 || y > 1 || raw[i] == threshold && y != .5:
					t.Errorf("%s %v: %v: got %v", kind, threshold, raw[i], y)
				case i > 0 && y < got[i-1], i > 0 && raw[i]-raw[i-1] > 1e-3 && y == got[i-1]:
					t.Errorf("%s %v: got %v for %v, %v for %v", kind, threshold, got[i-1], raw[i-1], y, raw[i])
				}
			}
		}
	}
}

// wayTolerance is how far normalised maps may differ by the way in which their
// filters are written, in float64: at borders, matrices hold sums of taps, rounded
// to float32 once more, and SSIM's quotient magnifies that in flat areas.
const wayTolerance = 1e-5

// TestAnomalibIsDetector: scores, maps and verdicts are those of profile detector.
func TestAnomalibIsDetector(t *testing.T) {
	for _, channels := range []int{1, 3} {
		net := conv{channels, 17, 13}
		detector := build(t, net, net.weights(), nil)
		bytes := images(detector.Graph.Inputs()[0], 3)
		pixels := graph.Zeros(graph.Float32, 3, 3, 17, 13)
		for i := range pixels.Len() {
			at := i/(3*17*13)*17*13 + i%(17*13)
			level := graph.Data[uint8](bytes)[at*channels+i/(17*13)%3%channels]
			graph.Data[float32](pixels)[i] = float32(level) / 255
		}
		eval := func(m *Model, in *graph.Tensor) map[string]*graph.Tensor {
			feeds := maps.Clone(m.Weights)
			feeds["input"] = in
			out, err := ref.Eval[float64](context.Background(), m.Graph, feeds)
			if err != nil {
				t.Fatal(err)
			}
			named := map[string]*graph.Tensor{}
			for i, v := range m.Graph.Outputs() {
				named[v.Name()] = out[i]
			}
			return named
		}
		// The thresholds lie in the midst of what there is.
		median := func(x *graph.Tensor) float32 {
			sorted := slices.Sorted(slices.Values(graph.Data[float64](x)))
			return float32(sorted[x.Len()/2]+sorted[x.Len()/2-1]) / 2
		}
		want := eval(detector, bytes)
		o := Options{Threshold: median(want["pred_score"]), PixelThreshold: median(want["anomaly_map"])}
		want = eval(build(t, net, net.weights(), &o), bytes)
		o.Profile = Anomalib
		got := eval(build(t, net, net.weights(), &o), pixels)
		for name, threshold := range map[string]float32{"pred_score": o.Threshold, "anomaly_map": o.PixelThreshold} {
			for i, raw := range graph.Data[float64](want[name]) {
				y, normal := graph.Data[float64](got[name])[i], Normalize(float32(raw), threshold, &o.Map)
				if !(math.Abs(y-float64(normal)) <= wayTolerance) {
					t.Errorf("%s %d: got %v for %v, want %v", name, i, y, raw, normal)
					break
				}
			}
		}
		for _, name := range []string{"pred_label", "pred_mask"} {
			labels := graph.Data[bool](want[name])
			if !slices.Equal(graph.Data[bool](got[name]), labels) || !slices.Contains(labels, true) || !slices.Contains(labels, false) {
				t.Errorf("%s: got %v, want %v, of both kinds", name, graph.Data[bool](got[name]), labels)
			}
		}
	}
}
