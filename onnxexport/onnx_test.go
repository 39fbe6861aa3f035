package onnxexport

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
)

// How far ONNX Runtime's float32 results may be from our evaluation in float64,
// absolutely, as maps and images are of the order of 1.
const (
	// Sums of some hundred products of the order of 1, in up to a dozen layers: some
	// thirty times float32's 6e-8.
	floatTolerance = 2e-6
	// SSIM subtracts means of squares near 1 and divides by what may be as
	// little as K2² = 9e-4: the same error, a thousand times as large.
	ssimTolerance = 1e-3
)

// tolerance returns what applies to an output.
func tolerance(m *Model, output string) float64 {
	if kind := m.Metadata["anomaly.map"]; output == "reconstruction" || kind != "" && !strings.HasPrefix(kind, string(residual.SSIMMap)) {
		return floatTolerance
	}
	return ssimTolerance
}

// conv is a network small enough to check by hand, for images of any size: one
// 3×3 convolution and a sigmoid.
type conv struct{ channels, height, width int }

func (c conv) InputSize() (int, int, int) { return c.channels, c.height, c.width }

func (c conv) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Sigmoid(graph.Conv(x, g.Param("conv.weight", c.channels, c.channels, 3, 3), g.Param("conv.bias", c.channels), graph.Same(3)))}
}

// weights returns multiples of 1/64 in [-1,1): equal on every machine.
func (c conv) weights() map[string]*graph.Tensor {
	fill := func(shape ...int) *graph.Tensor {
		d := make([]float32, graph.Elements(shape))
		for i := range d {
			d[i] = float32(i*37%128-64) / 64
		}
		return graph.NewTensor(d, shape...)
	}
	return map[string]*graph.Tensor{"conv.weight": fill(c.channels, c.channels, 3, 3), "conv.bias": fill(c.channels)}
}

// A runCase is a model and the inputs of its runs.
type runCase struct {
	name  string
	model *Model
	runs  []map[string]*graph.Tensor
}

// images returns n images in the layout of a graph's input: noise, and every
// second one nearly flat, where SSIM loses most digits. Where the graph leaves the
// size open it is size.
func images(v *graph.Value, n int, size ...int) *graph.Tensor {
	shape := slices.Clone(v.Shape)
	shape[0] = n
	for i, d := range shape {
		if d == graph.Dynamic {
			shape[i], size = size[0], size[1:]
		}
	}
	t := graph.Zeros(v.DType, shape...)
	rng := rand.New(rand.NewPCG(1, uint64(t.Len())))
	level := func(i int) int {
		if i*n/t.Len()%2 == 1 {
			return 200 + rng.IntN(2)
		}
		return rng.IntN(256)
	}
	switch d := t.Raw().(type) {
	case []uint8:
		for i := range d {
			d[i] = uint8(level(i))
		}
	case []float32:
		for i := range d {
			d[i] = float32(level(i)) / 255
		}
	}
	return t
}

