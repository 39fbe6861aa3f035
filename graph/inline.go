package graph

import (
	"fmt"
	"slices"
)

// Inline appends the operators of another graph to g, inputs standing for its
// inputs in their order, and returns what its outputs are in g. Types are inferred
// anew: inputs may have dimensions that are dynamic there and fixed here.
// Parameters keep their names, and are one where g has them already.
func (g *Graph) Inline(from *Graph, inputs ...*Value) []*Value {
	if len(inputs) != len(from.inputs) || from.err != nil {
		return slices.Repeat([]*Value{g.fail("inline graph %q: got %d inputs for %d, error %v", from.name, len(inputs), len(from.inputs), from.err)}, len(from.outputs))
	}
	here := map[*Value]*Value{}
	for i, v := range from.inputs {
		here[v] = inputs[i]
	}
	for _, n := range from.Nodes() {
		g.replay(n, here)
	}
	out := make([]*Value, len(from.outputs))
	for i, v := range from.outputs {
		out[i] = here[v]
	}
	return out
}

// Cut returns the graph of what to depends on, from being its input "x", a value
// that all of it depends on, of the given type there, and to its outputs, called
// prefix and their number. Nothing but from may be an input on the way.
func Cut(from *Value, to []*Value, t Type, prefix string) *Graph {
	g := New(from.g.name)
	here := map[*Value]*Value{from: g.Input("x", t.DType, t.Shape...)}
	needed := map[*Node]bool{}
	todo := slices.Clone(to)
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || v == from || v.node == nil || needed[v.node] {
			continue
		}
		needed[v.node] = true
		todo = append(todo, v.node.Inputs...)
	}
	for _, n := range from.g.Nodes(to...) {
		if needed[n] {
			g.replay(n, here)
		}
	}
	for i, v := range to {
		if here[v] == nil {
			here[v] = g.leafLike(v)
		}
		g.Output(fmt.Sprint(prefix, i), here[v])
	}
	return g
}

// replay appends an operator of another graph, whose values are here.
func (g *Graph) replay(n *Node, here map[*Value]*Value) {
	operands := make([]*Value, len(n.Inputs))
	for i, v := range n.Inputs {
		if v != nil && here[v] == nil {
			here[v] = g.leafLike(v)
		}
		operands[i] = here[v]
	}
	for i, v := range g.OpN(n.Op, n.Attrs, len(n.Outputs), operands...) {
		here[n.Outputs[i]] = v
	}
}

// leafLike returns g's parameter or constant for one of another graph.
func (g *Graph) leafLike(v *Value) *Value {
	switch {
	case v.kind == param && g.byName[v.name] != nil:
		return g.byName[v.name]
	case v.kind == param:
		return g.Param(v.name, v.Shape...)
	case v.kind == constant && v.DType == Float32 && v.Rank() == 0:
		return g.Scalar(float64(Data[float32](v.konst)[0]))
	case v.kind == constant:
		return g.Const("", v.konst)
	}
	return g.fail("inline: %q is no leaf", v.name)
}
