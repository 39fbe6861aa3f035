//go:build unix

package kernels_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/internal/lower"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

var threads = flag.Int("threads", 2, "that compute one run, on both sides")

// The detector graph, on this package and on ONNX Runtime, side by side.
func BenchmarkDetector(b *testing.B) {
	file := kernels.DetectorFile(b)
	for _, n := range []int{1, 16} {
		in := map[string]*graph.Tensor{"input": kernels.Pixels(n)}
		for _, set := range kernels.InstructionSets() {
			b.Run(fmt.Sprintf("batch=%d/%s", n, set.Name()), func(b *testing.B) {
				m := kernels.ModelFor(b, file, n)
				p, err := kernels.Compile(m.Graph, nil, kernels.Verdict, kernels.On(set, *threads))
				if err != nil {
					b.Fatal(err)
				}
				run(b, p, in, n, len(kernels.Verdict))
			})
		}
		b.Run(fmt.Sprintf("batch=%d/onnxruntime", n), func(b *testing.B) { runORT(b, file, in, n, *threads, kernels.Verdict...) })
	}
}

// processor returns how many milliseconds of all cores the process has used.
func processor(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// measure runs f, for n images each time, and reports beside the time what it
// took of the cores: where others use them too, that alone can be compared.
func measure(b *testing.B, n int, f func() error) {
	if err := f(); err != nil {
		b.Fatal(err)
	}
	began := processor(b)
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((processor(b)-began)/float64(b.N*n), "cpu-ms/image")
	b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*n), "ms/image")
}

func run(b *testing.B, p *kernels.Plan, in map[string]*graph.Tensor, n, outputs int) {
	s := p.NewState()
	out := make([]*graph.Tensor, outputs)
	b.ReportAllocs()
	measure(b, n, func() error { return s.Run(b.Context(), in, out) })
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
	measure(b, n, func() error { return s.RunInto(b.Context(), in, out) })
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

// The features of one image of 256×256 pixels: EfficientNet-Lite0's first blocks
// with random weights, and a product with a matrix for each place of the smallest map.
func BenchmarkFeatures(b *testing.B) {
	g := graph.New("features")
	rng := rand.New(rand.NewPCG(1, 2))
	x := onnxexport.Pixels(g.Input("input", graph.Uint8, 1, 256, 256, 3))
	taps := models.Lite0.Taps()
	for i, f := range models.Lite0.Features(x, taps) {
		if i == len(taps)-1 {
			c, places := f.Dim(1), f.Dim(2)*f.Dim(3)
			rows := graph.Transpose(graph.Reshape(f, 1, c, places), 2, 0, 1)
			f = graph.ReduceSum(graph.Mul(graph.MatMul(rows, g.Param("precision", places, c, c)), rows), false, 2)
		}
		g.Output(fmt.Sprint("f", i), f)
	}
	weights := map[string]*graph.Tensor{}
	for _, p := range g.Params() {
		w := graph.Zeros(graph.Float32, p.Shape...)
		d := graph.Data[float32](w)
		for i := range d {
			d[i] = float32(rng.NormFloat64() * math.Sqrt(2*float64(p.Shape[0])/float64(len(d))))
		}
		weights[p.Name()] = w
	}
	file, err := onnxexport.Marshal(&onnxexport.Model{Graph: g, Weights: weights})
	if err != nil {
		b.Fatal(err)
	}
	in := map[string]*graph.Tensor{"input": kernels.Pixels(4).Reshape(1, 256, 256, 3)}
	var names []string
	for _, v := range g.Outputs() {
		names = append(names, v.Name())
	}
	for _, set := range kernels.InstructionSets() {
		b.Run(set.Name(), func(b *testing.B) {
			p, err := kernels.Compile(g, weights, nil, kernels.On(set, *threads))
			if err != nil {
				b.Fatal(err)
			}
			run(b, p, in, 1, len(names))
		})
	}
	b.Run("onnxruntime", func(b *testing.B) { runORT(b, file, in, 1, *threads, names...) })
}
