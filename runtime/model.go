package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Info is the name and the type of an input or output. Dimensions that the model
// leaves open are [graph.Dynamic]; the shape is nil where it declares none.
type Info struct {
	Name string
	graph.Type
}

func (i Info) String() string { return fmt.Sprintf("%q %v", i.Name, i.Type) }

// A port is an input or output with the names of its dynamic dimensions, "" for
// the others: dimensions of one name have one size.
type port struct {
	Info
	symbols []string
	// traced is an output whose first dimension may be other than declared: some
	// exporters declare the batch that they traced the network with, though it
	// takes any.
	traced bool
}

// A model is the bytes of an ONNX file and what they declare.
type model struct {
	bytes           []byte // as they are run: of a model of half precision with its inputs and outputs widened
	hash            string // of the file, as it was read
	inputs, outputs []port
	metadata        map[string]string
	trace           trace
}

// producer is what files of package onnxexport say that they come from.
const producer = "anomaly"

func unmarshal(b []byte) (*onnxpb.ModelProto, error) {
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(b, m); err != nil || m.GetGraph() == nil || len(m.GetOpsetImport()) == 0 {
		return nil, fmt.Errorf("%w: got %d bytes that are no ONNX model, or only a part of one", ErrModel, len(b))
	}
	return m, nil
}

// Hash returns the hash of a model, given as [ReadFile] returns it, that its
// [ModelInfo] and its results have: SHA-256, in hexadecimal.
func Hash(model []byte) string {
	sum := sha256.Sum256(model)
	return hex.EncodeToString(sum[:])
}

// readModel reads a model to be run.
func readModel(b []byte) (*model, error) {
	p, err := unmarshal(b)
	if err != nil {
		return nil, err
	}
	if outside := externals(p.GetGraph()); len(outside) > 0 {
		return nil, fmt.Errorf("%w: weight %q lies in another file: open the model by its path", ErrModel, outside[0].GetName())
	}
	m, err := declared(p)
	if err != nil {
		return nil, err
	}
	m.bytes, m.hash = b, Hash(b)
	if !slices.ContainsFunc(slices.Concat(m.inputs, m.outputs), func(p port) bool { return isHalf(p.DType) }) {
		return m, nil
	}
	if err := widen(p); err != nil {
		return nil, err
	}
	m.inputs, m.outputs = widened(m.inputs), widened(m.outputs)
	if m.bytes, err = proto.Marshal(p); err != nil {
		return nil, fmt.Errorf("%w: with float32 inputs and outputs: %w", ErrModel, err)
	}
	return m, nil
}

// declared returns what a model declares, without its bytes.
func declared(p *onnxpb.ModelProto) (*model, error) {
	m := &model{metadata: map[string]string{}, trace: traceGraph(p.GetGraph())}
	for _, e := range p.GetMetadataProps() {
		m.metadata[e.GetKey()] = e.GetValue()
	}
	weights := map[string]bool{}
	for _, t := range p.GetGraph().GetInitializer() {
		weights[t.GetName()] = true
	}
	// Files of IR version 3 and older list their weights among the inputs too.
	inputs := slices.DeleteFunc(slices.Clone(p.GetGraph().GetInput()), func(v *onnxpb.ValueInfoProto) bool { return weights[v.GetName()] })
	var err error
	if m.inputs, err = readPorts("input", inputs); err != nil {
		return nil, err
	}
	if m.outputs, err = readPorts("output", p.GetGraph().GetOutput()); err != nil {
		return nil, err
	}
	if in := m.inputs[0].Shape; len(in) > 0 && in[0] == graph.Dynamic && p.GetProducerName() != producer {
		for i := range m.outputs {
			s := m.outputs[i].Shape
			m.outputs[i].traced = len(s) > 0 && s[0] != graph.Dynamic
		}
	}
	return m, nil
}

