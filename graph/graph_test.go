package graph_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// TestStickyError: the first mistake stays, what is built on it is harmless.
func TestStickyError(t *testing.T) {
	g := graph.New("")
	x, y := g.Input("x", graph.Float32, 2), g.Input("y", graph.Float32, 3)
	bad := graph.Add(x, y)
	first := g.Err()
	if want := "graph: Add(x float32[2], y float32[3]): shapes [2] and [3] do not broadcast"; first == nil || first.Error() != want {
		t.Fatalf("got error %v, want %s", first, want)
	}
	if !errors.Is(first, graph.ErrGraph) {
		t.Errorf("%v does not wrap ErrGraph", first)
	}
	z := graph.MeanAll(graph.Conv(graph.Relu(bad), bad, nil, nil))
	graph.MatMul(x, y)
	g.Output("z", z)
	if g.Err() != first {
		t.Errorf("got error %v, want the first one: %v", g.Err(), first)
	}
	if len(g.Outputs()) != 0 || len(g.Nodes(z)) != 0 {
		t.Errorf("got outputs %v and %d nodes, want none", g.Outputs(), len(g.Nodes(z)))
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph)
		want  string
	}{
		{"input twice", func(g *graph.Graph) { g.Input("x", graph.Float32, 1); g.Input("x", graph.Float32, 1) }, `graph: two values are named "x"`},
		{"input and parameter", func(g *graph.Graph) { g.Input("x", graph.Float32, 1); g.Param("x", 1) }, `graph: two values are named "x"`},
		{"no name", func(g *graph.Graph) { g.Param("", 2) }, "graph: float32[2] value without a name"},
		{"dimension", func(g *graph.Graph) { g.Input("x", graph.Float32, 1, -2) }, `graph: value "x": dimension 1 is -2`},
		{"output takes an input's name", func(g *graph.Graph) { x := g.Input("x", graph.Float32, 1); g.Output("x", graph.Neg(x)) }, `graph: two values are named "x"`},
		{"output twice", func(g *graph.Graph) {
			y := graph.Neg(g.Input("x", graph.Float32, 1))
			g.Output("y", y)
			g.Output("y", graph.Neg(y))
		}, `graph: two values are named "y"`},
		{"output of another graph", func(g *graph.Graph) { g.Output("y", graph.New("").Scalar(1)) }, `graph: output "y": value "const_0" belongs to another graph`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New("")
			c.build(g)
			if err := g.Err(); err == nil || err.Error() != c.want {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	g := graph.New("net")
	x, w := g.Input("x", graph.Float32, 2), g.Param("w", 2)
	y := graph.Add(x, w)
	auto := y.Name()
	if got := g.Output("y", y); got != y || y.Name() != "y" || g.Lookup("y") != y || g.Lookup(auto) != nil {
		t.Errorf("got %q, looked up %v and %v, want the sum under its new name alone", got.Name(), g.Lookup("y"), g.Lookup(auto))
	}
	again, same := g.Output("again", y), g.Output("same", x)
	for _, v := range []*graph.Value{again, same} {
		if v.Node() == nil || v.Node().Op != "Identity" {
			t.Errorf("output %q: got node %v, want Identity", v.Name(), v.Node())
		}
	}
	if !slices.Equal(g.Outputs(), []*graph.Value{y, again, same}) || g.Err() != nil {
		t.Errorf("got outputs %v, error %v", g.Outputs(), g.Err())
	}
	if !slices.Equal(g.Inputs(), []*graph.Value{x}) || !slices.Equal(g.Params(), []*graph.Value{w}) || x.IsParam() || !w.IsParam() {
		t.Errorf("got inputs %v and parameters %v", g.Inputs(), g.Params())
	}
}

func TestRename(t *testing.T) {
	g := graph.New("")
	pool := g.OpN("MaxPool", attr("kernel_shape", []int64{1, 1}), 2, g.Input("x", graph.Float32, 1, 1, 2, 2))
	auto := []string{pool[0].Name(), pool[1].Name()}
	pool[0].Node().Rename("y", "")
	if pool[0].Name() != "y" || g.Lookup("y") != pool[0] || g.Lookup(auto[0]) != nil || pool[1].Name() != auto[1] {
		t.Errorf("got %q and %q, want y and %q", pool[0].Name(), pool[1].Name(), auto[1])
	}
	pool[0].Node().Rename(auto[1], "y") // they change places
	if g.Err() != nil || g.Lookup("y") != pool[1] || g.Lookup(auto[1]) != pool[0] {
		t.Errorf("got %q and %q, error %v", pool[0].Name(), pool[1].Name(), g.Err())
	}
	pool[0].Node().Rename("x")
	if want := `graph: two values are named "x"`; g.Err() == nil || g.Err().Error() != want {
		t.Errorf("got error %v, want %s", g.Err(), want)
	}
}

func TestNodes(t *testing.T) {
	g := graph.New("")
	x := g.Input("x", graph.Float32, 2)
	a := graph.Relu(x)
	graph.Neg(a) // dead
	b := graph.Abs(a)
	c := graph.Add(b, graph.Sigmoid(x))
	g.Output("c", c)
	ops := func(values ...*graph.Value) string {
		var names []string
		for _, n := range g.Nodes(values...) {
			names = append(names, n.Op)
		}
		return fmt.Sprint(names)
	}
	for _, k := range []struct{ got, want string }{
		{ops(), "[Relu Abs Sigmoid Add]"},
		{ops(b), "[Relu Abs]"},
		{ops(x), "[]"},
		{ops(b, a), "[Relu Abs]"},
	} {
		if k.got != k.want {
			t.Errorf("got %s, want %s", k.got, k.want)
		}
	}
}

func TestScalarsAreShared(t *testing.T) {
	g := graph.New("")
	if g.Scalar(0.1) != g.Scalar(float64(float32(0.1))) {
		t.Error("equal scalars are two constants")
	}
	if g.Scalar(1) == g.Scalar(2) {
		t.Error("different scalars are one constant")
	}
	if got := graph.Data[float32](g.Scalar(2).Const()); len(got) != 1 || got[0] != 2 {
		t.Errorf("got %v, want 2", got)
	}
}

func TestAttributes(t *testing.T) {
	g := graph.New("")
	y := graph.Conv(g.Input("x", graph.Float32, 1, 1, 5, 7), g.Param("w", 1, 1, 3, 2), nil, &graph.ConvOptions{Strides: [2]int{2, 0}})
	n := y.Node()
	if !slices.IsSortedFunc(n.Attrs, func(a, b graph.Attr) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Errorf("attributes %v are not sorted", n.Attrs)
	}
	if got := n.Ints("strides"); !slices.Equal(got, []int64{2, 1}) {
		t.Errorf("strides: got %v, want 2 and the default 1", got)
	}
	if got := n.Ints("kernel_shape"); !slices.Equal(got, []int64{3, 2}) {
		t.Errorf("kernel_shape: got %v, want [3 2]", got)
	}
	if n.Int("group", 7) != 1 || n.Int("absent", 7) != 7 || n.Float("group", 0.5) != 0.5 || n.Text("absent", "x") != "x" {
		t.Errorf("got %v, want group 1 and defaults where an attribute is absent or of another type", n.Attrs)
	}
	if n.In(1).Name() != "w" || n.In(2) != nil {
		t.Errorf("got operands %v", n.Inputs)
	}
}

func TestForeignOp(t *testing.T) {
	g := graph.New("")
	x := g.Input("x", graph.Float32, 2)
	ys := g.ForeignOp("com.example", "Twice", nil, []graph.Type{{DType: graph.Float32, Shape: []int{1}}, {DType: graph.Int64}}, x)
	if len(ys) != 2 || ys[0].Type.String() != "float32[1]" || ys[1].Type.String() != "int64[?]" || ys[0].Node() != ys[1].Node() || ys[0].Node().Domain != "com.example" {
		t.Errorf("got %v", ys)
	}
	if graph.Known("Twice") || !graph.Known("Conv") {
		t.Error("Known: want Conv, not Twice")
	}
}

func TestDim(t *testing.T) {
	x := graph.New("").Input("x", graph.Float32, graph.Dynamic, 3)
	for i, want := range map[int]int{0: graph.Dynamic, 1: 3, -1: 3, -2: graph.Dynamic, 2: 0, -3: 0} {
		if got := x.Dim(i); got != want {
			t.Errorf("dimension %d: got %d, want %d", i, got, want)
		}
	}
}
