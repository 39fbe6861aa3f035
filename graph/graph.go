package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrGraph is wrapped by every error of building or differentiating a graph.
var ErrGraph = errors.New("graph")

// A Graph is a directed acyclic graph of ONNX operators. It is not safe for
// concurrent building; once built it is safe for concurrent reading.
type Graph struct {
	name    string
	inputs  []*Value
	params  []*Value
	outputs []*Value
	nodes   int // that were appended
	byName  map[string]*Value
	kept    map[string]bool // names that only their owners get
	passed  map[string]int  // by prefix, the number up to which names were tried where some are kept
	scalars map[float32]*Value
	err     error
}

// A Value is one tensor in a graph: an input, a parameter, a constant or a result of an operator.
type Value struct {
	Type
	g     *Graph
	name  string
	node  *Node // nil for inputs, parameters and constants
	konst *Tensor
	kind  valueKind
}

type valueKind uint8

const (
	result valueKind = iota
	input
	param
	constant
	invalid // stands for the result of an operator that failed
)

// A Node is one ONNX operator.
type Node struct {
	Op      string // ONNX operator type, such as Conv
	Domain  string // "" is ONNX's own
	Inputs  []*Value
	Outputs []*Value
	Attrs   []Attr // sorted by name
	place   int    // among all nodes of the graph
}

// An Attr is an attribute of a node. Value is an int64, float32, string, []int64, []float32 or *Tensor.
type Attr struct {
	Name  string
	Value any
}

// New returns an empty graph.
func New(name string) *Graph {
	return &Graph{name: name, byName: map[string]*Value{}, kept: map[string]bool{}, passed: map[string]int{}, scalars: map[float32]*Value{}}
}

// Reserve keeps names for values that will be called so: no value that the
// graph finds a name for gets one of them.
func (g *Graph) Reserve(names ...string) {
	for _, name := range names {
		g.kept[name] = true
	}
}

// Name returns the graph's name.
func (g *Graph) Name() string { return g.name }

// Err returns the first mistake made in building g.
func (g *Graph) Err() error { return g.err }

// Inputs returns the graph's inputs in the order of their declaration.
func (g *Graph) Inputs() []*Value { return g.inputs }

// Params returns the graph's parameters (weights) in the order of their declaration.
func (g *Graph) Params() []*Value { return g.params }

// Outputs returns the graph's outputs in the order of their declaration.
func (g *Graph) Outputs() []*Value { return g.outputs }

// Lookup returns the value of that name, or nil.
func (g *Graph) Lookup(name string) *Value { return g.byName[name] }

// Name returns the value's name, unique in its graph.
func (v *Value) Name() string { return v.name }

// Graph returns the graph that v is part of.
func (v *Value) Graph() *Graph { return v.g }

// Const returns the tensor of a constant, nil for other values.
func (v *Value) Const() *Tensor { return v.konst }

// Node returns the operator that v is a result of, nil for inputs, parameters and constants.
func (v *Value) Node() *Node { return v.node }

// IsParam reports whether v is a parameter.
func (v *Value) IsParam() bool { return v.kind == param }

// Rank returns the number of dimensions.
func (v *Value) Rank() int { return len(v.Shape) }

// Dim returns dimension i; a negative i counts from the end. It is 0 where there is none.
func (v *Value) Dim(i int) int {
	if i < 0 {
		i += len(v.Shape)
	}
	if i < 0 || i >= len(v.Shape) {
		return 0
	}
	return v.Shape[i]
}

// Attr returns the attribute of that name, or def where n has none.
func attr[T any](n *Node, name string, def T) T {
	for _, a := range n.Attrs {
		if a.Name == name {
			if v, ok := a.Value.(T); ok {
				return v
			}
		}
	}
	return def
}

// Int returns an integer attribute, or def where n has none.
func (n *Node) Int(name string, def int64) int64 { return attr(n, name, def) }

// Float returns a float attribute, or def where n has none.
func (n *Node) Float(name string, def float32) float32 { return attr(n, name, def) }

// Text returns a string attribute, or def where n has none.
func (n *Node) Text(name, def string) string { return attr(n, name, def) }

