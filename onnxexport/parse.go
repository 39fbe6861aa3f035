package onnxexport

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// What a file may declare. Far beyond any image model, and small enough that
// products of two such numbers do not overflow.
const (
	maxRank     = 32
	maxElements = 1 << 31
	maxResults  = 1 << 10 // of one operator; Split has the most
)

// Parse reads an ONNX file: any that [Marshal] wrote, and others of opset 18 or
// later that keep to the operators of package graph, and to those of their
// attributes that it gives a meaning to. It infers all types anew and holds the
// file to them.
//
// A float32 initializer becomes a parameter and its weight, so that it can be
// trained on or replaced; those of rank 0 and those whose values the shapes
// depend on become constants, as do the initializers of every other type.
// Marshal of the result gives the same bytes again if Marshal wrote b.
//
// Parse trusts nothing in b: every error wraps [ErrModel].
func Parse(b []byte) (*Model, error) {
	var file onnxpb.ModelProto
	if err := proto.Unmarshal(b, &file); err != nil || file.Graph == nil || file.GetIrVersion() == 0 {
		return nil, errorf("%d bytes are not an ONNX model", len(b))
	}
	if err := checkOpsets(file.OpsetImport); err != nil {
		return nil, err
	}
	r := reader{
		graph:   graph.New(file.Graph.GetName()),
		values:  map[string]*graph.Value{},
		weights: map[string]*graph.Tensor{},
	}
	if err := r.read(file.Graph); err != nil {
		return nil, errorf("graph %q: %w", file.Graph.GetName(), err)
	}
	m := &Model{Graph: r.graph, Weights: r.weights, Metadata: map[string]string{}}
	for _, kv := range file.MetadataProps {
		if _, twice := m.Metadata[kv.GetKey()]; twice {
			return nil, errorf("two metadata entries have the key %q", kv.GetKey())
		}
		m.Metadata[kv.GetKey()] = kv.GetValue()
	}
	return m, nil
}

func checkOpsets(imports []*onnxpb.OperatorSetIdProto) error {
	for _, o := range imports {
		if ownDomain(o.GetDomain()) {
			if v := o.GetVersion(); v < opset {
				return errorf("got opset %d, want %d or later", v, opset)
			}
			return nil
		}
	}
	return errorf("got no opset of ONNX's own operators, want %d or later", opset)
}

// ownDomain reports whether a domain is ONNX's own, which has two spellings.
func ownDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

type reader struct {
	graph   *graph.Graph
	values  map[string]*graph.Value // what nodes may use so far
	weights map[string]*graph.Tensor
}

func (r *reader) read(p *onnxpb.GraphProto) error {
	if len(p.SparseInitializer) > 0 {
		return fmt.Errorf("sparse initializers are not supported")
	}
	initialized := map[string]bool{}
	for _, t := range p.Initializer {
		initialized[t.GetName()] = true
	}
	for _, in := range p.Input {
		if initialized[in.GetName()] { // a default value, as IR 3 demanded for every initializer
			continue
		}
		if err := r.input(in); err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
	}
	constant := shapeOperands(p.Node)
	for _, t := range p.Initializer {
		x, err := tensor(t)
		if err != nil {
			return fmt.Errorf("initializer %q: %w", t.GetName(), err)
		}
		if err := r.leaf(t.GetName(), x, constant[t.GetName()]); err != nil {
			return fmt.Errorf("initializer %q: %w", t.GetName(), err)
		}
	}
	for i, n := range p.Node {
		if err := r.node(n); err != nil {
			return fmt.Errorf("node %d (%s %q): %w", i, n.GetOpType(), n.GetName(), err)
		}
	}
	if len(p.Output) == 0 {
		return fmt.Errorf("got no outputs, want at least one")
	}
	for _, out := range p.Output {
		if err := r.output(out); err != nil {
			return fmt.Errorf("output %q: %w", out.GetName(), err)
		}
	}
	return nil
}

// shapeOperands returns the names of the float operands whose values are part
// of a shape: the region and the scales of Resize.
func shapeOperands(nodes []*onnxpb.NodeProto) map[string]bool {
	names := map[string]bool{}
	for _, n := range nodes {
		if n.GetOpType() == "Resize" {
			for _, name := range n.Input[min(1, len(n.Input)):] {
				names[name] = true
			}
		}
	}
	return names
}

