package onnx

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// importTolerance is relative to max(1, |want|): operands are up to 2, and a
// case has a few operators, each as near to ONNX Runtime as internal/ref's are.
const importTolerance = 5e-6

// An importCase is a file as other tools write them, and what ONNX Runtime makes
// of it (testdata/gen_import.py).
type importCase struct {
	Name            string
	File            []byte
	Inputs, Outputs map[string]importTensor
}

type importTensor struct {
	DType string
	Shape []int
	Data  []any // numbers, or the names of those that JSON does not have
}

func (x importTensor) numbers() []float64 {
	out := make([]float64, len(x.Data))
	for i, v := range x.Data {
		switch v := v.(type) {
		case float64:
			out[i] = v
		case string:
			out[i], _ = strconv.ParseFloat(v, 64)
		}
	}
	return out
}

func (x importTensor) tensor(t testing.TB) *graph.Tensor {
	t.Helper()
	values := x.numbers()
	switch x.DType {
	case "float32":
		return graph.NewTensor(converted[float32](values), x.Shape...)
	case "uint8":
		return graph.NewTensor(converted[uint8](values), x.Shape...)
	case "int64":
		return graph.NewTensor(converted[int64](values), x.Shape...)
	case "bool":
		data := make([]bool, len(values))
		for i, v := range values {
			data[i] = v != 0
		}
		return graph.NewTensor(data, x.Shape...)
	}
	t.Fatalf("no tensors of type %q", x.DType)
	return nil
}

func converted[T float32 | uint8 | int64](values []float64) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
	}
	return out
}

func importCases(t testing.TB) []importCase {
	t.Helper()
	var cases []importCase
	testenv.Golden(t, "gen_import.py", "import.json", &cases)
	return cases
}

func TestImport(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range importCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			f, err := source(c.File)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range f.graph.Node {
				tried[n.GetOpType()] = true
			}
			for range 2 { // what was folded is used again
				shapes, feeds, values := map[string][]int{}, map[string]*graph.Tensor{}, map[string]*graph.Tensor{}
				for name, x := range c.Inputs {
					shapes[name], feeds[name] = x.Shape, x.tensor(t)
				}
				for _, name := range f.ShapeInputs() {
					values[name] = feeds[name]
				}
				m, err := f.For(shapes, values)
				if err != nil {
					t.Fatal(err)
				}
				out, err := ref.Eval[float32](t.Context(), m.Graph, feeds)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range m.Graph.Outputs() {
					want := c.Outputs[v.Name()]
					if got := out[i].DType().String(); got != want.DType || !slices.Equal(out[i].Shape(), want.Shape) {
						t.Fatalf("output %q: got %s%v, want %s%v", v.Name(), got, out[i].Shape(), want.DType, want.Shape)
					}
					near(t, v.Name(), out[i], want.numbers())
				}
			}
		})
	}
	for op := range importers {
		if !tried[op] && !slices.Contains(untried, op) {
			t.Errorf("operator %s is in no case", op)
		}
	}
}

// untried are the operators that the goldens' ONNX Runtime does not have.
var untried = []string{"RMSNormalization", "Swish"}

func near(t *testing.T, name string, got *graph.Tensor, want []float64) {
	t.Helper()
	for i, w := range want {
		var g float64
		switch data := got.Raw().(type) {
		case []float32:
			g = float64(data[i])
		case []uint8:
			g = float64(data[i])
		case []int64:
			g = float64(data[i])
		case []bool:
			if data[i] {
				g = 1
			}
		}
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if !(math.Abs(g-w) <= importTolerance*max(1, math.Abs(w))) {
			t.Fatalf("output %q, element %d: got %v, want %v", name, i, g, w)
		}
	}
}

// TestImportAxis: before opset 7 an attribute says from which axis on the second
// operand is broadcast, and the ONNX Runtime of the goldens starts with opset 7.
func TestImportAxis(t *testing.T) {
	f := &onnxpb.ModelProto{IrVersion: proto.Int64(3), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(6)}}, Graph: &onnxpb.GraphProto{}}
	g := graph.New("")
	f.Graph.Input = []*onnxpb.ValueInfoProto{valueInfo(g.Input("x", graph.Float32, 1, 2, 3)), valueInfo(g.Input("w", graph.Float32, 2))}
	f.Graph.Initializer = []*onnxpb.TensorProto{tensorProto("w", graph.NewTensor([]float32{10, 20}, 2))}
	f.Graph.Output = []*onnxpb.ValueInfoProto{valueInfo(g.Input("y", graph.Float32, 1, 2, 3))}
	number := func(name string, i int64) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: &i}
	}
	f.Graph.Node = []*onnxpb.NodeProto{{
		OpType: proto.String("Add"), Input: []string{"x", "w"}, Output: []string{"y"},
		Attribute: []*onnxpb.AttributeProto{number("broadcast", 1), number("axis", 1)},
	}}
	b, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*graph.Tensor{"x": graph.NewTensor([]float32{1, 2, 3, 4, 5, 6}, 1, 2, 3), "w": m.Weights["w"]}
	out, err := ref.Eval[float32](t.Context(), m.Graph, feeds)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "y", out[0], []float64{11, 12, 13, 24, 25, 26})
}
