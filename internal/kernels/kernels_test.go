package kernels

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/randgraph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

const (
	randomGraphs = 150
	randomSteps  = 8
	// randomTol is relative to max(1, |want|): each of the steps, and of those of
	// the gradient, rounds sums of up to a few hundred terms to float32.
	randomTol = 1e-4
)

// eachISA runs a test on every instruction set of the processor.
func eachISA(t *testing.T, f func(t *testing.T, set *isa)) {
	for _, set := range instructionSets() {
		t.Run(set.name, func(t *testing.T) { f(t, set) })
	}
}

// TestRandomGraphs holds every operator and its gradient, as they happen to be
// composed, to what internal/ref computes: twice with one state, since nothing
// may be left of a run.
func TestRandomGraphs(t *testing.T) {
	graphs := uint64(randomGraphs)
	if testing.Short() {
		graphs /= 5
	}
	eachISA(t, func(t *testing.T, set *isa) {
		for seed := range graphs {
			r := randgraph.New(seed, randomSteps, 1+int(seed%3), false)
			grads, err := graph.Gradients(r.Loss, r.Leaves, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range append(r.Values, grads...) {
				r.Output(fmt.Sprint("out", i), v)
			}
			want, err := ref.Eval[float32](t.Context(), r.Graph, r.Feeds, r.Outputs()...)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprint("seed ", seed), r.Graph, r.Feeds, nil, want, &Options{Threads: 1 + int(seed%2), isa: set}, randomTol)
		}
	})
}

func compare(t *testing.T, what string, g *graph.Graph, feeds, weights map[string]*graph.Tensor, want []*graph.Tensor, o *Options, tol float64) {
	t.Helper()
	p, err := Compile(g, weights, nil, o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	s := p.NewState()
	out := make([]*graph.Tensor, len(want))
	for range 2 {
		if err := s.Run(t.Context(), feeds, out); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i, w := range want {
			if d := difference(out[i], w); !(d <= tol) {
				n := g.Outputs()[i].Node()
				t.Errorf("%s: output %d of %s: differs by %g, want %g", what, i, n.Op, d, tol)
				return
			}
		}
	}
}

// difference returns the largest difference, relative to max(1, |want|).
func difference(got, want *graph.Tensor) float64 {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return math.Inf(1)
	}
	worst := 0.
	at := func(a, b float64) {
		if a != b && !(math.IsNaN(a) && math.IsNaN(b)) {
			worst = max(worst, math.Abs(a-b)/max(1, math.Abs(b)))
		}
	}
	switch w := want.Raw().(type) {
	case []float32:
		for i, x := range graph.Data[float32](got) {
			at(float64(x), float64(w[i]))
		}
	case []int64:
		for i, x := range graph.Data[int64](got) {
			at(float64(x), float64(w[i]))
		}
	case []bool:
		for i, x := range graph.Data[bool](got) {
			if x != w[i] {
				return 1
			}
		}
	}
	return worst
}

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

// TestNoAllocations: a run of the detector allocates nothing once it is warm.
func TestNoAllocations(t *testing.T) {
	s, in, out := detectorState(t, 2, &Options{Threads: 2})
	if n := testing.AllocsPerRun(5, func() {
		if err := s.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("got %v allocations a run, want none", n)
	}
}

func detectorState(t *testing.T, batch int, o *Options) (*State, map[string]*graph.Tensor, []*graph.Tensor) {
	t.Helper()
	m := modelFor(t, detector(t), batch)
	p, err := Compile(m.Graph, nil, verdict, o)
	if err != nil {
		t.Fatal(err)
	}
	s, in, out := p.NewState(), map[string]*graph.Tensor{"input": pixels(batch)}, make([]*graph.Tensor, len(verdict))
	if err := s.Run(t.Context(), in, out); err != nil {
		t.Fatal(err)
	}
	return s, in, out
}

// detectorTol is of maps in [0,2]: sums of 288 products, filters and quotients round.
const detectorTol = 1e-5

// TestDetector: every instruction set gives what internal/ref gives, and each
// image the same bits alone and in a batch, on one thread and on two.
func TestDetector(t *testing.T) {
	const batch = 3
	m := modelFor(t, detector(t), batch)
	images := pixels(batch)
	want, err := ref.Eval[float32](t.Context(), m.Graph, map[string]*graph.Tensor{"input": images}, m.Graph.Lookup("anomaly_map"))
	if err != nil {
		t.Fatal(err)
	}
	eachISA(t, func(t *testing.T, set *isa) {
		_, _, out := detectorState(t, batch, &Options{Threads: 2, isa: set})
		if d := difference(out[0], want[0]); !(d <= detectorTol) {
			t.Errorf("differs by %g, want %g", d, detectorTol)
		}
		s, in, alone := detectorState(t, 1, &Options{Threads: 1, isa: set})
		size := 128 * 128 * 3
		for i := range batch {
			in["input"] = graph.NewTensor(graph.Data[uint8](images)[i*size:(i+1)*size], 1, 128, 128, 3)
			if err := s.Run(t.Context(), in, alone); err != nil {
				t.Fatal(err)
			}
			got := graph.Data[float32](out[0])[i*128*128:][:128*128]
			if !slices.Equal(got, graph.Data[float32](alone[0])) {
				t.Errorf("image %d: got another map than alone", i)
			}
		}
	})
}

func TestRunRefuses(t *testing.T) {
	s, in, out := detectorState(t, 1, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ended, in, out); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got %v", err)
	}
	for _, tt := range []struct {
		name string
		in   map[string]*graph.Tensor
		out  []*graph.Tensor
	}{
		{"no input", nil, out},
		{"other batch", map[string]*graph.Tensor{"input": pixels(2)}, out},
		{"other type", map[string]*graph.Tensor{"input": graph.Zeros(graph.Float32, 1, 128, 128, 3)}, out},
		{"few results", in, out[:1]},
		{"result of another shape", in, []*graph.Tensor{out[1], out[0]}},
	} {
		if err := s.Run(t.Context(), tt.in, tt.out); err == nil {
			t.Errorf("%s: got no error", tt.name)
		}
	}
	if err := s.Run(t.Context(), in, out); err != nil {
		t.Errorf("after errors: %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	g := graph.New("open")
	g.Output("y", graph.Relu(g.Input("x", graph.Float32, graph.Dynamic, 3)))
	if _, err := Compile(g, nil, nil, nil); !errors.Is(err, ErrShape) {
		t.Errorf("open batch: got %v, want ErrShape", err)
	}
	if _, err := Compile(g, nil, []string{"z"}, nil); err == nil {
		t.Error("unknown output: got no error")
	}
}
