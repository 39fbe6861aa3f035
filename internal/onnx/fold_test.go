package onnx

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// foldFile is a file of x float32[2,3] and y = x + x, with more nodes before,
// which may use initializers: "one" and "two", int64 vectors of one element,
// "million", which is 2²⁰, "square", twice 2¹¹, "billions", thrice 2³⁰, and "yes", a bool.
func foldFile(t testing.TB, nodes ...*onnxpb.NodeProto) []byte {
	t.Helper()
	g := graph.New("")
	x := g.Input("x", graph.Float32, 2, 3)
	g.Output("y", graph.Add(x, x))
	return changed(t, marshal(t, &Model{Graph: g}), func(f *onnxpb.ModelProto) {
		for name, v := range map[string][]int64{"one": {1}, "two": {2}, "million": {1 << 20}, "square": {1 << 11, 1 << 11}, "billions": {1 << 30, 1 << 30, 1 << 30}} {
			f.Graph.Initializer = append(f.Graph.Initializer, tensorProto(name, graph.NewTensor(v, len(v))))
		}
		f.Graph.Initializer = append(f.Graph.Initializer, tensorProto("yes", graph.NewTensor([]bool{true})))
		f.Graph.Node = append(nodes, f.Graph.Node...)
	})
}

// op is a node; its operands and results are separated by commas.
func op(name, in, out string) *onnxpb.NodeProto {
	n := &onnxpb.NodeProto{OpType: &name, Output: strings.Split(out, ",")}
	if in != "" {
		n.Input = strings.Split(in, ",")
	}
	return n
}

// hostileFolds are nodes on constants that ask for more than a file may have
// computed: what is wanted is an error, or none where they stay in the graph.
var hostileFolds = []struct {
	name  string
	nodes []*onnxpb.NodeProto
	want  string
}{
	{"many elements", []*onnxpb.NodeProto{op("ConstantOfShape", "billions", "c")}, "elements for each image"},
	{"many repeats", []*onnxpb.NodeProto{op("Tile", "one,million", "a"), op("Tile", "a,million", "b")}, "elements for each image"},
	{"a wide expansion", []*onnxpb.NodeProto{op("Expand", "one,billions", "a")}, "elements for each image"},
	{"numbers without end", []*onnxpb.NodeProto{
		op("Range", "one,million,one", "a"), op("Range", "one,million,one", "b"), op("Range", "one,million,one", "c"),
		op("Range", "one,million,one", "d"), op("Range", "one,million,one", "e"),
	}, ""},
	{"a step of nothing", []*onnxpb.NodeProto{op("Sub", "one,one", "zero"), op("Range", "one,two,zero", "r")}, "got 1 to 2 by 0"},
	{"doubling", doublings(40), "elements for each image"},
	{"a large product", []*onnxpb.NodeProto{op("ConstantOfShape", "square", "a"), op("MatMul", "a,a", "b"), op("MatMul", "b,b", "c")}, ""},
	{"division by zero", []*onnxpb.NodeProto{op("Sub", "one,one", "zero"), op("Div", "one,zero", "d")}, "division by zero"},
	{"a shape of data", []*onnxpb.NodeProto{op("Reshape", "one,x", "r")}, "depends on the images"},
	{"an index that is not there", []*onnxpb.NodeProto{op("Gather", "one,two", "r")}, "index: got 2, want one of 1"},
	{"a decision on data", []*onnxpb.NodeProto{op("Greater", "x,x", "c"), op("If", "c", "r")}, "depends on the images"},
	{"no branch", []*onnxpb.NodeProto{op("If", "yes", "r")}, "got no then_branch"},
}

// doublings are nodes each of which joins what the one before gives with itself.
func doublings(n int) []*onnxpb.NodeProto {
	nodes := []*onnxpb.NodeProto{op("Identity", "one", "d")}
	name := "d"
	for range n {
		join := op("Concat", name+","+name, name+"d")
		join.Attribute = []*onnxpb.AttributeProto{{Name: proto.String("axis"), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(0)}}
		nodes = append(nodes, join)
		name += "d"
	}
	return nodes
}

// foldMemory is what reading a hostile file of a few hundred bytes may allocate:
// minFoldRoom elements of 8 bytes, twice over where a kernel copies.
const foldMemory = 2*8*minFoldRoom + 1<<20

func TestFoldIsBounded(t *testing.T) {
	for _, c := range hostileFolds {
		t.Run(c.name, func(t *testing.T) {
			f, err := source(foldFile(t, c.nodes...))
			if err != nil {
				t.Fatal(err)
			}
			shapes, values := likeDeclared(f)
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			_, err = f.For(shapes, values)
			goruntime.ReadMemStats(&after)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if d := after.TotalAlloc - before.TotalAlloc; d > foldMemory {
				t.Errorf("allocates %d bytes, want at most %d", d, foldMemory)
			}
		})
	}
}

