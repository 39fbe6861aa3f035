package onnx

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

func marshal(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every element type that a graph can hold comes back, and kinds of attributes that its operators have.
func TestRoundTripOfTypes(t *testing.T) {
	g := graph.New("types")
	x := g.Input("x", graph.Float32, graph.Dynamic, 2)
	use := func(name string, c *graph.Tensor) {
		g.Output(name, graph.Cast(g.Const("const."+name, c), graph.Int64))
	}
	nan := math.Float32frombits(0x7fc01234)
	use("float64", graph.NewTensor([]float64{-1.5, math.MaxFloat64}, 2))
	use("uint8", graph.NewTensor([]uint8{0, 255}, 2, 1))
	use("int32", graph.NewTensor([]int32{math.MinInt32, 7}, 2))
	use("bool", graph.NewTensor([]bool{true, false, true}, 3))
	use("scalar", graph.NewTensor([]float32{nan}))
	use("empty", graph.NewTensor([]uint8{}, 0, 3))
	g.Output("int64", graph.Reshape(x, 0, 1, 2))
	g.Output("float", graph.LeakyRelu(x, -.5))
	g.Output("text", graph.DepthToSpace(graph.Reshape(x, 0, 2, 1, 1), 1, graph.CRD))
	g.Output("ints", g.Op("Transpose", []graph.Attr{{Name: "perm", Value: []int64{}}}, g.Scalar(1)))
	b := marshal(t, &Model{Graph: g})
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, m), b) {
		t.Error("Marshal(Parse(b)) differs from b")
	}
	for _, v := range g.Outputs() {
		for i, a := range v.Node().Attrs {
			if got := m.Graph.Lookup(v.Name()).Node().Attrs[i]; !cmp.Equal(got, a) {
				t.Errorf("%s: got attribute %v, want %v", v.Name(), got, a)
			}
		}
		c := v.Node().Inputs[0]
		if c.Const() == nil {
			continue
		}
		got := m.Graph.Lookup(c.Name()).Const()
		if got == nil || c.Name() != "const.scalar" && !cmp.Equal(got.Raw(), c.Const().Raw()) || !slices.Equal(got.Shape(), c.Shape) {
			t.Errorf("%s: got %v, want %v", c.Name(), got, c.Const())
		}
	}
	if got := math.Float32bits(graph.Data[float32](m.Graph.Lookup("const.scalar").Const())[0]); got != math.Float32bits(nan) {
		t.Errorf("NaN: got bits %x, want %x", got, math.Float32bits(nan))
	}
}

func TestMarshalLeavesDeadOperatorsOut(t *testing.T) {
	g := graph.New("g")
	x := g.Input("x", graph.Float32, 2)
	g.Input("unused", graph.Float32, 3)
	dead := graph.Mul(x, g.Param("dead", 2))
	graph.Add(dead, g.Const("constant", graph.NewTensor([]float32{1}, 1)))
	g.Output("y", graph.Mul(x, g.Param("w", 2)))
	two := graph.NewTensor([]float32{1, 2}, 2)
	var file onnxpb.ModelProto
	if err := proto.Unmarshal(marshal(t, &Model{Graph: g, Weights: map[string]*graph.Tensor{"dead": two, "w": two}}), &file); err != nil {
		t.Fatal(err)
	}
	p := file.Graph
	if len(p.Node) != 1 || len(p.Initializer) != 1 || p.Initializer[0].GetName() != "w" || len(p.Input) != 2 {
		t.Errorf("got %d nodes, %d initializers, %d inputs, want 1, 1 (w), 2", len(p.Node), len(p.Initializer), len(p.Input))
	}
}

// Operators of other domains may have attributes of every kind.
func TestAttributesRoundTrip(t *testing.T) {
	want := []graph.Attr{
		{Name: "float", Value: float32(-.5)}, {Name: "floats", Value: []float32{1, 2}}, {Name: "int", Value: int64(0)},
		{Name: "ints", Value: []int64{}}, {Name: "tensor", Value: graph.NewTensor([]int64{3}, 1)}, {Name: "text", Value: "a\xff"},
	}
	g := graph.New("g")
	x := g.Input("x", graph.Float32, 2)
	g.Output("y", g.ForeignOp("com.example", "Twice", want, []graph.Type{x.Type}, x)[0])
	var file onnxpb.ModelProto
	if err := proto.Unmarshal(marshal(t, &Model{Graph: g}), &file); err != nil {
		t.Fatal(err)
	}
	got, err := attributes(file.Graph.Node[0].Attribute)
	if err != nil {
		t.Fatal(err)
	}
	tensors := cmp.Comparer(func(a, b *graph.Tensor) bool {
		return slices.Equal(a.Shape(), b.Shape()) && cmp.Equal(a.Raw(), b.Raw())
	})
	if diff := cmp.Diff(want, got, tensors); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestMarshalImportsForeignDomains(t *testing.T) {
	g := graph.New("g")
	x := g.Input("x", graph.Float32, 2)
	g.Output("y", g.ForeignOp("com.example", "Twice", nil, []graph.Type{x.Type}, x)[0])
	b := marshal(t, &Model{Graph: g})
	var file onnxpb.ModelProto
	if err := proto.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range file.OpsetImport {
		got = append(got, fmt.Sprintf("%s:%d", o.GetDomain(), o.GetVersion()))
	}
	if want := []string{":18", "com.example:1"}; !slices.Equal(got, want) {
		t.Errorf("got opsets %q, want %q", got, want)
	}
	if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), `operator Twice of domain "com.example"`) {
		t.Errorf("Parse: got %v, want an error about the operator", err)
	}
}

func TestMarshalErrors(t *testing.T) {
	wrong := graph.New("g")
	graph.Add(wrong.Input("x", graph.Float32, 2), wrong.Input("y", graph.Float32, 3))
	attr := graph.New("g")
	x := attr.Input("x", graph.Float32, 2)
	attr.Output("y", attr.ForeignOp("com.example", "Twice", []graph.Attr{{Name: "a", Value: 1}}, []graph.Type{x.Type}, x)[0])
	for _, c := range []struct {
		name   string
		change func(*Model)
		want   string
	}{
		{"no graph", func(m *Model) { m.Graph = nil }, "got a model without a graph"},
		{"graph with a mistake", func(m *Model) { m.Graph = wrong }, "do not broadcast"},
		{"no outputs", func(m *Model) { m.Graph = graph.New("g") }, `graph "g": got no outputs`},
		{"shape", func(m *Model) { m.Weights["conv.bias"] = graph.Zeros(graph.Float32, 2) }, `weight "conv.bias": got float32[2], want float32[1]`},
		{"type", func(m *Model) { m.Weights["conv.bias"] = graph.Zeros(graph.Float64, 1) }, `weight "conv.bias": got float64[1], want float32[1]`},
		{"nil", func(m *Model) { m.Weights["conv.bias"] = nil }, `weight "conv.bias": got nil, want float32[1]`},
		{"stray", func(m *Model) { m.Weights["x"] = graph.Zeros(graph.Float32, 1) }, `weight "x": the graph has no such parameter`},
		{"attribute", func(m *Model) { *m = Model{Graph: attr} }, `attribute a: got a int`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := goodModel()
			c.change(m)
			_, err := Marshal(m)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
