package lower

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

// Tolerances are relative to the largest element of a parameter's gradient.
const (
	// Emulated steps are evaluated in float64 but for Unpack, whose sums of a few
	// float32 round by 6e-8 each.
	emulatedTolerance = 1e-6
	// On ONNX Runtime a gradient is a sum over up to 512·512 pixels in float32,
	// which the two steps take in different orders.
	runtimeTolerance = 1e-4
	// SSIM's variances on constant areas are differences of nearly equal
	// numbers, and what the loss sends into the network carries that error.
	ssimTolerance = 1e-3
	// LeakyRelu's slope is no power of 2: behind it a sum that is 0 in one order is a
	// little less in another, and its gradient 5 times smaller. How many such sums there
	// are depends on the processor that ONNX Runtime computes on.
	kinkTolerance = .05
)

// A testCase is a network, its loss and a batch.
type testCase struct {
	name  string
	shape []int // of the images, NCHW
	net   func(x *graph.Value) *graph.Value
	loss  string
}

func autoencoder(s models.Spec, loss string, batch int) testCase {
	net, err := models.Open(s, nil)
	if err != nil {
		panic(err)
	}
	s = net.Spec()
	return testCase{
		name:  fmt.Sprintf("%s %dx%dx%d filters %d depth %d %s batch %d", s.Model, s.Height, s.Width, s.Channels, s.Filters, s.Depth, loss, batch),
		shape: []int{batch, s.Channels, s.Height, s.Width},
		net:   func(x *graph.Value) *graph.Value { return net.Forward(x).Reconstruction }, loss: loss,
	}
}

// mixed is a network of what CPU knows and what it does not: a skip connection,
// strides, an activation of another kind, weights that two layers share, no bias,
// kernels of other sizes, a smaller result, pooling of a value that is used
// twice, and what looks like the image's first layer but is not.
func mixed(batch, height, width int) testCase {
	return testCase{fmt.Sprintf("mixed %dx%d batch %d", height, width, batch), []int{batch, 3, height, width}, func(x *graph.Value) *graph.Value {
		g := x.Graph()
		shared := g.Param("shared", 16, 16, 3, 3)
		a := graph.Relu(graph.Conv(x, g.Param("in", 16, 3, 3, 3), nil, graph.Same(3)))
		a = graph.Relu(graph.Conv(a, shared, g.Param("bias", 16), graph.Same(3)))
		p := graph.MaxPool(a, 2, 2, nil)
		p = graph.Conv(p, shared, nil, graph.Same(3))
		p = graph.Where(graph.Greater(p, g.Scalar(0)), p, graph.Mul(p, g.Scalar(.125)))
		p = graph.Relu(graph.Conv(p, g.Param("wide", 32, 16, 1, 3), nil, &graph.ConvOptions{Pads: [4]int{0, 1, 0, 1}}))
		q := graph.Relu(graph.Conv(p, g.Param("strided", 16, 32, 3, 3), nil, &graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}))
		q = graph.Conv(graph.UpsampleNearest(q, 2, 2), g.Param("up", 16, 16, 3, 3), nil, graph.Same(3))
		v := graph.Conv(p, g.Param("valid", 16, 32, 3, 3), nil, nil)
		v = graph.Pad(v, "constant", []int{0, 0, 2, 2}, []int{0, 0, 0, 0})
		few := graph.Conv(x, g.Param("few", 3, 3, 3, 3), nil, graph.Same(3))
		few = graph.MaxPool(graph.Relu(graph.Conv(few, g.Param("many", 16, 3, 3, 3), nil, graph.Same(3))), 2, 2, nil)
		q = graph.Concat(1, q, p, v, few)
		q = graph.Relu(graph.Conv(q, g.Param("point", 16, 80, 1, 1), g.Param("offset", 16), nil))
		q = graph.Concat(1, graph.UpsampleNearest(q, 2, 2), a)
		return graph.Sigmoid(graph.Conv(q, g.Param("out", 3, 32, 3, 3), nil, graph.Same(3)))
	}, "mse"}
}

func (c testCase) graph(t testing.TB) *graph.Graph {
	t.Helper()
	l, err := residual.ParseLoss(c.loss)
	if err != nil {
		t.Fatal(err)
	}
	g := graph.New("loss")
	x := g.Input("input", graph.Float32, c.shape...)
	g.Output("loss", l.Of(x, c.net(x)))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	return g
}