// input declares an input of the graph.
func (r *reader) input(p *onnxpb.ValueInfoProto) error {
	t, err := valueType(p)
	if err != nil {
		return err
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
	r.values[p.GetName()] = r.graph.Input(p.GetName(), t.DType, t.Shape...)
	return r.graph.Err()
}

// leaf adds an initializer to the graph.
func (r *reader) leaf(name string, t *graph.Tensor, constant bool) error {
	switch {
	case name == "":
		return fmt.Errorf("got no name")
	case t.DType() == graph.Float32 && len(t.Shape()) > 0 && !constant:
		r.values[name] = r.graph.Param(name, t.Shape()...)
		r.weights[name] = t
	default:
		r.values[name] = r.graph.Const(name, t)
	}
	return r.graph.Err()
}

func (r *reader) node(p *onnxpb.NodeProto) error {
	if !ownDomain(p.GetDomain()) || !graph.Known(p.GetOpType()) && p.GetOpType() != "Constant" {
		return fmt.Errorf("operator %s of domain %q is not supported", p.GetOpType(), p.GetDomain())
	}
	attrs, err := attributes(p.Attribute)
	if err != nil {
		return err
	}
	var operands []*graph.Value
	for i, name := range p.Input {
		v := r.values[name]
		if v == nil && name != "" {
			return fmt.Errorf("operand %d: nothing before it gives %q", i, name)
		}
		operands = append(operands, v)
	}
	if len(p.Output) < 1 || len(p.Output) > maxResults {
		return fmt.Errorf("got %d results, want 1 to %d", len(p.Output), maxResults)
	}
	for _, name := range p.Output {
		if r.values[name] != nil {
			return fmt.Errorf("two values are named %q", name)
		}
	}
	if p.GetOpType() == "Constant" {
		return r.constant(p.Output[0], attrs)
	}
	results, err := r.infer(p.GetOpType(), attrs, len(p.Output), operands)
	if err != nil {
		return err
	}
	results[0].Node().Rename(p.Output...)
	for i, name := range p.Output {
		if err := checkType(results[i].Type); err != nil {
			return fmt.Errorf("result %q: %w", name, err)
		}
		if name != "" {
			r.values[name] = results[i]
		}
	}
	return r.graph.Err()
}

// infer appends an operator. Shape inference trusts those who build graphs with
// the functions of package graph to give the operands and attributes that an
// operator must have; what a file gives may be anything.
func (r *reader) infer(op string, attrs []graph.Attr, results int, operands []*graph.Value) (vs []*graph.Value, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("operands or attributes do not fit the operator (%v)", e)
		}
	}()
	vs = r.graph.OpN(op, attrs, results, operands...)
	return vs, r.graph.Err()
}

// constant adds the value of a Constant node, as other exporters write constants.
func (r *reader) constant(name string, attrs []graph.Attr) error {
	if len(attrs) != 1 {
		return fmt.Errorf("got %d attributes, want 1", len(attrs))
	}
	var t *graph.Tensor
	switch x := attrs[0].Value.(type) {
	case *graph.Tensor:
		t = x
	case int64:
		t = graph.NewTensor([]int64{x})
	case []int64:
		t = graph.NewTensor(x, len(x))
	case float32:
		t = graph.NewTensor([]float32{x})
	case []float32:
		t = graph.NewTensor(x, len(x))
	default:
		return fmt.Errorf("attribute %q: not supported", attrs[0].Name)
	}
	return r.leaf(name, t, true)
}

func (r *reader) output(p *onnxpb.ValueInfoProto) error {
	v := r.values[p.GetName()]
	if v == nil {
		return fmt.Errorf("no node gives it")
	}
	if v.Node() == nil || slices.Contains(r.graph.Outputs(), v) {
		return fmt.Errorf("want the result of an operator, declared once")
	}
	t, err := valueType(p)
	if err != nil {
		return err
	}
	fits := func(a, b int) bool { return a == b || a == graph.Dynamic || b == graph.Dynamic }
	if t.DType != v.DType || t.Shape != nil && !slices.EqualFunc(t.Shape, v.Shape, fits) {
		return fmt.Errorf("the file declares %v, its operators give %v", t, v.Type)
	}
	r.graph.Output(p.GetName(), v)
	return r.graph.Err()
}

// valueType returns a declared type; its shape is nil where none is declared.
func valueType(p *onnxpb.ValueInfoProto) (graph.Type, error) {
	tt := p.GetType().GetTensorType()
	if tt == nil {
		return graph.Type{}, fmt.Errorf("want a tensor")
	}
	t := graph.Type{DType: graph.DType(tt.GetElemType())}
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
	elements := 1
	for _, d := range t.Shape {
		if d == graph.Dynamic {
			continue
		}
		if elements *= d; d < 0 || d > maxElements || elements > maxElements {
			return fmt.Errorf("got %v, want at most %d elements for each image", t, maxElements)
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