// TestFoldLeavesData: what depends on the images stays, what does not goes, and
// is computed once.
func TestFoldLeavesData(t *testing.T) {
	f, err := source(foldFile(t, op("Add", "one,two", "three"), op("Shape", "x", "s"), op("Mul", "s,three", "m")))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := f.For(likeDeclared(f))
		if err != nil {
			t.Fatal(err)
		}
		if nodes := m.Graph.Nodes(); len(nodes) != 1 || nodes[0].Op != "Add" {
			t.Errorf("got %d nodes, want the one that doubles x", len(nodes))
		}
	}
	if len(f.folded) != 1 {
		t.Errorf("kept the results of %d nodes, want those of the first", len(f.folded))
	}
}

// TestBranchIsNotKept: what a decision on shapes gave for one image is not what
// it gives for another, though each branch has only a constant.
func TestBranchIsNotKept(t *testing.T) {
	branch := func(name, initializer string) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: &onnxpb.GraphProto{
			Node:   []*onnxpb.NodeProto{op("Identity", initializer, "taken")},
			Output: []*onnxpb.ValueInfoProto{{Name: proto.String("taken")}},
		}}
	}
	choose := op("If", "c", "r")
	choose.Attribute = []*onnxpb.AttributeProto{branch("then_branch", "one"), branch("else_branch", "two")}
	b := foldFile(t, op("Shape", "x", "s"), op("ReduceMax", "s", "longest"), op("Equal", "longest", "c"), choose, op("Neg", "r", "n"))
	f, err := source(changed(t, b, func(f *onnxpb.ModelProto) {
		tensorType(f.Graph.Input[0]).Shape = nil
		f.Graph.Node[1].Attribute = []*onnxpb.AttributeProto{{Name: proto.String("keepdims"), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(0)}}
		f.Graph.Node[2].Input = []string{"longest", "two"}
		out := proto.Clone(f.Graph.Output[0]).(*onnxpb.ValueInfoProto)
		out.Name = proto.String("n")
		tensorType(out).ElemType, tensorType(out).Shape = proto.Int32(int32(graph.Int64)), nil
		f.Graph.Output = append(f.Graph.Output, out)
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shape []int
		want  int64
	}{{[]int{2, 2}, -1}, {[]int{2, 3}, -2}, {[]int{1, 2}, -1}} {
		m, err := f.For(map[string][]int{"x": c.shape}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := ref.Eval[float32](t.Context(), m.Graph, nil, m.Graph.Lookup("n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := graph.Data[int64](out[0])[0]; got != c.want {
			t.Errorf("%v: got %d, want %d", c.shape, got, c.want)
		}
	}
}

func TestForErrors(t *testing.T) {
	f, err := source(foldFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		shapes map[string][]int
		values map[string]*graph.Tensor
		want   string
	}{
		{"no shape", nil, nil, `input "x": shape: got [], want that of float32[2,3]`},
		{"another shape", map[string][]int{"x": {2, 4}}, nil, "shape: got [2 4], want that of float32[2,3]"},
		{"another rank", map[string][]int{"x": {6}}, nil, "shape: got [6], want that of float32[2,3]"},
		{"an open shape", map[string][]int{"x": {2, graph.Dynamic}}, nil, "shape: got [2 -1], want that of float32[2,3]"},
		{"another value", map[string][]int{"x": {2, 3}}, map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 6)}, "value: got float32[6], want float32[2,3]"},
	} {
		if _, err := f.For(c.shapes, c.values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestReadNamesOperators: those that are not supported, with the first node, and no end of them.
func TestReadNamesOperators(t *testing.T) {
	foreign := op("Gelu", "x", "b")
	foreign.Domain = proto.String("com.microsoft")
	_, err := source(foldFile(t, op("GridSample", "x,x", "a"), foreign, op("Einsum", "x", "c"), op("Einsum", "x", "d")))
	want := `node 0 (GridSample "a"): operators that are not supported: GridSample of domain "", Gelu of domain "com.microsoft", Einsum of domain ""`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	var many []*onnxpb.NodeProto
	for i := range 1000 {
		many = append(many, op(fmt.Sprint("Op", i), "x", fmt.Sprint("y", i)))
	}
	if _, err := source(foldFile(t, many...)); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("Op%d of domain \"\", %d more", maxNamed-1, 1000-maxNamed)) {
		t.Errorf("got %v, want the first %d", err, maxNamed)
	}
}
