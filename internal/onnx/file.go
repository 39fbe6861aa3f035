package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// A File is an ONNX file, parsed.
type File struct {
	proto *onnxpb.ModelProto
	bytes []byte // the file's; nil since proto is another
	hash  string // of the file, before anything was done to proto; "" as long as nobody asks

	Inputs, Outputs []Port // without the weights
	Metadata        map[string]string
	Trace           Trace

	twice string // a key that the metadata have twice; "" for none
}

// Read parses a file, which is not to be changed as long as the File is in use.
// The weights may lie elsewhere.
func Read(b []byte) (*File, error) {
	p := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(b, p); err != nil || p.GetGraph() == nil || len(p.GetOpsetImport()) == 0 {
		return nil, fmt.Errorf("got %d bytes that are no ONNX model, or only a part of one", len(b))
	}
	f := &File{proto: p, bytes: b, Metadata: map[string]string{}, Trace: traceGraph(p.GetGraph())}
	for _, e := range p.GetMetadataProps() {
		if _, twice := f.Metadata[e.GetKey()]; twice {
			f.twice = e.GetKey()
		}
		f.Metadata[e.GetKey()] = e.GetValue()
	}
	weights := map[string]bool{}
	for _, t := range p.GetGraph().GetInitializer() {
		weights[t.GetName()] = true
	}
	// Files of IR version 3 and older list their weights among the inputs too.
	inputs := slices.DeleteFunc(slices.Clone(p.GetGraph().GetInput()), func(v *onnxpb.ValueInfoProto) bool { return weights[v.GetName()] })
	var err error
	if f.Inputs, err = readPorts("input", inputs); err != nil {
		return nil, err
	}
	if f.Outputs, err = readPorts("output", p.GetGraph().GetOutput()); err != nil {
		return nil, err
	}
	if in := f.Inputs[0].Shape; len(in) > 0 && in[0] == graph.Dynamic && p.GetProducerName() != producer {
		for i := range f.Outputs {
			s := f.Outputs[i].Shape
			f.Outputs[i].traced = len(s) > 0 && s[0] != graph.Dynamic
		}
	}
	return f, nil
}

// Bytes returns the file as it is now, with what [File.Gather] and [File.Widen]
// have done to it.
func (f *File) Bytes() ([]byte, error) {
	if f.bytes == nil {
		b, err := proto.Marshal(f.proto)
		if err != nil {
			return nil, err
		}
		f.bytes = b
	}
	return f.bytes, nil
}

// Hash returns the [Hash] of the file as it was before [File.Widen].
func (f *File) Hash() (string, error) {
	if f.hash == "" {
		b, err := f.Bytes()
		if err != nil {
			return "", err
		}
		f.hash = Hash(b)
	}
	return f.hash, nil
}

// Hash returns SHA-256, in hexadecimal.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Release drops what only [File.Bytes], [File.Prune] and [File.Source] need, which
// may not be called any more.
func (f *File) Release() { f.proto, f.bytes = nil, nil }

// ReleaseBytes drops the bytes: who needs them again has them made anew.
func (f *File) ReleaseBytes() { f.bytes = nil }

// Prune returns the file's bytes without what the given outputs, in the file's
// order, do not need: ONNX Runtime computes every node that a model has, whatever it
// is asked for. The inputs stay.
func (f *File) Prune(outputs []string) ([]byte, error) {
	if slices.EqualFunc(f.Outputs, outputs, func(p Port, name string) bool { return p.Name == name }) {
		return f.Bytes()
	}
	needed := map[string]bool{}
	for _, name := range outputs {
		needed[name] = true
	}
	from := f.proto.Graph
	g := &onnxpb.GraphProto{Name: from.Name, Input: from.Input, SparseInitializer: from.SparseInitializer, QuantizationAnnotation: from.QuantizationAnnotation}
	for _, v := range from.Output {
		if slices.Contains(outputs, v.GetName()) {
			g.Output = append(g.Output, v)
		}
	}
	for _, n := range slices.Backward(from.Node) {
		if slices.ContainsFunc(n.GetOutput(), func(name string) bool { return needed[name] }) {
			need(n, needed)
			delete(needed, "") // omitted optional inputs
			g.Node = append(g.Node, n)
		}
	}
	slices.Reverse(g.Node)
	for _, t := range from.Initializer {
		if needed[t.GetName()] {
			g.Initializer = append(g.Initializer, t)
		}
	}
	p := &onnxpb.ModelProto{IrVersion: f.proto.IrVersion, OpsetImport: f.proto.OpsetImport, Functions: f.proto.Functions, ProducerName: f.proto.ProducerName, Graph: g}
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