func readPorts(what string, values []*onnxpb.ValueInfoProto) ([]port, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: has no %s", ErrModel, what)
	}
	var ports []port
	for _, v := range values {
		t := v.GetType().GetTensorType()
		if t == nil {
			return nil, fmt.Errorf("%w: %s %q is no tensor", ErrModel, what, v.GetName())
		}
		p := port{Info: Info{v.GetName(), graph.Type{DType: graph.DType(t.GetElemType())}}}
		if t.GetShape() != nil {
			p.Shape = []int{}
		}
		for _, d := range t.GetShape().GetDim() {
			size := graph.Dynamic
			if _, known := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue); known && d.GetDimValue() >= 0 {
				size = int(d.GetDimValue())
			}
			p.Shape = append(p.Shape, size)
			p.symbols = append(p.symbols, d.GetDimParam())
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// infos copies what callers may see, and change, of ports.
func infos(ports []port) []Info {
	var list []Info
	for _, p := range ports {
		list = append(list, Info{p.Name, graph.Type{DType: p.DType, Shape: slices.Clone(p.Shape)}})
	}
	return list
}

// find returns the port of that name, nil where there is none.
func find(ports []port, name string) *port {
	i := slices.IndexFunc(ports, func(p port) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &ports[i]
}

func describe(ports []port) string {
	var list []string
	for _, p := range ports {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

// bind checks a tensor against its declaration and notes in sizes how large the
// named dimensions are.
func (p *port) bind(t *graph.Tensor, sizes map[string]int) error {
	got := graph.Type{DType: t.DType(), Shape: t.Shape()}
	fits := got.DType == p.DType && (p.Shape == nil || len(got.Shape) == len(p.Shape))
	for i := 0; fits && i < len(p.Shape); i++ {
		d := got.Shape[i]
		want := p.Shape[i]
		if name := p.symbols[i]; want == graph.Dynamic && name != "" {
			if size, bound := sizes[name]; bound {
				want = size
			}
			sizes[name] = d
		}
		fits = want == graph.Dynamic || d == want || i == 0 && p.traced
	}
	if !fits {
		return fmt.Errorf("%q: got %v, want %v", p.Name, got, p.Type)
	}
	return nil
}

// resolve returns the shape of a port once the named dimensions are known, nil
// where some dimension is not.
func (p *port) resolve(sizes map[string]int) []int {
	if p.traced {
		return nil
	}
	shape := slices.Clone(p.Shape)
	for i, d := range shape {
		if d != graph.Dynamic {
			continue
		}
		size, bound := sizes[p.symbols[i]]
		if !bound {
			return nil
		}
		shape[i] = size
	}
	return shape
}

// prune returns the model's bytes without what the given outputs do not need:
// ONNX Runtime computes every node that a model has, whatever it is asked for.
// The inputs stay.
func (m *model) prune(outputs []string) ([]byte, error) {
	if slices.EqualFunc(m.outputs, outputs, func(p port, name string) bool { return p.Name == name }) {
		return m.bytes, nil
	}
	p, err := unmarshal(m.bytes)
	if err != nil {
		return nil, err
	}
	g := p.Graph
	g.Output = slices.DeleteFunc(g.Output, func(v *onnxpb.ValueInfoProto) bool { return !slices.Contains(outputs, v.GetName()) })
	needed := map[string]bool{}
	for _, name := range outputs {
		needed[name] = true
	}
	var nodes []*onnxpb.NodeProto
	for _, n := range slices.Backward(g.Node) {
		if slices.ContainsFunc(n.GetOutput(), func(name string) bool { return needed[name] }) {
			need(n, needed)
			delete(needed, "") // omitted optional inputs
			nodes = append(nodes, n)
		}
	}
	slices.Reverse(nodes)
	g.Node = nodes
	g.Initializer = slices.DeleteFunc(g.Initializer, func(t *onnxpb.TensorProto) bool { return !needed[t.GetName()] })
	g.ValueInfo = nil
	return proto.Marshal(p)
}

// need notes what a node reads, its subgraphs included.
func need(n *onnxpb.NodeProto, needed map[string]bool) {
	for _, name := range n.GetInput() {
		needed[name] = true
	}
	for _, g := range subgraphs(n) {
		for _, inner := range g.GetNode() {
			need(inner, needed)
		}
		for _, v := range g.GetOutput() {
			needed[v.GetName()] = true
		}
	}
}

// subgraphs returns the bodies of a Loop, If or Scan.
func subgraphs(n *onnxpb.NodeProto) []*onnxpb.GraphProto {
	var list []*onnxpb.GraphProto
	for _, a := range n.GetAttribute() {
		if a.GetG() != nil {
			list = append(list, a.GetG())
		}
		list = append(list, a.GetGraphs()...)
	}
	return list
}
