package ref_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// opTolerance is relative to max(1, |want|): operands are multiples of 1/8 up
// to 2, so only Div, the means, weights of Resize and curves such as Sigmoid,
// which ONNX Runtime approximates, round at all.
const opTolerance = 2e-6

// An opCase is one operator with its operands and results by ONNX Runtime (testdata/gen_ref.py).
type opCase struct {
	Name, Op          string
	Attrs             map[string]any
	Operands, Results []*opTensor
}

type opTensor struct {
	DType string
	Shape []int
	Data  []any
	Const bool
}

func (o *opTensor) tensor(t *testing.T) *graph.Tensor {
	t.Helper()
	out := graph.Zeros(dtype(t, o.DType), o.Shape...)
	for i, v := range o.Data {
		switch d := out.Raw().(type) {
		case []float32:
			d[i] = float32(v.(float64))
		case []uint8:
			d[i] = uint8(v.(float64))
		case []int32:
			d[i] = int32(v.(float64))
		case []int64:
			d[i] = int64(v.(float64))
		case []bool:
			d[i] = v.(bool)
		}
	}
	return out
}

func dtype(t *testing.T, name string) graph.DType {
	t.Helper()
	for _, d := range []graph.DType{graph.Float32, graph.Uint8, graph.Int32, graph.Int64, graph.Bool} {
		if d.String() == name {
			return d
		}
	}
	t.Fatalf("dtype %q", name)
	return 0
}

// attrs turns JSON's numbers into the types of ONNX's attributes.
func attrs(c opCase) []graph.Attr {
	var out []graph.Attr
	for name, v := range c.Attrs {
		switch v := v.(type) {
		case float64:
			if name == "alpha" || name == "beta" || name == "cubic_coeff_a" {
				out = append(out, graph.Attr{Name: name, Value: float32(v)})
			} else {
				out = append(out, graph.Attr{Name: name, Value: int64(v)})
			}
		case []any:
			ints := make([]int64, len(v))
			for i, x := range v {
				ints[i] = int64(x.(float64))
			}
			out = append(out, graph.Attr{Name: name, Value: ints})
		default:
			out = append(out, graph.Attr{Name: name, Value: v})
		}
	}
	return out
}

// floats returns a tensor's elements as float64.
func floats(t *graph.Tensor) []float64 {
	out := make([]float64, t.Len())
	for i := range out {
		switch d := t.Raw().(type) {
		case []float32:
			out[i] = float64(d[i])
		case []float64:
			out[i] = d[i]
		case []uint8:
			out[i] = float64(d[i])
		case []int32:
			out[i] = float64(d[i])
		case []int64:
			out[i] = float64(d[i])
		case []bool:
			if d[i] {
				out[i] = 1
			}
		}
	}
	return out
}

func opCases(t *testing.T) []opCase {
	t.Helper()
	var cases []opCase
	testenv.Golden(t, "gen_ref.py", "ops.json", &cases)
	return cases
}

// build makes the graph of a case; with a dynamic batch if it is asked for one.
func build(t *testing.T, c opCase, dynamic bool) (*graph.Graph, map[string]*graph.Tensor) {
	t.Helper()
	g, feeds := graph.New(c.Name), map[string]*graph.Tensor{}
	var operands []*graph.Value
	for i, o := range c.Operands {
		name := fmt.Sprintf("i%d", i)
		switch {
		case o == nil:
			operands = append(operands, nil)
		case o.Const:
			operands = append(operands, g.Const(name, o.tensor(t)))
		default:
			shape := slices.Clone(o.Shape)
			if dynamic {
				shape[0] = graph.Dynamic
			}
			operands = append(operands, g.Input(name, dtype(t, o.DType), shape...))
			feeds[name] = o.tensor(t)
		}
	}
	for i, v := range g.OpN(c.Op, attrs(c), len(c.Results), operands...) {
		g.Output(fmt.Sprintf("o%d", i), v)
	}
	return g, feeds
}