// Ints returns an integer list, or def where n has none.
func (n *Node) Ints(name string, def ...int64) []int64 { return attr(n, name, def) }

// In returns input i, nil where it is omitted.
func (n *Node) In(i int) *Value {
	if i >= len(n.Inputs) {
		return nil
	}
	return n.Inputs[i]
}

// Rename gives n's results other names, in their order; "" leaves one as it is.
func (n *Node) Rename(names ...string) {
	for i, name := range names {
		if name != "" {
			delete(n.Outputs[i].g.byName, n.Outputs[i].name)
		}
	}
	for i, name := range names {
		v := n.Outputs[i]
		switch {
		case name == "":
		case v.g.byName[name] != nil:
			v.g.fail("two values are named %q", name)
		default:
			v.name = name
			v.g.byName[name] = v
		}
	}
}

func (g *Graph) fail(format string, args ...any) *Value {
	if g.err == nil {
		g.err = fmt.Errorf("%w: %s", ErrGraph, fmt.Sprintf(format, args...))
	}
	return &Value{g: g, kind: invalid, name: "invalid", Type: Type{DType: Float32}}
}

func (g *Graph) leaf(kind valueKind, name string, t Type) *Value {
	v := &Value{g: g, kind: kind, name: name, Type: Type{t.DType, slices.Clone(t.Shape)}}
	if name == "" {
		return g.fail("%s value without a name", t)
	}
	if _, taken := g.byName[name]; taken {
		return g.fail("two values are named %q", name)
	}
	for i, d := range t.Shape {
		if d < 0 && d != Dynamic {
			return g.fail("value %q: dimension %d is %d", name, i, d)
		}
	}
	g.byName[name] = v
	return v
}

// Input declares an input of the graph.
func (g *Graph) Input(name string, dtype DType, shape ...int) *Value {
	v := g.leaf(input, name, Type{dtype, append([]int{}, shape...)})
	if v.kind == input {
		g.inputs = append(g.inputs, v)
	}
	return v
}

// Param declares a parameter: a float32 tensor that training changes. It becomes
// an input of a training graph and an initializer of an exported model.
func (g *Graph) Param(name string, shape ...int) *Value {
	v := g.leaf(param, name, Type{Float32, append([]int{}, shape...)})
	if v.kind == param {
		g.params = append(g.params, v)
	}
	return v
}

// Const adds a constant. An empty name is replaced by a unique one.
func (g *Graph) Const(name string, t *Tensor) *Value {
	if name == "" {
		name = g.fresh("const")
	}
	v := g.leaf(constant, name, Type{t.dtype, t.shape})
	if v.kind == constant {
		v.konst = t
	}
	return v
}

// Scalar adds a float32 constant of rank 0. Equal scalars are one constant.
func (g *Graph) Scalar(x float64) *Value {
	f := float32(x)
	if v, ok := g.scalars[f]; ok {
		return v
	}
	v := g.Const("", NewTensor([]float32{f}))
	if f == f {
		g.scalars[f] = v
	}
	return v
}

// ints adds an int64 vector, as shapes, axes and pads are given in ONNX.
func (g *Graph) ints(xs ...int) *Value {
	d := make([]int64, len(xs))
	for i, x := range xs {
		d[i] = int64(x)
	}
	return g.Const("", NewTensor(d, len(d)))
}

// Output declares v as an output called name.
func (g *Graph) Output(name string, v *Value) *Value {
	if v.kind == invalid || g.err != nil {
		return v
	}
	if v.g != g {
		return g.fail("output %q: value %q belongs to another graph", name, v.name)
	}
	if v.kind != result || slices.Contains(g.outputs, v) {
		v = g.Op("Identity", nil, v)
	}
	if old, taken := g.byName[name]; taken && old != v {
		return g.fail("two values are named %q", name)
	}
	delete(g.byName, v.name)
	v.name = name
	g.byName[name] = v
	g.outputs = append(g.outputs, v)
	return v
}

func (g *Graph) fresh(prefix string) string {
	for i := max(len(g.byName), g.passed[prefix]); ; i++ {
		name := fmt.Sprintf("%s_%d", prefix, i)
		if _, taken := g.byName[name]; !taken && !g.kept[name] {
			if len(g.kept) > 0 { // a file can have kept all the names to come
				g.passed[prefix] = i + 1
			}
			return name
		}
	}
}

