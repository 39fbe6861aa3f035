package onnx

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

const (
	irVersion = 8         // the first that goes with the opset
	opset     = 18        // of ONNX's own domain; what package graph builds
	producer  = "anomaly" // of files of ours
)

// A Model is what an ONNX file holds.
type Model struct {
	Graph    *graph.Graph
	Weights  map[string]*graph.Tensor // values of the graph's parameters, by name
	Metadata map[string]string        // the file's metadata_props
}

// Marshal returns m as the bytes of an ONNX file. Equal models give equal bytes, and
// no part of them from the beginning is a model.
//
// The graph's inputs come first, then its parameters without a weight: so a
// training step takes its parameters as inputs. Parameters with a weight and
// constants become initializers under their own names, in the order of their
// first use. Operators that no output depends on are left out, and so are
// the parameters and constants that only those use.
//
// A model whose metadata name a precision ([KeyPrecision]) is written in it.
func Marshal(m *Model) ([]byte, error) {
	g := m.Graph
	if err := m.Validate(); err != nil {
		return nil, err
	}
	p := &onnxpb.GraphProto{Name: proto.String(cmp.Or(g.Name(), "graph"))}
	for _, v := range g.Inputs() {
		p.Input = append(p.Input, valueInfo(v))
	}
	for _, v := range g.Params() {
		if m.Weights[v.Name()] == nil {
			p.Input = append(p.Input, valueInfo(v))
		}
	}
	for _, v := range g.Outputs() {
		p.Output = append(p.Output, valueInfo(v))
	}

	narrow, err := m.narrowing()
	if err != nil {
		return nil, err
	}
	if narrow != nil {
		narrow.nodes, narrow.inits = &p.Node, &p.Initializer
		for _, v := range g.Inputs() {
			if q, ok := narrow.held[v]; ok {
				narrow.quantize(v.Name(), q)
			}
		}
	}
	domains := map[string]bool{}
	written := map[*graph.Value]bool{}
	for _, n := range g.Nodes() {
		domains[n.Domain] = true
		node, err := nodeProto(n)
		if err != nil {
			return nil, err
		}
		if narrow != nil {
			if err := narrow.add(n, node); err != nil {
				return nil, err
			}
			continue
		}
		p.Node = append(p.Node, node)
		for _, v := range n.Inputs {
			if v == nil || written[v] {
				continue
			}
			written[v] = true
			t := v.Const()
			if v.IsParam() {
				t = m.Weights[v.Name()]
			}
			if t != nil {
				p.Initializer = append(p.Initializer, tensorProto(v.Name(), t))
			}
		}
	}

	delete(domains, "")
	file := &onnxpb.ModelProto{
		IrVersion:    proto.Int64(irVersion),
		ProducerName: proto.String(producer),
		OpsetImport:  []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opset)}},
	}
	for _, d := range slices.Sorted(maps.Keys(domains)) {
		file.OpsetImport = append(file.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String(d), Version: proto.Int64(1)})
	}
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		file.MetadataProps = append(file.MetadataProps, &onnxpb.StringStringEntryProto{
			Key: proto.String(key), Value: proto.String(m.Metadata[key]),
		})
	}
	return encode(file, p)
}

// encode returns the bytes of a file with a graph. The graph comes last, though its
// field's number is not the largest: so no beginning of a file, as one finds while
// it is copied, is a model.
func encode(file *onnxpb.ModelProto, g *onnxpb.GraphProto) ([]byte, error) {
	var b []byte
	for _, part := range []*onnxpb.ModelProto{file, {Graph: g}} {
		if size := len(b) + proto.Size(part); size > math.MaxInt32 {
			return nil, fmt.Errorf("got %d bytes, want less than protobuf's 2 GiB", size)
		}
		var err error
		if b, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, part); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Validate reports what keeps a model from becoming a file.
func (m *Model) Validate() error {
	g := m.Graph
	if g == nil {
		return fmt.Errorf("got a model without a graph")
	}
	if err := g.Err(); err != nil {
		return err
	}
	if len(g.Outputs()) == 0 {
		return fmt.Errorf("graph %q: got no outputs, want at least one", g.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(m.Weights)) {
		v, t := g.Lookup(name), m.Weights[name]
		if v == nil || !v.IsParam() {
			return fmt.Errorf("weight %q: the graph has no such parameter", name)
		}
		if t == nil {
			return fmt.Errorf("weight %q: got nil, want %v", name, v.Type)
		}
		if got := (graph.Type{DType: t.DType(), Shape: t.Shape()}); got.DType != v.DType || !slices.Equal(got.Shape, v.Shape) {
			return fmt.Errorf("weight %q: got %v, want %v", name, got, v.Type)
		}
	}
	return nil
}

// dimNames are the names of dimensions that are graph.Dynamic, by axis, as images
// have them: dimensions of one name have one size.
var dimNames = []string{"N", "C", "H", "W"}

func valueInfo(v *graph.Value) *onnxpb.ValueInfoProto {
	t := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(v.DType))}
	if v.Shape != nil {
		t.Shape = &onnxpb.TensorShapeProto{}
		for axis, d := range v.Shape {
			dim := &onnxpb.TensorShapeProto_Dimension{}
			if d != graph.Dynamic {
				dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
			} else if axis < len(dimNames) {
				dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: dimNames[axis]}
			}
			t.Shape.Dim = append(t.Shape.Dim, dim)
		}
	}
	return &onnxpb.ValueInfoProto{
		Name: proto.String(v.Name()),
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: t}},
	}
}

// nodeProto names the node after its first result: runtimes name it in their errors.
func nodeProto(n *graph.Node) (*onnxpb.NodeProto, error) {
	p := &onnxpb.NodeProto{OpType: proto.String(n.Op), Name: proto.String(n.Outputs[0].Name())}
	if n.Domain != "" {
		p.Domain = proto.String(n.Domain)
	}
	for _, v := range n.Inputs {
		name := ""
		if v != nil {
			name = v.Name()
		}
		p.Input = append(p.Input, name)
	}
	for _, v := range n.Outputs {
		p.Output = append(p.Output, v.Name())
	}
	for _, a := range n.Attrs {
		q := &onnxpb.AttributeProto{Name: proto.String(a.Name)}
		switch x := a.Value.(type) {
		case int64:
			q.Type, q.I = onnxpb.AttributeProto_INT.Enum(), proto.Int64(x)
		case float32:
			q.Type, q.F = onnxpb.AttributeProto_FLOAT.Enum(), proto.Float32(x)
		case string:
			q.Type, q.S = onnxpb.AttributeProto_STRING.Enum(), []byte(x)
		case []int64:
			q.Type, q.Ints = onnxpb.AttributeProto_INTS.Enum(), x
		case []float32:
			q.Type, q.Floats = onnxpb.AttributeProto_FLOATS.Enum(), x
		case *graph.Tensor:
			q.Type, q.T = onnxpb.AttributeProto_TENSOR.Enum(), tensorProto("", x)
		default:
			return nil, fmt.Errorf("%s %q, attribute %s: got a %T", n.Op, n.Outputs[0].Name(), a.Name, a.Value)
		}
		p.Attribute = append(p.Attribute, q)
	}
	return p, nil
}

// InFieldOrder returns a file of [Marshal] as it was before its graph came last:
// with its fields in the order of their numbers.
func InFieldOrder(b []byte) ([]byte, error) {
	var p onnxpb.ModelProto
	if err := proto.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&p)
	if err != nil {
		return nil, err
	}
	return b, nil
}