func compare(t *testing.T, c opCase, got []*graph.Tensor, float graph.DType) {
	t.Helper()
	for i, want := range c.Results {
		w := want.tensor(t)
		d := w.DType()
		if d == graph.Float32 {
			d = float
		}
		if got[i].DType() != d || !slices.Equal(got[i].Shape(), want.Shape) {
			t.Fatalf("result %d: got %v%v, want %v%v", i, got[i].DType(), got[i].Shape(), d, want.Shape)
		}
		x := floats(got[i])
		for j, y := range floats(w) {
			if math.Abs(x[j]-y) > opTolerance*max(1, math.Abs(y)) {
				t.Fatalf("result %d, element %d: got %v, want %v", i, j, x[j], y)
			}
		}
	}
}

func TestOperators(t *testing.T) {
	for _, c := range opCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			g, feeds := build(t, c, false)
			got32, err := ref.Eval[float32](context.Background(), g, feeds)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, c, got32, graph.Float32)
			got64, err := ref.Eval[float64](context.Background(), g, feeds)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, c, got64, graph.Float64)
		})
	}
}

// TestDynamicBatch runs every case whose graph allows it with the size of the
// first dimension left open.
func TestDynamicBatch(t *testing.T) {
	ran := map[string]bool{}
	for _, c := range opCases(t) {
		if len(c.Operands[0].Shape) < 2 || slices.ContainsFunc(c.Operands[1:], func(o *opTensor) bool { return o != nil && !o.Const }) {
			continue
		}
		g, feeds := build(t, c, true)
		if g.Err() != nil {
			continue
		}
		ran[c.Op] = true
		t.Run(c.Name, func(t *testing.T) {
			got, err := ref.Eval[float32](context.Background(), g, feeds)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, c, got, graph.Float32)
		})
	}
	for _, op := range []string{"MaxPool", "AveragePool", "Pad", "ReduceMean", "Reshape", "Resize", "Slice", "Split", "Transpose"} {
		if !ran[op] {
			t.Errorf("%s did not run with a dynamic batch", op)
		}
	}
}

// chain is y = relu(x + w) and z = y·y with a dynamic batch.
func chain() (g *graph.Graph, y *graph.Value) {
	g = graph.New("chain")
	y = graph.Relu(graph.Add(g.Input("x", graph.Float32, graph.Dynamic, 2), g.Param("w", 2)))
	g.Output("z", graph.Square(y))
	return g, y
}

func TestEvalWants(t *testing.T) {
	g, y := chain()
	feeds := map[string]*graph.Tensor{
		"x": graph.NewTensor([]float32{1, -3, 0.1, 5}, 2, 2),
		"w": graph.NewTensor([]float64{0.1, 1}, 2),
	}
	out, err := ref.Eval[float64](context.Background(), g, feeds, y, g.Lookup("z"), g.Lookup("x"), y)
	if err != nil {
		t.Fatal(err)
	}
	tenth := float64(float32(0.1)) // x is fed as float32, w as float64
	wantY := []float64{1.1, 0, tenth + 0.1, 6}
	wantZ := []float64{wantY[0] * wantY[0], 0, wantY[2] * wantY[2], 36}
	for i, want := range [][]float64{wantY, wantZ, {1, -3, tenth, 5}, wantY} {
		if diff := cmp.Diff(want, graph.Data[float64](out[i])); diff != "" {
			t.Errorf("value %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestEvalEmptyBatch: no images give no results, of the right shape.
func TestEvalEmptyBatch(t *testing.T) {
	g := graph.New("")
	x := g.Input("x", graph.Float32, graph.Dynamic, 2, 4, 6)
	y := graph.MaxPool(graph.Relu(graph.Conv(x, g.Param("w", 3, 2, 3, 3), g.Param("b", 3), graph.Same(3))), 2, 2, nil)
	g.Output("y", graph.UpsampleNearest(graph.Transpose(y, 0, 1, 3, 2), 2, 2))
	g.Output("score", graph.ReduceMax(y, false, 1, 2, 3))
	out, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{
		"x": graph.Zeros(graph.Float32, 0, 2, 4, 6), "w": graph.Zeros(graph.Float32, 3, 2, 3, 3), "b": graph.Zeros(graph.Float32, 3),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out[0].Shape(), out[1].Shape()); got != "[0 3 6 4] [0]" {
		t.Errorf("got shapes %s, want [0 3 6 4] [0]", got)
	}
}

// TestEvalConcurrent evaluates one graph from several goroutines (see the race detector).
func TestEvalConcurrent(t *testing.T) {
	g := graph.New("")
	x, w := g.Input("x", graph.Float32, 1, 2, 9, 11), g.Param("w", 4, 2, 3, 3)
	y := graph.Conv(x, w, nil, graph.Same(3))
	g.Output("y", graph.Gemm(graph.Reshape(y, 4, 99), graph.Reshape(y, 4, 99), nil, &graph.GemmOptions{TransB: true}))
	feed := func(shape []int, scale float32) *graph.Tensor {
		t := graph.Zeros(graph.Float32, shape...)
		for i := range graph.Data[float32](t) {
			graph.Data[float32](t)[i] = scale * float32(i%7)
		}
		return t
	}
	weights := feed(w.Shape, 1)
	eval := func(scale float32) (float32, error) {
		out, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{"x": feed(x.Shape, scale), "w": weights})
		if err != nil {
			return 0, err
		}
		return graph.Data[float32](out[0])[0], nil
	}
	unit, err := eval(1)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			scale := float32(int(1) << i)
			if got, err := eval(scale); err != nil || got != unit*scale*scale {
				t.Errorf("scale %v: got %v, %v, want %v", scale, got, err, unit*scale*scale)
			}
		})
	}
	wg.Wait()
}

