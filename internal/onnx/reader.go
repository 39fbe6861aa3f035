package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// What a file may declare. Far beyond any image model, and small enough that
// products of two such numbers do not overflow an int64.
const (
	maxRank     = 32
	maxElements = min(1<<31, math.MaxInt)
	maxResults  = 1 << 10 // of one operator; Split has the most
)

// A reader turns a file's graph into one of package graph.
type reader struct {
	source  *Source
	shapes  map[string][]int         // of the inputs; nil leaves them as declared and folds nothing
	decide  map[string]*graph.Tensor // values of inputs that shapes depend on
	anySize bool                     // inputs may have other shapes than those declared
	graph   *graph.Graph
	values  map[string]*graph.Value // what nodes may use so far
	outputs map[string]bool         // names of the graph's
	named   map[*graph.Value]bool   // those that have the name they have in the file
	fixed   map[*graph.Value]bool   // constants that do not depend on the inputs' shapes
	steps   map[*graph.Value]step   // what QuantizeLinear made
	grids   map[*graph.Value]grid   // of what DequantizeLinear made
	weights map[string]*graph.Tensor
	local   []string // names in values of the bodies that the node being read is in
	depth   int      // of these
	room    int64    // elements that folding may still make
	work    int64    // operations it may still take
}

func newReader(s *Source, shapes map[string][]int, values map[string]*graph.Tensor) *reader {
	r := &reader{
		source:  s,
		shapes:  shapes,
		decide:  values,
		graph:   graph.New(s.graph.GetName()),
		values:  map[string]*graph.Value{},
		outputs: map[string]bool{},
		named:   map[*graph.Value]bool{},
		fixed:   map[*graph.Value]bool{},
		steps:   map[*graph.Value]step{},
		grids:   map[*graph.Value]grid{},
		weights: map[string]*graph.Tensor{},
		room:    minFoldRoom,
		work:    maxFoldWork,
	}
	for _, l := range s.leaves {
		r.room += foldRatio * int64(l.elements())
	}
	return r
}

func (r *reader) read(p *onnxpb.GraphProto) error {
	// Operators may come out as several: what lies between them gets names of its own.
	for _, n := range p.Node {
		r.graph.Reserve(n.Output...)
	}
	for _, out := range p.Output {
		r.outputs[out.GetName()] = true
	}
	initialized := map[string]bool{}
	for _, l := range r.source.leaves {
		initialized[l.name] = true
		r.graph.Reserve(l.name)
	}
	for _, in := range p.Input {
		r.graph.Reserve(in.GetName())
	}
	for _, in := range p.Input {
		if initialized[in.GetName()] { // a default value, as IR 3 demanded for every initializer
			continue
		}
		if err := r.input(in); err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
	}
	constant := shaping(p.Node)
	if r.shapes == nil {
		for _, l := range r.source.leaves {
			if l.tensor.DType() == graph.Float32 && len(l.tensor.Shape()) > 0 && !constant[l.name] {
				r.weights[l.name] = l.tensor
			}
		}
	}
	for _, l := range r.source.leaves {
		var err error
		if l.tensor == nil {
			r.define(l.name, r.graph.Param(l.name, l.shape...))
			err = r.graph.Err()
		} else {
			err = r.leaf(l.name, l.tensor)
		}
		if err != nil {
			return fmt.Errorf("initializer %q: %w", l.name, err)
		}
	}
	for i, n := range p.Node {
		if err := r.node(i, n); err != nil {
			return fmt.Errorf("%s: %w", describe(i, n), err)
		}
	}
	if len(p.Output) == 0 {
		return fmt.Errorf("got no outputs, want at least one")
	}
	declared := map[string]bool{}
	for _, out := range p.Output {
		err := r.output(out)
		if declared[out.GetName()] {
			err = fmt.Errorf("want it declared once")
		}
		if err != nil {
			return fmt.Errorf("output %q: %w", out.GetName(), err)
		}
		declared[out.GetName()] = true
	}
	return nil
}

