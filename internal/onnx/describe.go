package onnx

import (
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Producer returns the name and version of the tool that wrote the file.
func (f *File) Producer() string {
	return strings.TrimSpace(f.proto.GetProducerName() + " " + f.proto.GetProducerVersion())
}

// Opsets returns the opset of ONNX's own operators, and those of others.
func (f *File) Opsets() (own int64, domains map[string]int64) {
	domains = map[string]int64{}
	for _, o := range f.proto.GetOpsetImport() {
		if ownDomain(o.GetDomain()) {
			own = o.GetVersion()
		} else {
			domains[o.GetDomain()] = o.GetVersion()
		}
	}
	return own, domains
}

// Ops counts the nodes of each operator, subgraphs included.
func (f *File) Ops() map[string]int {
	ops := map[string]int{}
	countOps(f.proto.GetGraph(), ops)
	return ops
}

// Params counts the numbers in floating-point weights; of files of ours without
// constants and thresholds.
func (f *File) Params() int64 {
	var sum int64
	for _, t := range f.proto.GetGraph().GetInitializer() {
		if n, ok := elements(dims(t)); ok && isWeight(f.proto, t) {
			sum += n
		}
	}
	return sum
}

// DTypeName returns a type as NumPy spells it, also of one that no tensor can be of.
func DTypeName(d graph.DType) string {
	if Known(d) {
		return d.String()
	}
	return strings.ToLower(onnxpb.TensorProto_DataType(d).String())
}

// Known reports whether tensors can be of the type.
func Known(d graph.DType) bool { _, ok := elemSize[d]; return ok }

func countOps(g *onnxpb.GraphProto, ops map[string]int) {
	for _, n := range g.GetNode() {
		ops[n.GetOpType()]++
		for _, inner := range subgraphs(n) {
			countOps(inner, ops)
		}
	}
}

// isWeight reports whether an initializer is floating-point and learned. Other
// tools' constants cannot be told from their weights; ours bear graph.Const's
// names or are thresholds.
func isWeight(p *onnxpb.ModelProto, t *onnxpb.TensorProto) bool {
	switch onnxpb.TensorProto_DataType(t.GetDataType()) {
	case onnxpb.TensorProto_FLOAT, onnxpb.TensorProto_DOUBLE, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
		name := t.GetName()
		return p.GetProducerName() != producer ||
			!strings.HasPrefix(name, "const_") && !strings.HasSuffix(name, scaleSuffix) && name != Threshold && name != PixelThreshold
	case onnxpb.TensorProto_INT8:
		return p.GetProducerName() == producer && strings.HasSuffix(t.GetName(), int8Suffix)
	}
	return false
}

func dims(t *onnxpb.TensorProto) []int {
	shape := []int{}
	for _, d := range t.GetDims() {
		shape = append(shape, int(d))
	}
	return shape
}

// shapes collects the shapes of values by name: those that the file declares,
// and for a batch of one those that package graph infers where it knows all
// operators.
func (f *File) shapes() map[string][]int {
	g := f.proto.GetGraph()
	all := map[string][]int{}
	inner, _ := readPorts("value", g.GetValueInfo()) // none is no mistake here
	for _, p := range slices.Concat(inner, f.Outputs, f.Inputs) {
		if p.Shape != nil {
			all[p.Name] = p.Shape
		}
	}
	for _, t := range g.GetInitializer() {
		all[t.GetName()] = dims(t)
	}
	s, err := f.Source()
	if err != nil {
		return all
	}
	one := map[string][]int{} // image
	for _, p := range f.Inputs {
		if one[p.Name] = slices.Clone(p.Shape); len(p.Shape) > 0 && p.Shape[0] == graph.Dynamic {
			one[p.Name][0] = 1
		}
	}
	computed, err := s.For(one, nil)
	if err != nil {
		return all
	}
	for _, n := range computed.Graph.Nodes() {
		for _, v := range n.Outputs {
			all[v.Name()] = v.Shape
		}
	}
	return all
}

// MACs adds up the multiply-accumulates of the nodes with matrix arithmetic for one
// image, nil where a shape is missing.
func (f *File) MACs() *int64 {
	shapes := f.shapes()
	value := func(names []string, i int) *graph.Value {
		v := &graph.Value{}
		if i < len(names) {
			v.Shape = shapes[names[i]]
		}
		return v
	}
	var sum int64
	for _, n := range f.proto.GetGraph().GetNode() {
		if len(subgraphs(n)) > 0 {
			return nil
		}
		macs := (&graph.Node{
			Op: n.GetOpType(), Attrs: []graph.Attr{{Name: "transA", Value: intAttr(n, "transA")}},
			Inputs: []*graph.Value{value(n.GetInput(), 0), value(n.GetInput(), 1)}, Outputs: []*graph.Value{value(n.GetOutput(), 0)},
		}).MACs()
		if macs > graph.Open-1-sum {
			return nil
		}
		sum += macs
	}
	return &sum
}

// mostElements is beyond what any tensor has, and so small that the elements of
// a file's tensors can be added up.
const mostElements = 1 << 40

// elements is the number of elements for a batch of one; false where another
// dimension than the first is open, or no tensor is that large.
func elements(shape []int) (int64, bool) {
	n := int64(1)
	for i, d := range shape {
		if d == graph.Dynamic && i == 0 {
			d = 1
		}
		if d < 0 || d > 0 && n > mostElements/int64(d) {
			return 0, false
		}
		n *= int64(d)
	}
	return n, shape != nil
}

func intAttr(n *onnxpb.NodeProto, name string) int64 {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a.GetI()
		}
	}
	return 0
}
