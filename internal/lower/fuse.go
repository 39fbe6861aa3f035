package lower

import (
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// fused returns g with sums taken into convolutions, as ONNX Runtime's can have
// them: a convolution in blocks whose result is used for nothing but a sum with
// another adds to that one, and takes the Relu that follows as it goes. Skip
// connections, gradients that meet and sums in bands are such sums, and each is a
// pass or two over the memory of an image less.
func fused(g *graph.Graph) *graph.Graph {
	nodes := g.Nodes()
	users := graph.Users(nodes)
	for _, v := range g.Outputs() {
		users[v] = append(users[v], nil)
	}
	sole := func(v *graph.Value, op string) *graph.Node {
		if u := users[v]; len(u) == 1 && u[0] != nil && u[0].Domain == "" && u[0].Op == op {
			return u[0]
		}
		return nil
	}
	taken := map[*graph.Node]bool{}               // nodes that are part of a later one
	sums := map[*graph.Node]func() *graph.Value{} // by the last node of each
	h := graph.New(g.Name())
	values := map[*graph.Value]*graph.Value{}
	for _, v := range g.Inputs() {
		values[v] = h.Input(v.Name(), v.DType, v.Shape...)
	}
	for _, v := range g.Params() {
		values[v] = h.Param(v.Name(), v.Shape...)
	}
	value := func(v *graph.Value) *graph.Value {
		if v != nil && values[v] == nil {
			values[v] = h.Const("", v.Const())
		}
		return values[v]
	}
	for _, add := range nodes {
		if add.Op != "Add" || add.Domain != "" || !slices.Equal(add.Inputs[0].Shape, add.Inputs[1].Shape) {
			continue
		}
		for i, v := range add.Inputs {
			conv := v.Node()
			if conv == nil || conv.Domain != nchwcDomain || conv.Op != "Conv" || len(conv.Inputs) > 3 ||
				conv.Text("activation", "") != "" || sole(v, "Add") == nil {
				continue
			}
			last, attrs := add, conv.Attrs
			if relu := sole(add.Outputs[0], "Relu"); relu != nil {
				last, attrs = relu, append(slices.Clone(attrs), graph.Attr{Name: "activation", Value: "Relu"})
				taken[add] = true
			}
			taken[conv] = true
			sums[last] = func() *graph.Value {
				return nchwcOp("Conv", attrs, v.Shape, value(conv.In(0)), value(conv.In(1)), value(conv.In(2)), value(add.Inputs[1-i]))
			}
			break
		}
	}
	for _, n := range nodes {
		switch sum := sums[n]; {
		case taken[n]:
		case sum != nil:
			values[n.Outputs[0]] = sum()
		default:
			operands := make([]*graph.Value, len(n.Inputs))
			for i, v := range n.Inputs {
				operands[i] = value(v)
			}
			var results []*graph.Value
			if n.Domain == "" {
				results = h.OpN(n.Op, n.Attrs, len(n.Outputs), operands...)
			} else {
				results = h.ForeignOp(n.Domain, n.Op, n.Attrs, []graph.Type{n.Outputs[0].Type}, operands...)
			}
			for i, v := range results {
				values[n.Outputs[i]] = v
			}
		}
	}
	for _, v := range g.Outputs() {
		h.Output(v.Name(), value(v))
	}
	return h
}