// input declares an input of the graph.
func (r *reader) input(p *onnxpb.ValueInfoProto) error {
	t, err := valueType(p)
	if err != nil {
		return err
	}
	if r.shapes != nil {
		shape, given := r.shapes[p.GetName()]
		if !given || slices.Contains(shape, graph.Dynamic) || !r.anySize && t.Shape != nil && !slices.EqualFunc(shape, t.Shape, mayBe) {
			return fmt.Errorf("shape: got %v, want that of %v", shape, t)
		}
		t.Shape = slices.Clone(shape)
	}
	if t.Shape == nil {
		return fmt.Errorf("got no shape")
	}
	if _, ok := elemSize[t.DType]; !ok {
		return fmt.Errorf("element type %v: not supported", onnxpb.TensorProto_DataType(t.DType))
	}
	if err := checkType(t); err != nil {
		return err
	}
	v := r.graph.Input(p.GetName(), t.DType, t.Shape...)
	if x := r.decide[p.GetName()]; x != nil {
		if x.DType() != t.DType || !slices.Equal(x.Shape(), t.Shape) {
			return fmt.Errorf("value: got %v%v, want %v", x.DType(), x.Shape(), t)
		}
		v = r.graph.Const("", x)
	}
	r.define(p.GetName(), v)
	return r.graph.Err()
}

// define gives a name, unless it is that of an omitted result, its value.
func (r *reader) define(name string, v *graph.Value) {
	if name == "" {
		return
	}
	r.values[name] = v
	if r.depth > 0 {
		r.local = append(r.local, name)
	}
}

// leaf adds an initializer to the graph: a parameter if it is a weight.
func (r *reader) leaf(name string, t *graph.Tensor) error {
	switch {
	case name == "":
		return fmt.Errorf("got no name")
	case r.values[name] != nil:
		return fmt.Errorf("two values are named %q", name)
	case r.weights[name] != nil:
		r.define(name, r.graph.Param(name, t.Shape()...))
	default:
		r.define(name, r.constant(r.constantName(name), t))
	}
	return r.graph.Err()
}

// constantName returns what a constant of that name in the file is called in the
// graph: "", for one that the graph finds, if the name is an output's, which
// only an operator can give, or one of a body, which others can share.
func (r *reader) constantName(name string) string {
	if r.depth > 0 || r.outputs[name] {
		return ""
	}
	return name
}

// constant adds a constant that does not depend on the inputs' shapes.
func (r *reader) constant(name string, t *graph.Tensor) *graph.Value {
	v := r.graph.Const(name, t)
	r.fixed[v] = true
	return v
}

func (r *reader) node(i int, p *onnxpb.NodeProto) error {
	if len(p.Output) < 1 || len(p.Output) > maxResults {
		return fmt.Errorf("got %d results, want 1 to %d", len(p.Output), maxResults)
	}
	for _, name := range p.Output {
		if r.values[name] != nil {
			return fmt.Errorf("two values are named %q", name)
		}
	}
	if p.GetOpType() == opIf {
		return r.branch(p)
	}
	attrs, err := attributes(p.Attribute)
	if err != nil {
		return err
	}
	n := &node{reader: r, graph: r.graph, op: p.GetOpType(), name: r.constantName(p.Output[0]), opset: r.source.opset, attrs: attrs, results: len(p.Output)}
	for j, name := range p.Input {
		v := r.values[name]
		if v == nil && name != "" {
			return fmt.Errorf("operand %d: nothing before it gives %q", j, name)
		}
		n.in = append(n.in, v)
	}
	if r.source.hazard == nil && divides(p.GetOpType()) && len(n.in) == 2 && n.in[1] != nil {
		r.source.hazard = hazard(describe(i, p), n.in[1].Const())
	}
	for len(n.in) > 0 && n.in[len(n.in)-1] == nil {
		n.in = n.in[:len(n.in)-1]
	}
	results, err := r.results(i, n)
	if err != nil {
		return err
	}
	for j, name := range p.Output {
		if name == "" {
			continue
		}
		v := results[j]
		if err := checkType(v.Type); err != nil {
			return fmt.Errorf("result %q: %w", name, err)
		}
		if of := v.Node(); of != nil && !r.named[v] && r.depth == 0 {
			names := make([]string, len(of.Outputs))
			names[slices.Index(of.Outputs, v)] = name
			of.Rename(names...)
			r.named[v] = true
		}
		r.define(name, v)
	}
	return r.graph.Err()
}

