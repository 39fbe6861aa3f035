package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/lower"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

func network(b testing.TB) models.Trainable {
	net, err := models.Open(models.Spec{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return net.(models.Trainable)
}

// detector is the file of a detector of 128×128 pixels.
func detector(b testing.TB) []byte {
	net := network(b)
	m, err := onnxexport.Build(net, net.Init(1), nil)
	if err != nil {
		b.Fatal(err)
	}
	f, err := onnxexport.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// modelFor is a detector's graph for a batch.
func modelFor(b testing.TB, file []byte, n int) *onnx.Model {
	f, err := onnx.Read(file)
	if err != nil {
		b.Fatal(err)
	}
	s, err := f.Source()
	if err != nil {
		b.Fatal(err)
	}
	m, err := s.For(map[string][]int{"input": {n, 128, 128, 3}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func pixels(n int) *graph.Tensor {
	rng := rand.New(rand.NewPCG(1, 2))
	x := graph.Zeros(graph.Uint8, n, 128, 128, 3)
	for i := range graph.Data[uint8](x) {
		graph.Data[uint8](x)[i] = uint8(rng.UintN(256))
	}
	return x
}

var verdict = []string{"anomaly_map", "pred_score"}

// The detector graph, on this package and on ONNX Runtime, side by side.
func BenchmarkDetector(b *testing.B) {
	file := detector(b)
	for _, n := range []int{1, 16} {
		in := map[string]*graph.Tensor{"input": pixels(n)}
		for _, set := range instructionSets() {
			b.Run(fmt.Sprintf("batch=%d/%s", n, set.name), func(b *testing.B) {
				m := modelFor(b, file, n)
				p, err := Compile(m.Graph, nil, verdict, &Options{Threads: 2, isa: set})
				if err != nil {
					b.Fatal(err)
				}
				run(b, p, in, n)
			})
		}
		b.Run(fmt.Sprintf("batch=%d/onnxruntime", n), func(b *testing.B) { runORT(b, file, in, n, 2, verdict...) })
	}
}

func run(b *testing.B, p *Plan, in map[string]*graph.Tensor, n int) {
	s := p.NewState()
	out := make([]*graph.Tensor, len(p.outputs))
	if err := s.Run(b.Context(), in, out); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Run(b.Context(), in, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*n), "ms/image")
	b.ReportMetric(float64(p.Bytes())/1e6, "MB")
}

func runORT(b *testing.B, file []byte, in map[string]*graph.Tensor, n, threads int, outputs ...string) {
	s, err := runtime.OpenSession(file, &runtime.SessionOptions{Provider: runtime.CPU, Threads: threads}, outputs...)
	if err != nil {
		b.Skip(err)
	}
	defer s.Close()
	out, err := s.Run(b.Context(), in)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.RunInto(b.Context(), in, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*n), "ms/image")
}

// The gradients of one image on one thread, as training computes them.
func BenchmarkStep(b *testing.B) {
	net := network(b)
	weights := net.Init(1)
	for _, name := range []string{"mse", "ssim"} {
		loss := func(g *graph.Graph) {
			l, err := residual.ParseLoss(name)
			if err != nil {
				b.Fatal(err)
			}
			x := onnxexport.Pixels(g.Input("input", graph.Uint8, 1, 128, 128, 3))
			g.Output("loss", net.Loss(x, x, l))
		}
		in := map[string]*graph.Tensor{"input": pixels(1)}
		for name, w := range weights {
			in[name] = w
		}
		for form, how := range map[string]graph.ConvWeightGrad{"conv": graph.ByConv, "shift": graph.ByShift} {
			g := graph.New("step")
			loss(g)
			if _, err := lower.Plain(g, how, nil); err != nil {
				b.Fatal(err)
			}
			b.Run(name+"/"+form, func(b *testing.B) {
				p, err := Compile(g, nil, nil, &Options{Threads: 1})
				if err != nil {
					b.Fatal(err)
				}
				run(b, p, in, 1)
			})
		}
		b.Run(name+"/onnxruntime", func(b *testing.B) {
			g := graph.New("step")
			loss(g)
			step, err := lower.CPU(g, 16, nil)
			if err != nil {
				b.Fatal(err)
			}
			file, err := onnxexport.Marshal(&onnxexport.Model{Graph: step.Graph})
			if err != nil {
				b.Fatal(err)
			}
			packed := step.Pack(weights)
			packed["input"] = in["input"]
			runORT(b, file, packed, 1, 1)
		})
	}
}
