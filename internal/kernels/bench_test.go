package kernels_test

import (
	"fmt"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/internal/lower"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

// The detector graph, on this package and on ONNX Runtime, side by side.
func BenchmarkDetector(b *testing.B) {
	file := kernels.DetectorFile(b)
	for _, n := range []int{1, 16} {
		in := map[string]*graph.Tensor{"input": kernels.Pixels(n)}
		for _, set := range kernels.InstructionSets() {
			b.Run(fmt.Sprintf("batch=%d/%s", n, set.Name()), func(b *testing.B) {
				m := kernels.ModelFor(b, file, n)
				p, err := kernels.Compile(m.Graph, nil, kernels.Verdict, kernels.On(set, 2))
				if err != nil {
					b.Fatal(err)
				}
				run(b, p, in, n, len(kernels.Verdict))
			})
		}
		b.Run(fmt.Sprintf("batch=%d/onnxruntime", n), func(b *testing.B) { runORT(b, file, in, n, 2, kernels.Verdict...) })
	}
}

func run(b *testing.B, p *kernels.Plan, in map[string]*graph.Tensor, n, outputs int) {
	s := p.NewState()
	out := make([]*graph.Tensor, outputs)
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
	net := kernels.Network(b)
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
		in := map[string]*graph.Tensor{"input": kernels.Pixels(1)}
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
				p, err := kernels.Compile(g, nil, nil, &kernels.Options{Threads: 1})
				if err != nil {
					b.Fatal(err)
				}
				run(b, p, in, 1, len(g.Outputs()))
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