// results imports a node, and computes what it gives if that depends on constants alone.
func (r *reader) results(i int, n *node) ([]*graph.Value, error) {
	if tensors := r.source.folded[i]; tensors != nil && r.shapes != nil && r.depth == 0 {
		var vs []*graph.Value
		for _, t := range tensors {
			vs = append(vs, r.constant("", t))
		}
		return vs, nil
	}
	operands := n.in
	vs, err := n.convert()
	if err != nil {
		return nil, err
	}
	for _, v := range vs {
		if err := checkType(v.Type); err != nil {
			return nil, err
		}
	}
	if r.shapes == nil {
		return vs, nil
	}
	return r.fold(i, operands, vs)
}

func (r *reader) output(p *onnxpb.ValueInfoProto) error {
	v := r.values[p.GetName()]
	if v == nil {
		return fmt.Errorf("no node gives it")
	}
	t, err := valueType(p)
	if err != nil {
		return err
	}
	// Of shapes that the file's writer saw for one image, others are no mistake.
	if strict := r.shapes == nil; t.DType != v.DType || strict && t.Shape != nil && !slices.EqualFunc(t.Shape, v.Shape, mayBe) {
		return fmt.Errorf("the file declares %v, its operators give %v", t, v.Type)
	}
	r.graph.Output(p.GetName(), v)
	return r.graph.Err()
}

// mayBe reports whether two dimensions can be the same.
func mayBe(a, b int) bool { return a == b || a == graph.Dynamic || b == graph.Dynamic }

// valueType returns a declared type; its shape is nil where none is declared.
func valueType(p *onnxpb.ValueInfoProto) (graph.Type, error) {
	tt := p.GetType().GetTensorType()
	if tt == nil {
		return graph.Type{}, fmt.Errorf("want a tensor")
	}
	t := graph.Type{DType: held(tt.GetElemType())}
	if tt.Shape == nil {
		return t, nil
	}
	t.Shape = []int{}
	for _, d := range tt.Shape.Dim {
		size := graph.Dynamic
		if v, ok := d.Value.(*onnxpb.TensorShapeProto_Dimension_DimValue); ok {
			if v.DimValue < 0 || v.DimValue > maxElements {
				return t, fmt.Errorf("got a dimension of %d", v.DimValue)
			}
			size = int(v.DimValue)
		}
		t.Shape = append(t.Shape, size)
	}
	return t, nil
}

// checkType refuses shapes that no tensor has, before the sizes of later results grow from them.
func checkType(t graph.Type) error {
	elements := int64(1)
	for _, d := range t.Shape {
		if d == graph.Dynamic {
			continue
		}
		if elements *= int64(d); d < 0 || d > maxElements || elements > maxElements {
			return fmt.Errorf("%w: got %v, want at most %d elements for each image", ErrMemory, t, maxElements)
		}
	}
	if len(t.Shape) > maxRank {
		return fmt.Errorf("got %d dimensions, want at most %d", len(t.Shape), maxRank)
	}
	return nil
}

func attributes(ps []*onnxpb.AttributeProto) ([]graph.Attr, error) {
	var attrs []graph.Attr
	seen := map[string]bool{}
	for _, p := range ps {
		a := graph.Attr{Name: p.GetName()}
		if seen[a.Name] {
			return nil, fmt.Errorf("two attributes are named %q", a.Name)
		}
		seen[a.Name] = true
		switch p.GetType() {
		case onnxpb.AttributeProto_INT:
			a.Value = p.GetI()
		case onnxpb.AttributeProto_FLOAT:
			a.Value = p.GetF()
		case onnxpb.AttributeProto_STRING:
			a.Value = string(p.GetS())
		case onnxpb.AttributeProto_INTS:
			a.Value = append([]int64{}, p.Ints...)
		case onnxpb.AttributeProto_FLOATS:
			a.Value = append([]float32{}, p.Floats...)
		case onnxpb.AttributeProto_TENSOR:
			if p.T == nil {
				return nil, fmt.Errorf("attribute %q: got no tensor", a.Name)
			}
			t, err := tensor(p.GetT())
			if err != nil {
				return nil, fmt.Errorf("attribute %q: %w", a.Name, err)
			}
			a.Value = t
		default:
			return nil, fmt.Errorf("attribute %q of type %v: not supported", a.Name, p.GetType())
		}
		attrs = append(attrs, a)
	}
	return attrs, nil
}
