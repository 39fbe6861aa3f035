package onnx

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// isHalf reports whether a type is one that tensors of package graph cannot hold
// and that float32 holds without loss.
func isHalf(d graph.DType) bool {
	t := onnxpb.TensorProto_DataType(d)
	return t == onnxpb.TensorProto_FLOAT16 || t == onnxpb.TensorProto_BFLOAT16
}

// Widen gives a model of half precision float32 inputs and outputs, by a Cast at
// each of these edges. Names stay, and between the edges all is computed as it was.
func (f *File) Widen() error {
	if !slices.ContainsFunc(slices.Concat(f.Inputs, f.Outputs), func(p Port) bool { return isHalf(p.DType) }) {
		return nil
	}
	if _, err := f.Hash(); err != nil {
		return err
	}
	g := f.proto.GetGraph()
	rename := map[string]string{}
	var first, last []*onnxpb.NodeProto
	edge := func(v *onnxpb.ValueInfoProto, cast func(inner string, half int64) *onnxpb.NodeProto) error {
		t := v.GetType().GetTensorType()
		if t == nil || !isHalf(graph.DType(t.GetElemType())) {
			return nil
		}
		name := v.GetName()
		if _, twice := rename[name]; twice {
			return fmt.Errorf("%q is an input or output of half precision twice", name)
		}
		rename[name] = name + "/half"
		n := cast(rename[name], int64(t.GetElemType()))
		n.Name = proto.String("widen/" + name)
		n.OpType = proto.String("Cast")
		t.ElemType = proto.Int32(int32(graph.Float32))
		return nil
	}
	weights := map[string]bool{}
	for _, t := range g.GetInitializer() {
		weights[t.GetName()] = true
	}
	for _, v := range g.GetInput() {
		if weights[v.GetName()] {
			continue
		}
		if err := edge(v, func(inner string, half int64) *onnxpb.NodeProto {
			n := &onnxpb.NodeProto{Input: []string{v.GetName()}, Output: []string{inner}, Attribute: integer("to", half)}
			first = append(first, n)
			return n
		}); err != nil {
			return err
		}
	}
	for _, v := range g.GetOutput() {
		if err := edge(v, func(inner string, _ int64) *onnxpb.NodeProto {
			n := &onnxpb.NodeProto{Input: []string{inner}, Output: []string{v.GetName()}, Attribute: integer("to", int64(graph.Float32))}
			last = append(last, n)
			return n
		}); err != nil {
			return err
		}
	}
	renameIn(g, rename)
	g.Node = slices.Concat(first, g.GetNode(), last)
	g.ValueInfo = slices.DeleteFunc(g.GetValueInfo(), func(v *onnxpb.ValueInfoProto) bool { return rename[v.GetName()] != "" })
	f.bytes = nil
	f.DeclareWide()
	return nil
}

// DeclareWide changes but the ports, to what [File.Widen] makes of them.
func (f *File) DeclareWide() {
	for _, ports := range [][]Port{f.Inputs, f.Outputs} {
		for i := range ports {
			if isHalf(ports[i].DType) {
				ports[i].DType = graph.Float32
			}
		}
	}
}

// renameIn changes the names of values in nodes and in the bodies of theirs.
func renameIn(g *onnxpb.GraphProto, names map[string]string) {
	change := func(list []string) {
		for i, name := range list {
			if to := names[name]; to != "" {
				list[i] = to
			}
		}
	}
	for _, n := range g.GetNode() {
		change(n.GetInput())
		change(n.GetOutput())
		for _, inner := range subgraphs(n) {
			renameIn(inner, names)
			for _, v := range inner.GetOutput() {
				if to := names[v.GetName()]; to != "" {
					v.Name = proto.String(to)
				}
			}
		}
	}
}
