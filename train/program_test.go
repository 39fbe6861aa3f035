package train

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// stepTolerance compares gradients of the native step with the plain one's,
// relative to their norm: sums of float32 in different orders, and single pixels
// whose being a maximum rounding decides.
const stepTolerance = 1e-3

// openCPU returns a trainer on ONNX Runtime and skips the test where there is none.
func openCPU(t *testing.T, net models.Network, data *Data, s Settings) *trainer {
	t.Helper()
	s.Provider = anrt.CPU
	tr := newTrainer(net, data, &s)
	switch err := tr.open(); {
	case errors.Is(err, anrt.ErrProvider):
		t.Skipf("no ONNX Runtime: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

// On provider cpu the native step gives the plain step's gradients, whatever the
// number of workers, and with a last micro-batch that is smaller.
func TestNativeGradients(t *testing.T) {
	net := network(models.Spec{Height: 32, Channels: 1, Filters: 16})
	data := stripes(19, 1, 32, 32)
	weights := net.Init(1)
	step := func(tr *trainer) (float64, map[string][]float32) {
		t.Helper()
		images := make([]int, tr.settings.Batch)
		for i := range images {
			images[i] = i
		}
		loss, grads, err := tr.gradients(context.Background(), weights, batch{images: images})
		if err != nil {
			t.Fatal(err)
		}
		return loss, grads
	}
	var logged []string
	logf := func(format string, args ...any) { logged = append(logged, format) }
	native := openCPU(t, net, data, Settings{Loss: "ssim+mse", Batch: 19, Workers: 1, Logf: logf})
	if native.block == 0 {
		t.Skipf("ONNX Runtime has no NCHWc convolutions for this processor: %q", logged)
	}
	loss, grads := step(native)
	plain := openCPU(t, net, data, Settings{Loss: "ssim+mse", Batch: 19, Workers: 1})
	plain.block = 0
	wantLoss, want := step(plain)
	if math.Abs(loss-wantLoss) > stepTolerance*wantLoss {
		t.Errorf("loss: got %v, want %v", loss, wantLoss)
	}
	for name, w := range want {
		var diff, norm float64
		for i, x := range w {
			diff = math.Hypot(diff, float64(grads[name][i]-x))
			norm = math.Hypot(norm, float64(x))
		}
		if !(diff <= stepTolerance*norm) || norm == 0 {
			t.Errorf("%s: differs by %g of %g", name, diff, norm)
		}
	}
	for _, size := range []int{19, 2} { // of 2 each has two threads and more
		loss, grads := step(openCPU(t, net, data, Settings{Loss: "ssim+mse", Batch: size, Workers: 1}))
		againLoss, again := step(openCPU(t, net, data, Settings{Loss: "ssim+mse", Batch: size, Workers: 5}))
		if againLoss != loss {
			t.Errorf("batch %d, 5 workers: got loss %v, want %v", size, againLoss, loss)
		}
		for name := range again {
			if !slices.Equal(again[name], grads[name]) {
				t.Errorf("batch %d, 5 workers: %s is another", size, name)
			}
		}
	}
}

// Networks of 3×3 convolutions are trained on provider go, one of 4×4 convolutions by
// strides is not.
func TestAutomaticProvider(t *testing.T) {
	g := graph.New("one")
	g.Output("y", graph.Relu(g.Input("x", graph.Float32, 1)))
	if _, err := kernels.Estimate(g, []string{"y"}, nil); errors.Is(err, kernels.ErrUnmeasured) {
		t.Skip(err)
	}
	data := stripes(8, 3, 128, 128)
	openCPU(t, network(models.Spec{Model: "dcae", Height: 128}), data, Settings{})
	for model, want := range map[string]anrt.Provider{"dcae": anrt.Go, "unet": anrt.Go, "ssimae": anrt.CPU} {
		tr := newTrainer(network(models.Spec{Model: model, Height: 128}), data, &Settings{})
		if err := tr.open(); err != nil {
			t.Fatal(err)
		}
		tr.close()
		if got := tr.settings.Provider; got != want {
			t.Errorf("%s: got provider %s, want %s", model, got, want)
		}
	}
}

// A runtime that does not know the native operators says so, which leaves the plain step.
func TestNativeNeedsRuntime(t *testing.T) {
	tr := opened(t, tiny, stripes(20, 1, 16, 16), Settings{Loss: "mse"})
	block, err := tr.nativeBlock()
	if block != 0 || err == nil || !strings.Contains(err.Error(), "ReorderInput") {
		t.Errorf("got block %d and %v, want an error that names the operator", block, err)
	}
	if len(tr.programs) != 0 {
		t.Errorf("got %d programs left open, want none", len(tr.programs))
	}
}

// The parameters of a step's program are what Pack gives, and the network's own for the loss alone.
func TestStepParameters(t *testing.T) {
	net := network(models.Spec{Channels: 1, Height: 16, Filters: 8, Depth: 1})
	tr := opened(t, net, stripes(20, 1, 16, 16), Settings{Loss: "mse"})
	weights := tr.net.Init(1)
	for _, c := range []struct {
		name  string
		key   programKey
		block int
		outs  int
	}{
		{"loss", programKey{2, false}, 8, 1},
		{"plain", programKey{2, true}, 0, 1 + len(weights)},
		{"native", programKey{2, true}, 8, 1 + len(weights)},
	} {
		tr.block = c.block
		s, err := tr.step(c.key)
		if err != nil {
			t.Fatal(err)
		}
		packed := s.Pack(weights)
		for _, p := range s.Graph.Params() {
			if w := packed[p.Name()]; w == nil || !slices.Equal(w.Shape(), p.Shape) {
				t.Errorf("%s: %s: got no tensor of shape %v", c.name, p.Name(), p.Shape)
			}
		}
		if got := len(s.Graph.Outputs()); got != c.outs {
			t.Errorf("%s: got %d outputs, want %d", c.name, got, c.outs)
		}
		outputs := map[string][]float32{}
		for _, v := range s.Graph.Outputs() {
			outputs[v.Name()] = make([]float32, graph.Elements(v.Shape))
		}
		grads := s.Unpack(outputs)
		for name, w := range weights {
			if c.key.gradients && len(grads[name]) != w.Len() {
				t.Errorf("%s: %s: got a gradient of %d elements, want %d", c.name, name, len(grads[name]), w.Len())
			}
		}
	}
}

// Training on provider cpu learns, and gives the same bits whatever the number of workers.
func TestFitOnRuntime(t *testing.T) {
	net := network(models.Spec{Channels: 1, Height: 32, Filters: 16, Depth: 2})
	data := stripes(24, 1, 32, 32)
	openCPU(t, net, data, Settings{})
	var results [2]*Result
	for i := range results {
		r, err := Fit(context.Background(), net, data, &Settings{
			Provider: anrt.CPU, Workers: 1 + 2*i, Loss: "mse", Epochs: 6, Batch: 5, LearningRate: 1e-2,
		})
		if err != nil {
			t.Fatal(err)
		}
		results[i] = r
	}
	first, last := results[0].History[0], results[0].History[5]
	if !(last.Loss < .7*first.Loss) {
		t.Errorf("got loss %v after the first and %v after the last epoch", first, last)
	}
	if !sameWeights(results[0].Weights, results[1].Weights) {
		t.Error("1 and 3 workers give different weights")
	}
}
