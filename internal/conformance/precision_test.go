package conformance

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/klauspost/cpuid/v2"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/runtime"
)

// What reconstructions of a network of some ten layers, in [0,1], may lose to a
// precision, and how far providers may be apart in it: they round sums of float32, and
// what is near the middle of two numbers of 8 bits, otherwise.
var precisionTols = map[onnxexport.Precision]struct{ lost, apart tolerance }{
	onnxexport.Float16: {tolerance{abs: 4e-3}, tolerance{abs: 4e-3}}, // float16 has 11 bits; go computes in float32
	onnxexport.Int8:    {tolerance{abs: .06}, tolerance{abs: .05}},
}

// saturation is how far provider cpu is off besides in int8 on x86 processors without
// VNNI: there it adds products in pairs of 16 bits, which are held in their range. With
// weights of 7 bits the same networks were as on go to 1e-7.
const saturation = .05

func saturates(provider runtime.Provider, p onnxexport.Precision) bool {
	return provider == runtime.CPU && p == onnxexport.Int8 && goruntime.GOARCH == "amd64" && !cpuid.CPU.Has(cpuid.AVX512VNNI) && !cpuid.CPU.Has(cpuid.AVXVNNI)
}

// TestPrecisions runs networks that are written in less than float32.
func TestPrecisions(t *testing.T) {
	providers := []runtime.Provider{runtime.Go, runtime.CPU, runtime.OpenVINO}
	if *providerFlag != "" {
		providers = []runtime.Provider{runtime.Provider(*providerFlag)}
	}
	for _, provider := range providers {
		t.Run(string(provider), func(t *testing.T) {
			// OpenVINO's library is another than that of cpu, of which a process has one.
			for _, a := range runtime.Diagnose(&runtime.SessionOptions{Provider: provider}).Providers {
				if a.Provider == provider && a.Problem != "" {
					if *providerFlag != "" {
						t.Fatalf("%s cannot be used: %s", provider, a.Problem)
					}
					t.Skipf("%s cannot be used: %s (make conformance PROVIDER=%[1]s tries it alone)", provider, a.Problem)
				}
			}
			for _, network := range models.Names() {
				if network == "features" {
					continue // its weights come from a backbone and a fit
				}
				spec := models.Spec{Model: network, Height: ownHeight, Width: ownWidth, Filters: ownFilters}
				for _, input := range []onnxexport.InputKind{onnxexport.Uint8NHWC, onnxexport.FloatNCHW} {
					for p, tol := range precisionTols {
						if saturates(provider, p) {
							tol.lost.abs += saturation
							tol.apart.abs += saturation
						}
						t.Run(fmt.Sprintf("%s/%s/%s", network, input, p), func(t *testing.T) {
							precisionTest(t, spec, onnxexport.Options{Profile: onnxexport.Reconstruction, Input: input}, provider, p, tol.lost, tol.apart)
						})
					}
				}
			}
		})
	}
}

func precisionTest(t *testing.T, spec models.Spec, o onnxexport.Options, provider runtime.Provider, p onnxexport.Precision, lost, apart tolerance) {
	images := pixels(o.Input, 3, ownHeight, ownWidth)
	m := built(t, spec, o)
	var q *onnxexport.Quantization
	if p == onnxexport.Int8 {
		q = ranges(t, m, images)
	}
	if err := m.SetPrecision(p, q); err != nil {
		t.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[runtime.Provider]*graph.Tensor{}
	for _, on := range slices.Compact([]runtime.Provider{runtime.Go, provider}) {
		s, err := runtime.OpenSession(b, &runtime.SessionOptions{Provider: on, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		out, err := run(t.Context(), s, images)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		outputs[on] = out["reconstruction"]
	}
	whole := evaluated(t, spec, o, images)["reconstruction"]
	d, err := compare(outputs[provider], whole, lost)
	if err != nil {
		t.Errorf("beside float32: %v", err)
	}
	if d.Max == 0 {
		t.Error("beside float32: got no difference")
	}
	between, err := compare(outputs[provider], outputs[runtime.Go], apart)
	if err != nil {
		t.Errorf("beside %s: %v", runtime.Go, err)
	}
	t.Logf("lost %.2g, beside %s %.2g", d.Max, runtime.Go, between.Max)
}

// ranges returns what a model's convolutions read of images.
func ranges(t *testing.T, m *onnxexport.Model, images *graph.Tensor) *onnxexport.Quantization {
	feeds := map[string]*graph.Tensor{"input": images}
	for name, w := range m.Weights {
		feeds[name] = w
	}
	q := &onnxexport.Quantization{Rule: "range", Images: ownBatch}
	for _, name := range m.Quantized() {
		values, err := ref.Eval[float32](t.Context(), m.Graph, feeds, m.Graph.Lookup(name))
		if err != nil {
			t.Fatal(err)
		}
		all := graph.Data[float32](values[0])
		q.Ranges = append(q.Ranges, onnxexport.Range{Low: slices.Min(all), High: slices.Max(all)})
	}
	return q
}