func TestEvalErrors(t *testing.T) {
	x, w := graph.Zeros(graph.Float32, 3, 2), graph.Zeros(graph.Float32, 2)
	for _, c := range []struct {
		name  string
		feeds map[string]*graph.Tensor
		want  string
	}{
		{"no input", map[string]*graph.Tensor{"w": w}, `ref: input "x": got no tensor, want float32[N,2]`},
		{"no parameter", map[string]*graph.Tensor{"x": x}, `ref: parameter "w": got no tensor, want float32[2]`},
		{"dtype", map[string]*graph.Tensor{"x": graph.Zeros(graph.Uint8, 3, 2), "w": w}, `ref: input "x": got uint8[3,2], want float32[N,2]`},
		{"float64 in float32", map[string]*graph.Tensor{"x": graph.Zeros(graph.Float64, 3, 2), "w": w}, `ref: input "x": got float64[3,2], want float32[N,2]`},
		{"shape", map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 3, 4), "w": w}, `ref: input "x": got float32[3,4], want float32[N,2]`},
		{"rank", map[string]*graph.Tensor{"x": x, "w": graph.Zeros(graph.Float32, 1, 2)}, `ref: parameter "w": got float32[1,2], want float32[2]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _ := chain()
			_, err := ref.Eval[float32](context.Background(), g, c.feeds)
			if err == nil || err.Error() != c.want {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
}

func TestEvalFailsInNodes(t *testing.T) {
	f32 := func(shape ...int) *graph.Tensor { return graph.Zeros(graph.Float32, shape...) }
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph) *graph.Value
		a, b  *graph.Tensor
		want  string
	}{
		{"batches differ", func(g *graph.Graph) *graph.Value {
			return graph.Add(g.Input("a", graph.Float32, graph.Dynamic, 2), g.Input("b", graph.Float32, graph.Dynamic, 2))
		}, f32(2, 2), f32(3, 2), "ref: Add %q: shapes [[2 2] [3 2]] do not broadcast"},
		{"index", func(g *graph.Graph) *graph.Value {
			return g.Op("Gather", nil, g.Input("a", graph.Float32, 4), g.Input("b", graph.Int64, 1))
		}, f32(4), graph.NewTensor([]int64{4}, 1), "ref: Gather %q: index: got 4, want one of 4"},
		{"negative index", func(g *graph.Graph) *graph.Value {
			return g.Op("Gather", nil, g.Input("a", graph.Float32, 4), g.Input("b", graph.Int64, 1))
		}, f32(4), graph.NewTensor([]int64{-5}, 1), "ref: Gather %q: index: got -5, want one of 4"},
		{"concat", func(g *graph.Graph) *graph.Value {
			return graph.Concat(1, g.Input("a", graph.Float32, graph.Dynamic, 2), g.Input("b", graph.Float32, graph.Dynamic, 2))
		}, f32(2, 2), f32(3, 2), "ref: Concat %q: got shape [3 2] beside [2 2]"},
		{"bool arithmetic", func(g *graph.Graph) *graph.Value {
			return graph.Add(g.Input("a", graph.Bool, 2), g.Input("b", graph.Bool, 2))
		}, graph.Zeros(graph.Bool, 2), graph.Zeros(graph.Bool, 2), "ref: Add %q: not known for bool"},
		{"foreign operator", func(g *graph.Graph) *graph.Value {
			return g.ForeignOp("com.example", "Twice", nil, []graph.Type{{DType: graph.Float32, Shape: []int{2}}}, g.Input("a", graph.Float32, 2), g.Input("b", graph.Float32, 2))[0]
		}, f32(2), f32(2), `ref: Twice %q: domain "com.example" is not known`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New(c.name)
			y := c.build(g)
			_, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{"a": c.a, "b": c.b}, y)
			if want := fmt.Sprintf(c.want, y.Name()); err == nil || err.Error() != want {
				t.Errorf("got error %v, want %s", err, want)
			}
		})
	}
}

func TestEvalRefuses(t *testing.T) {
	g, _ := chain()
	feeds := map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 2), "w": graph.Zeros(graph.Float32, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ref.Eval[float32](ctx, g, feeds); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v, want %v", err, context.Canceled)
	}
	_, other := chain()
	if _, err := ref.Eval[float32](context.Background(), g, feeds, other); err == nil || !strings.Contains(err.Error(), "belongs to another graph") {
		t.Errorf("value of another graph: got error %v", err)
	}
	graph.Add(g.Lookup("x"), g.Param("bad", 3))
	if _, err := ref.Eval[float32](context.Background(), g, feeds); !errors.Is(err, graph.ErrGraph) {
		t.Errorf("broken graph: got error %v, want %v", err, graph.ErrGraph)
	}
}

// BenchmarkConv reports the speed of convolutions as the article's network, its
// SSIM map and the gradient of its weights have them.
func BenchmarkConv(b *testing.B) {
	for _, c := range []struct {
		name                           string
		n, in, out, size, kernel, pads int
		groups                         int
	}{
		{"first layer", 1, 3, 32, 128, 3, 1, 1},
		{"inner layer", 1, 32, 32, 64, 3, 1, 1},
		{"batch 8", 8, 32, 32, 32, 3, 1, 1},
		{"last layer", 1, 32, 3, 128, 3, 1, 1},
		{"depthwise", 1, 15, 15, 128, 11, 0, 15},
		{"weight gradient", 32, 1, 32, 66, 64, 0, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := graph.New(c.name)
			x, w := g.Input("x", graph.Float32, c.n, c.in, c.size, c.size), g.Param("w", c.out, c.in/c.groups, c.kernel, c.kernel)
			y := graph.Conv(x, w, nil, &graph.ConvOptions{Pads: [4]int{c.pads, c.pads, c.pads, c.pads}, Groups: c.groups})
			feeds := map[string]*graph.Tensor{}
			for _, v := range []*graph.Value{x, w} {
				t := graph.Zeros(graph.Float32, v.Shape...)
				for i := range graph.Data[float32](t) {
					graph.Data[float32](t)[i] = float32(i%17) - 8
				}
				feeds[v.Name()] = t
			}
			for b.Loop() {
				if _, err := ref.Eval[float32](context.Background(), g, feeds, y); err != nil {
					b.Fatal(err)
				}
			}
			macs := graph.Elements(y.Shape) * graph.Elements(w.Shape[1:])
			b.ReportMetric(float64(macs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}