// steps returns the lowered and the plain step.
func (c testCase) steps(t testing.TB, block int) (lowered, plain *Step) {
	t.Helper()
	lowered, err := CPU(c.graph(t), block, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err = Plain(c.graph(t), graph.ByShift, nil)
	if err != nil {
		t.Fatal(err)
	}
	return lowered, plain
}

// weights are few, and small powers of 2, as the images are multiples of one: so
// the first layers are exact in whatever order they are summed, and pixels of
// equal value, of which there are many, are equal in both steps.
func (c testCase) weights(t testing.TB) map[string]*graph.Tensor {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	weights := map[string]*graph.Tensor{}
	for _, p := range c.graph(t).Params() {
		w := graph.Zeros(graph.Float32, p.Shape...)
		fan := graph.Elements(p.Shape) / p.Dim(0)
		for i := range w.Len() {
			if rng.IntN(max(fan, 16)) < 16 {
				graph.Data[float32](w)[i] = float32(rng.IntN(5)-2) / 8
			}
		}
		weights[p.Name()] = w
	}
	return weights
}

// images returns noise in eighths with a constant area below it.
func (c testCase) images() *graph.Tensor {
	x := graph.Zeros(graph.Float32, c.shape...)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range graph.Data[float32](x) {
		v := float32(rng.IntN(9)) / 8
		if i/c.shape[3]%c.shape[2] > c.shape[2]*2/3 {
			v = .25
		}
		graph.Data[float32](x)[i] = v
	}
	return x
}

// gradients runs a step by run, which takes what the graph needs and returns its outputs.
func gradients(s *Step, weights map[string]*graph.Tensor, images *graph.Tensor, run func(feeds map[string]*graph.Tensor) map[string][]float32) (loss float32, grads map[string][]float32) {
	feeds := s.Pack(weights)
	feeds["input"] = images
	out := run(feeds)
	loss = out["loss"][0]
	delete(out, "loss")
	return loss, s.Unpack(out)
}

// compare compares loss and gradients of two steps.
func compare(t *testing.T, gotLoss, wantLoss float32, got, want map[string][]float32, tolerance float64) {
	t.Helper()
	if d := math.Abs(float64(gotLoss - wantLoss)); !(d <= tolerance*float64(wantLoss)) {
		t.Errorf("loss: got %v, want %v", gotLoss, wantLoss)
	}
	if len(got) != len(want) {
		t.Errorf("got gradients of %d parameters, want %d", len(got), len(want))
	}
	for name, w := range want {
		diff, largest := 0.0, 0.0
		for i, x := range w {
			largest = max(largest, math.Abs(float64(x)))
			if d := math.Abs(float64(got[name][i] - x)); !(d <= diff) { // NaN stays
				diff = d
			}
		}
		if largest == 0 {
			t.Errorf("%s: the gradient is zero: nothing is compared", name)
		}
		if !(diff <= tolerance*largest) {
			t.Errorf("%s: differs by %g of %g", name, diff, largest)
		}
	}
}

// Emulated, the lowered step gives the plain one's gradients, and so it does
// with sums in bands of few rows.
func TestCPUEmulated(t *testing.T) {
	for _, block := range []int{8, 16} {
		for _, c := range []testCase{
			autoencoder(models.Spec{Height: 16, Filters: 16, Depth: 1}, "mse", 1),
			autoencoder(models.Spec{Height: 16, Width: 24, Filters: 16, Depth: 2}, "l1", 2),
			autoencoder(models.Spec{Height: 24, Width: 16, Filters: 32, Channels: 1, Depth: 3}, "ssim", 2),
			autoencoder(models.Spec{Height: 16, Filters: 8, Depth: 2}, "mse", 1),
			autoencoder(models.Spec{Height: 16, Filters: 12, Depth: 1}, "mse", 1),
			autoencoder(models.Spec{Model: "unet", Height: 16, Width: 24, Filters: 16, Depth: 2}, "mse", 2),
			autoencoder(models.Spec{Model: "unet", Channels: 1, Height: 16, Filters: 8, Depth: 1}, "l1", 1),
			autoencoder(models.Spec{Model: "ssimae", Height: 16, Width: 32, Filters: 16, Latent: 5}, "mse", 2),
			autoencoder(models.Spec{Model: "ssimae", Channels: 1, Height: 32, Filters: 8, Latent: 3}, "l1", 1),
			mixed(1, 8, 16),
			mixed(2, 12, 20),
		} {
			t.Run(fmt.Sprintf("block %d %s", block, c.name), func(t *testing.T) {
				lowered, plain := c.steps(t, block)
				banded, err := cpu(c.graph(t), block, 3*2*block, nil)
				if err != nil {
					t.Fatal(err)
				}
				weights, x := c.weights(t), c.images()
				eval := func(g *graph.Graph) func(map[string]*graph.Tensor) map[string][]float32 {
					return func(feeds map[string]*graph.Tensor) map[string][]float32 {
						out, err := ref.Eval[float64](context.Background(), g, feeds)
						if err != nil {
							t.Fatal(err)
						}
						m := map[string][]float32{}
						for i, v := range g.Outputs() {
							for _, f := range graph.Data[float64](out[i]) {
								m[v.Name()] = append(m[v.Name()], float32(f))
							}
						}
						return m
					}
				}
				gotLoss, got := gradients(lowered, weights, x, eval(emulate(t, lowered.Graph, block)))
				wantLoss, want := gradients(plain, weights, x, eval(plain.Graph))
				compare(t, gotLoss, wantLoss, got, want, emulatedTolerance)
				gotLoss, got = gradients(banded, weights, x, eval(emulate(t, banded.Graph, block)))
				compare(t, gotLoss, wantLoss, got, want, emulatedTolerance)
			})
		}
	}
}

// onRuntime runs a graph on ONNX Runtime.
func onRuntime(g *graph.Graph, feeds map[string]*graph.Tensor) (map[string]*graph.Tensor, error) {
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		return nil, err
	}
	s, err := runtime.OpenSession(b, &runtime.SessionOptions{Provider: runtime.CPU, Threads: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Run(context.Background(), feeds)
}

// blockHere returns ONNX Runtime's block of channels and skips the test where it has none.
func blockHere(t *testing.T) int {
	t.Helper()
	out, err := onRuntime(Probe(), map[string]*graph.Tensor{"input": graph.Zeros(graph.Float32, 1, 4, 1, 1)})
	if err != nil {
		t.Skipf("no ONNX Runtime with NCHWc convolutions: %v", err)
	}
	block := out["output"].Shape()[1]
	if block < 8 {
		t.Skip("ONNX Runtime has no NCHWc convolutions for this processor")
	}
	return block
}

// On ONNX Runtime the lowered step gives the plain one's gradients.
func TestCPUOnRuntime(t *testing.T) {
	block := blockHere(t)
	for _, c := range []testCase{
		autoencoder(models.Spec{}, "mse", 1),
		autoencoder(models.Spec{Height: 512, Filters: 16}, "mse", 1),
		autoencoder(models.Spec{}, "ssim", 1),
		autoencoder(models.Spec{Height: 64}, "ssim+mse:0.1", 3),
		autoencoder(models.Spec{Channels: 1, Height: 32}, "ssim", 16),
		autoencoder(models.Spec{Channels: 1, Height: 32}, "mse", 5),
		autoencoder(models.Spec{Height: 40, Width: 72}, "l1", 2),
		autoencoder(models.Spec{Height: 32, Filters: 24}, "mse", 2),
		autoencoder(models.Spec{Height: 32, Filters: 48, Depth: 1}, "mse", 1),
		autoencoder(models.Spec{Height: 64, Filters: 64, Depth: 5}, "mse", 2),
		autoencoder(models.Spec{Model: "unet", Height: 64}, "ssim+mse:10", 2),
		autoencoder(models.Spec{Model: "unet", Height: 48, Width: 80, Filters: 24}, "mse", 1),
		autoencoder(models.Spec{Model: "ssimae", Height: 64, Width: 96, Latent: 500}, "mse", 3),
		mixed(1, 32, 48),
		mixed(3, 20, 36),
	} {
		t.Run(c.name, func(t *testing.T) {
			lowered, plain := c.steps(t, block)
			weights, x := c.weights(t), c.images()
			run := func(g *graph.Graph) func(map[string]*graph.Tensor) map[string][]float32 {
				return func(feeds map[string]*graph.Tensor) map[string][]float32 {
					out, err := onRuntime(g, feeds)
					if err != nil {
						t.Fatal(err)
					}
					m := map[string][]float32{}
					for name, v := range out {
						m[name] = graph.Data[float32](v)
					}
					return m
				}
			}
			gotLoss, got := gradients(lowered, weights, x, run(lowered.Graph))
			wantLoss, want := gradients(plain, weights, x, run(plain.Graph))
			tolerance := runtimeTolerance
			switch {
			case strings.HasPrefix(c.name, "ssimae"):
				tolerance = kinkTolerance
			case strings.Contains(c.loss, "ssim"):
				tolerance = ssimTolerance
			}
			compare(t, gotLoss, wantLoss, got, want, tolerance)
		})
	}
}

// operators counts a graph's operators; those of ONNX Runtime alone have the prefix "nchwc.".
func operators(g *graph.Graph) map[string]int {
	count := map[string]int{}
	for _, n := range g.Nodes() {
		op := n.Op
		if n.Domain == nchwcDomain {
			op = "nchwc." + op
		}
		count[op]++
	}
	return count
}

func TestCPUOperators(t *testing.T) {
	for _, c := range []struct {
		testCase
		outputs int
		want    map[string]int
	}{
		// Forward, the image's layer in phases, two with pooling, one alone, two after
		// upsampling in phases, the last: 4+3+8+1. Gradients of what a layer takes: 6.
		// Of weights: 4, 3 each, 8 each, 1.
		{autoencoder(models.Spec{}, "mse", 1), 1 + 14, map[string]int{
			"Conv": 0, "nchwc.Conv": 16 + 6 + 4 + 9 + 16 + 1, "MaxPool": 0, "nchwc.MaxPool": 2, "Resize": 0, "Relu": 0, "nchwc.ReorderOutput": 1,
		}},
		// Every convolution of a U-Net of one level but the last, of one pixel, is in blocks. The sum
		// of what comes from below and across, with its Relu, and the sum of the gradients that meet at the
		// skip are part of convolutions.
		{autoencoder(models.Spec{Model: "unet", Height: 32, Depth: 1}, "mse", 1), 1 + 15, map[string]int{
			"Conv": 1 + 1, "nchwc.MaxPool": 1, "Relu": 0, "Add": 0, "Where": 0,
		}},
		// All convolutions of an autoencoder that strides halve and double; what is
		// reordered are the vector's sides and the image.
		{autoencoder(models.Spec{Model: "ssimae"}, "mse", 1), 1 + 36, map[string]int{"Conv": 0, "ConvTranspose": 0, "LeakyRelu": 16, "Gemm": 2 * 3, "nchwc.ReorderOutput": 3}},
		// 24 channels fill no blocks of 16.
		{autoencoder(models.Spec{Filters: 24}, "mse", 1), 1 + 14, map[string]int{"nchwc.Conv": 0, "nchwc.ReorderInput": 0, "nchwc.ReorderOutput": 0}},
		// Five convolutions stay as they are (few, many, strided, valid, out), and
		// so do the gradients of what three of them take. The gradient of the strided
		// one's weights is a convolution, that of what it takes a transposed one.
		// Weights that two layers share have two outputs.
		{mixed(1, 32, 48), 1 + 12 + 1, map[string]int{"Conv": 5 + 3 + 1, "ConvTranspose": 1, "nchwc.MaxPool": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lowered, _ := c.steps(t, 16)
			if got := len(lowered.Graph.Outputs()); got != c.outputs {
				t.Errorf("got %d outputs, want %d", got, c.outputs)
			}
			got := operators(lowered.Graph)
			for op, n := range c.want {
				if got[op] != n {
					t.Errorf("%s: got %d, want %d", op, got[op], n)
				}
			}
		})
	}
}

// Steps that differ in the batch take the same parameters and give outputs of the same layout.
func TestBatchLeavesLayouts(t *testing.T) {
	for _, c := range [][2]testCase{
		{autoencoder(models.Spec{Height: 32}, "mse", 1), autoencoder(models.Spec{Height: 32}, "mse", 5)},
		{mixed(1, 16, 24), mixed(16, 16, 24)},
	} {
		one, _ := c[0].steps(t, 16)
		many, _ := c[1].steps(t, 16)
		list := func(values []*graph.Value) (s []string) {
			for _, v := range values {
				s = append(s, v.Name()+" "+v.Type.String())
			}
			return s
		}
		if got, want := list(many.Graph.Params()), list(one.Graph.Params()); !slices.Equal(got, want) {
			t.Errorf("%s: parameters: got %v, want %v", c[1].name, got, want)
		}
		if got, want := list(many.Graph.Outputs()), list(one.Graph.Outputs()); !slices.Equal(got, want) {
			t.Errorf("%s: outputs: got %v, want %v", c[1].name, got, want)
		}
		if got, want := fmt.Sprint(many.packs, many.grads), fmt.Sprint(one.packs, one.grads); got != want {
			t.Errorf("%s: packs otherwise than %s", c[1].name, c[0].name)
		}
	}
}

// Each place holds every element of a parameter once, inside the array; what
// Pack puts there Unpack finds there.
func TestPlaces(t *testing.T) {
	for _, c := range []testCase{autoencoder(models.Spec{Height: 32}, "mse", 1), autoencoder(models.Spec{Height: 32, Filters: 64, Channels: 1}, "mse", 1), mixed(1, 16, 24)} {
		lowered, _ := c.steps(t, 16)
		check := func(name, param string, size int, places []place) {
			for _, p := range places {
				seen, n := map[int]bool{}, 0
				p.each(func(i, at int) {
					if i != n || at < 0 || at >= size {
						t.Fatalf("%s: %s: element %d lies at %d of %d", c.name, name, i, at, size)
					}
					seen[at] = true
					n++
				})
				if want := graph.Elements(lowered.params[param]); n != want {
					t.Errorf("%s: %s: places %d elements, want %d", c.name, name, n, want)
				}
				// Taps of a phase may fall on one place; channels never.
				if min := len(p.out) * len(p.in); len(seen) < min || len(seen)%min != 0 {
					t.Errorf("%s: %s: got %d places for %d pairs of channels", c.name, name, len(seen), min)
				}
			}
		}
		for _, p := range lowered.packs {
			check(p.name, p.param, graph.Elements(p.shape), p.places)
		}
		for _, g := range lowered.grads {
			check(g.output, g.param, graph.Elements(lowered.Graph.Lookup(g.output).Shape), g.places)
		}
		// Where an array holds each element by itself, Unpack finds what Pack put there.
		round := &Step{Graph: lowered.Graph, params: lowered.params}
		held := map[string]int{}
		for _, p := range lowered.packs {
			if len(p.places) == 1 && alone(p.places[0]) {
				round.grads = append(round.grads, gradient{p.name, p.param, 1, p.places})
				held[p.param]++
			}
		}
		weights := c.weights(t)
		packed := map[string][]float32{}
		for name, v := range lowered.Pack(weights) {
			packed[name] = graph.Data[float32](v)
		}
		for param, got := range round.Unpack(packed) {
			for i, w := range graph.Data[float32](weights[param]) {
				if want := float32(held[param]) * w; got[i] != want {
					t.Fatalf("%s: %s, element %d: got %v, want %v", c.name, param, i, got[i], want)
				}
			}
		}
		if len(held) == 0 {
			t.Errorf("%s: no parameter is packed", c.name)
		}
	}
}

// alone reports whether p's taps lie apart.
func alone(p place) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(p.tap)))) == len(p.tap)
}