// Op appends an operator of ONNX's own domain with one result, whose type is
// inferred. It is what the functions of this package and readers of ONNX files
// build on: prefer [Conv], [Add] and their like. A nil operand is an omitted
// optional input.
func (g *Graph) Op(op string, attrs []Attr, operands ...*Value) *Value {
	outs := g.OpN(op, attrs, 1, operands...)
	return outs[0]
}

// OpN is [Graph.Op] for an operator with several results.
func (g *Graph) OpN(op string, attrs []Attr, results int, operands ...*Value) []*Value {
	bad := func(v *Value) []*Value { return slices.Repeat([]*Value{v}, results) }
	def, ok := operators[op]
	if !ok {
		return bad(g.fail("operator %q is not known", op))
	}
	n := &Node{Op: op, Inputs: operands, Attrs: sortedAttrs(attrs)}
	for i, v := range operands {
		switch {
		case v == nil:
			if i < def.operands.least {
				return bad(g.fail("%s: operand %d is missing", op, i))
			}
		case v.kind == invalid:
			return bad(v)
		case v.g != g:
			return bad(g.fail("%s: operand %d (%q) belongs to another graph", op, i, v.name))
		}
	}
	var types []Type
	err := def.checkOperands(operands)
	if err == nil {
		err = def.checkAttrs(n.Attrs)
	}
	if err == nil {
		types, err = def.infer(n)
	}
	if err == nil && len(types) < results {
		err = fmt.Errorf("has %d results, want %d", len(types), results)
	}
	if err != nil {
		return bad(g.fail("%s(%s): %v", op, describe(operands), err))
	}
	return g.append(n, types[:results])
}

// ForeignOp appends an operator of a domain that the package knows nothing of,
// with results of the given types. Providers' own operators (such as ONNX
// Runtime's NCHWc convolutions) enter a graph this way. It has no gradient.
func (g *Graph) ForeignOp(domain, op string, attrs []Attr, types []Type, operands ...*Value) []*Value {
	return g.append(&Node{Op: op, Domain: domain, Inputs: operands, Attrs: sortedAttrs(attrs)}, types)
}

func (g *Graph) append(n *Node, types []Type) []*Value {
	for _, t := range types {
		v := &Value{g: g, kind: result, node: n, Type: t, name: g.fresh(strings.ToLower(n.Op))}
		g.byName[v.name] = v
		n.Outputs = append(n.Outputs, v)
	}
	n.place = g.nodes
	g.nodes++
	return n.Outputs
}

func sortedAttrs(attrs []Attr) []Attr {
	attrs = slices.Clone(attrs)
	slices.SortFunc(attrs, func(a, b Attr) int { return strings.Compare(a.Name, b.Name) })
	return attrs
}

func describe(operands []*Value) string {
	var parts []string
	for _, v := range operands {
		if v == nil {
			parts = append(parts, "-")
			continue
		}
		parts = append(parts, v.name+" "+v.Type.String())
	}
	return strings.Join(parts, ", ")
}

// Users returns which of the operators have a value as an operand, in their order,
// an operator once for each time.
func Users(nodes []*Node) map[*Value][]*Node {
	users := map[*Value][]*Node{}
	for _, n := range nodes {
		for _, v := range n.Inputs {
			if v != nil {
				users[v] = append(users[v], n)
			}
		}
	}
	return users
}

// Nodes returns, in topological order, the operators that the given values
// depend on; without arguments those that the outputs depend on.
func (g *Graph) Nodes(values ...*Value) []*Node {
	if len(values) == 0 {
		values = g.outputs
	}
	var nodes []*Node
	live := map[*Node]bool{}
	visit := func(v *Value) {
		if v != nil && v.node != nil && !live[v.node] {
			live[v.node] = true
			nodes = append(nodes, v.node)
		}
	}
	for _, v := range values {
		visit(v)
	}
	for i := 0; i < len(nodes); i++ {
		for _, in := range nodes[i].Inputs {
			visit(in)
		}
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return a.place - b.place })
	return nodes
}