func runCases(t testing.TB) []runCase {
	var cases []runCase
	add := func(name string, net Network, weights map[string]*graph.Tensor, o *Options, size ...int) {
		t.Helper()
		m, err := Build(net, weights, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in := m.Graph.Inputs()[0]
		three := images(in, 3, size...)
		// The first image alone: what it gives must not depend on its neighbours.
		first := graph.Zeros(in.DType, append([]int{1}, three.Shape()[1:]...)...)
		switch d := first.Raw().(type) {
		case []uint8:
			copy(d, graph.Data[uint8](three))
		case []float32:
			copy(d, graph.Data[float32](three))
		}
		cases = append(cases, runCase{name, m, []map[string]*graph.Tensor{{in.Name(): first}, {in.Name(): three}}})
	}
	for _, profile := range []Profile{Detector, Reconstruction} {
		for _, input := range []InputKind{Uint8NHWC, FloatNCHW} {
			for _, channels := range []int{1, 3} {
				net := conv{channels, 17, 13}
				add(fmt.Sprintf("%s-%s-%d", profile, input, channels), net, net.weights(),
					&Options{Profile: profile, Input: input, Threshold: .5, PixelThreshold: .3})
			}
		}
	}
	for _, size := range [][2]int{{17, 13}, {16, 13}, {40, 29}, {5, 33}} { // the network's is the first
		for _, channels := range []int{1, 3} {
			net := conv{channels, 17, 13}
			add(fmt.Sprintf("%s-%dx%d-%d", Anomalib, size[0], size[1], channels), net, net.weights(),
				&Options{Profile: Anomalib, Threshold: .5, PixelThreshold: .3}, size[0], size[1])
		}
	}
	for _, size := range [][2]int{{1, 1}, {4, 23}} { // smaller than SSIM's window
		net := conv{3, size[0], size[1]}
		add(fmt.Sprintf("size-%dx%d", size[0], size[1]), net, net.weights(), nil)
	}
	for _, kind := range residual.Kinds() {
		net := conv{3, 12, 19}
		add("map-"+strings.ReplaceAll(string(kind), "/", "-of-")+"-blur", net, net.weights(), &Options{Map: residual.Options{Kind: kind, Blur: 1.5}, Threshold: .1})
	}
	for _, model := range models.Names() {
		if model == "features" {
			continue // its weights come from a backbone and a fit: package models tests it
		}
		net := network(t, models.Spec{Model: model, Height: 32, Width: 48, Filters: 8})
		add("model-"+model, net, net.Init(1), &Options{Threshold: .9})
	}
	m, feeds := onThreshold(t)
	cases = append(cases, runCase{"on-threshold", m, []map[string]*graph.Tensor{feeds}})
	return append(cases, trainingStep(t))
}

func network(t testing.TB, s models.Spec) models.Network {
	t.Helper()
	net, err := models.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// half is a network that halves its images of one channel, 2×2 pixels.
type half struct{}

func (half) InputSize() (int, int, int) { return 1, 2, 2 }
func (half) Forward(x *graph.Value) models.Outputs {
	return models.Outputs{Reconstruction: graph.Mul(x, x.Graph().Scalar(.5))}
}

// onThreshold is a model and two images whose residuals are powers of two: the
// score of the first is the threshold, and so are all but one pixel of the second.
func onThreshold(t testing.TB) (*Model, map[string]*graph.Tensor) {
	m, err := Build(half{}, nil, &Options{Input: FloatNCHW, Map: residual.Options{Kind: residual.L1Map}, Threshold: .25})
	if err != nil {
		t.Fatal(err)
	}
	return m, map[string]*graph.Tensor{"input": graph.NewTensor([]float32{.5, .5, .5, .5, .5, 1, .5, .5}, 2, 1, 2, 2)}
}

func TestThresholdsAreStrict(t *testing.T) {
	m, feeds := onThreshold(t)
	maps.Copy(feeds, m.Weights)
	out, err := ref.Eval[float32](context.Background(), m.Graph, feeds, m.Graph.Lookup("pred_label"), m.Graph.Lookup("pred_mask"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]bool{{false, true}, {false, false, false, false, false, true, false, false}} {
		if got := graph.Data[bool](out[i]); !slices.Equal(got, want) {
			t.Errorf("output %d: got %v, want %v", i, got, want)
		}
	}
}

// trainingStep is a graph with a fixed batch, parameters as inputs and gradients as outputs.
func trainingStep(t testing.TB) runCase {
	net := conv{3, 16, 12}
	g := graph.New("step")
	x := g.Input("images", graph.Uint8, 2, net.height, net.width, net.channels)
	pixels := Pixels(x)
	l, err := residual.ParseLoss("ssim+mse:0.5")
	if err != nil {
		t.Fatal(err)
	}
	loss := l.Of(pixels, net.Forward(pixels).Reconstruction)
	g.Output("loss", loss)
	grads, err := graph.Gradients(loss, g.Params(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range g.Params() {
		g.Output("gradient."+p.Name(), grads[i])
	}
	feeds := net.weights()
	feeds["images"] = images(x, 2)
	return runCase{"training-step", &Model{Graph: g}, []map[string]*graph.Tensor{feeds}}
}

func TestAgreesWithONNXRuntime(t *testing.T) {
	python := testenv.Python(t)
	dir := t.TempDir()
	cases := runCases(t)
	for _, c := range cases {
		b, err := Marshal(c.model)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for i, feeds := range c.runs {
			run := filepath.Join(dir, c.name, fmt.Sprint(i))
			if err := os.MkdirAll(run, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, x := range feeds {
				writeNPY(t, filepath.Join(run, name+".npy"), x)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, c.name, "model.onnx"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(python, "testdata/check.py", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("check.py: %v\n%s", err, out)
	}
	worst := 0.0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for i, feeds := range c.runs {
				worst = max(worst, compareRun(t, c.model, feeds, filepath.Join(dir, c.name, fmt.Sprint(i), "out")))
			}
		})
	}
	t.Logf("largest difference %.2g", worst)
}

// compareRun holds the outputs that ONNX Runtime wrote into a folder to our own
// evaluation and returns the largest difference of floats.
func compareRun(t *testing.T, m *Model, feeds map[string]*graph.Tensor, folder string) (worst float64) {
	t.Helper()
	all := maps.Clone(m.Weights)
	if all == nil {
		all = map[string]*graph.Tensor{}
	}
	maps.Copy(all, feeds)
	want, err := ref.Eval[float64](context.Background(), m.Graph, all)
	if err != nil {
		t.Fatal(err)
	}
	floats := map[string][]float32{}
	for i, v := range m.Graph.Outputs() {
		path := filepath.Join(folder, v.Name()+".npy")
		if v.DType == graph.Bool {
			continue
		}
		shape, got, err := npy.Load[float32](path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(shape, want[i].Shape()) {
			t.Errorf("%s: got shape %v, want %v", v.Name(), shape, want[i].Shape())
			continue
		}
		floats[v.Name()] = got
		for j, w := range graph.Data[float64](want[i]) {
			d := math.Abs(float64(got[j]) - w)
			if worst = max(worst, d); !(d <= tolerance(m, v.Name())) {
				t.Errorf("%s: element %d: got %v, want %v", v.Name(), j, got[j], w)
				break
			}
		}
	}
	// A verdict is exact, given the number that it is about.
	for output, about := range map[string][2]string{"pred_label": {"pred_score", onnx.Threshold}, "pred_mask": {"anomaly_map", onnx.PixelThreshold}} {
		if m.Graph.Lookup(output) == nil {
			continue
		}
		_, got, err := npy.Load[bool](filepath.Join(folder, output+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		limit := graph.Data[float32](m.Weights[about[1]])[0]
		if m.Metadata["anomaly.profile"] == string(Anomalib) {
			limit = .5
		}
		for j, x := range floats[about[0]] {
			if got[j] != (x > limit) {
				t.Errorf("%s: element %d: got %v for %v, threshold %v", output, j, got[j], x, limit)
				break
			}
		}
	}
	return worst
}

func writeNPY(t *testing.T, path string, x *graph.Tensor) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	switch d := x.Raw().(type) {
	case []uint8:
		err = npy.Write(f, x.Shape(), d)
	case []float32:
		err = npy.Write(f, x.Shape(), d)
	}
	if err != nil {
		t.Fatal(err)
	}
}