func TestPlain(t *testing.T) {
	c := autoencoder(models.Spec{Height: 16, Filters: 4, Depth: 1}, "mse", 2)
	_, plain := c.steps(t, 16)
	weights := c.weights(t)
	for name, w := range plain.Pack(weights) {
		if w != weights[name] {
			t.Errorf("%s: is packed", name)
		}
	}
	outputs := map[string][]float32{}
	for name, w := range weights {
		outputs["d "+name] = graph.Data[float32](w)
	}
	for name, got := range plain.Unpack(outputs) {
		if !slices.Equal(got, graph.Data[float32](weights[name])) {
			t.Errorf("%s: got another gradient than the output", name)
		}
	}
}

func TestErrors(t *testing.T) {
	good := autoencoder(models.Spec{Height: 16, Filters: 4, Depth: 1}, "mse", 1).graph(t)
	for _, block := range []int{0, 4, 12, -8} {
		if _, err := CPU(good, block, nil); err == nil || !strings.Contains(err.Error(), "power of 2") {
			t.Errorf("block %d: got %v, want an error that says what blocks there are", block, err)
		}
	}
	two := graph.New("two")
	x := two.Input("x", graph.Float32, 1)
	two.Output("a", graph.Neg(x))
	two.Output("b", graph.Abs(x))
	bad := graph.New("bad")
	bad.Output("y", graph.Add(bad.Input("a", graph.Float32, 2), bad.Input("b", graph.Float32, 3)))
	for _, g := range []*graph.Graph{two, bad} {
		if _, err := CPU(g, 16, nil); err == nil {
			t.Errorf("CPU of graph %q: got no error", g.Name())
		}
		if _, err := Plain(g, graph.ByConv, nil); err == nil {
			t.Errorf("Plain of graph %q: got no error", g.Name())
		}
	}
	if _, err := CPU(bad, 16, nil); !errors.Is(err, graph.ErrGraph) {
		t.Errorf("got %v, want the graph's error", err)
	}
}
