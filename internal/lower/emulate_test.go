package lower

import (
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// emulate rewrites a step's graph in operators of package graph, which state
// what those of ONNX Runtime do: so the interpreter can run it, in float64, with
// any block of channels, wherever the tests run.
func emulate(t *testing.T, g *graph.Graph, block int) *graph.Graph {
	t.Helper()
	h := graph.New(g.Name())
	values := map[*graph.Value]*graph.Value{}
	for _, v := range g.Inputs() {
		values[v] = h.Input(v.Name(), v.DType, v.Shape...)
	}
	for _, v := range g.Params() {
		values[v] = h.Param(v.Name(), v.Shape...)
	}
	for _, n := range g.Nodes() {
		var in []*graph.Value
		for _, v := range n.Inputs {
			if v != nil && values[v] == nil {
				values[v] = h.Const("", v.Const())
			}
			in = append(in, values[v])
		}
		y := n.Outputs[0]
		switch e := (emulator{block, in, n}); {
		case n.Domain == nchwcDomain:
			values[y] = e.nchwc(t)
		case n.Op == "Max":
			values[y] = in[0]
			for _, v := range in[1:] {
				values[y] = graph.Where(graph.Greater(v, values[y]), v, values[y])
			}
		case n.Op == "DepthToSpace":
			s := y.Shape
			x := graph.Reshape(in[0], s[0], 2, 2, s[1], s[2]/2, s[3]/2)
			values[y] = graph.Reshape(graph.Transpose(x, 0, 3, 4, 1, 5, 2), s...)
		case n.Op == "SpaceToDepth":
			s := n.Inputs[0].Shape
			x := graph.Reshape(in[0], s[0], s[1], s[2]/2, 2, s[3]/2, 2)
			values[y] = graph.Reshape(graph.Transpose(x, 0, 3, 5, 1, 2, 4), y.Shape...)
		default:
			for i, v := range h.OpN(n.Op, n.Attrs, len(n.Outputs), in...) {
				values[n.Outputs[i]] = v
			}
		}
		if got, want := values[y].Type.String(), y.Type.String(); h.Err() == nil && got != want {
			t.Fatalf("%s %q: got %s, declared as %s", n.Op, y.Name(), got, want)
		}
	}
	for _, v := range g.Outputs() {
		h.Output(v.Name(), values[v])
	}
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
	return h
}

type emulator struct {
	block int
	in    []*graph.Value
	n     *graph.Node
}

func (e emulator) nchwc(t *testing.T) *graph.Value {
	t.Helper()
	x, kernel := e.in[0], e.n.Ints("kernel_shape")
	switch e.n.Op {
	case "ReorderInput":
		return e.toBlocks(x)
	case "ReorderOutput":
		return graph.SliceAxis(e.toImage(x), 1, 0, int(e.n.Int("channels", 0)), 1)
	case "MaxPool":
		return e.toBlocks(graph.MaxPool(e.toImage(x), int(kernel[0]), int(kernel[1]), nil))
	case "GlobalAveragePool":
		return graph.ReduceMean(e.toImage(x), true, 2, 3)
	case "Conv":
		f := e.in[1]
		out, in, kh, kw, b := f.Dim(0), f.Dim(1), f.Dim(2), f.Dim(3), e.block
		if in < b {
			f = graph.Transpose(graph.Reshape(f, out/b, in, kh, kw, b), 0, 4, 1, 2, 3)
		} else {
			f = graph.Transpose(graph.Reshape(f, out/b, in/b, kh, kw, b, b), 0, 5, 1, 4, 2, 3)
			x = e.toImage(x)
		}
		var bias *graph.Value
		if len(e.in) > 2 {
			bias = e.in[2]
		}
		pair := func(name string) [2]int { v := e.n.Ints(name); return [2]int{int(v[0]), int(v[1])} }
		pads := e.n.Ints("pads")
		y := graph.Conv(x, graph.Reshape(f, out, in, kh, kw), bias, &graph.ConvOptions{
			Strides: pair("strides"), Dilations: pair("dilations"),
			Pads: [4]int{int(pads[0]), int(pads[1]), int(pads[2]), int(pads[3])},
		})
		if len(e.in) > 3 {
			y = graph.Add(y, e.toImage(e.in[3]))
		}
		if e.n.Text("activation", "") == "Relu" {
			y = graph.Relu(y)
		}
		return e.toBlocks(y)
	}
	t.Fatalf("unknown operator %s", e.n.Op)
	return nil
}

// toBlocks brings an image into the order that it has in blocks.
func (e emulator) toBlocks(x *graph.Value) *graph.Value {
	s := x.Shape
	v := graph.Transpose(graph.Reshape(x, s[0], s[1]/e.block, e.block, s[2], s[3]), 0, 1, 3, 4, 2)
	return graph.Reshape(v, s...)
}

func (e emulator) toImage(x *graph.Value) *graph.Value {
	s := x.Shape
	v := graph.Transpose(graph.Reshape(x, s[0], s[1]/e.block, s[2], s[3], e.block), 0, 1, 4, 2, 3)
	return graph.Reshape(v, s...)
}
