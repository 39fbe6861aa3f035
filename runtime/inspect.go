package runtime

import (
	"math"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A Description says what is in an ONNX file.
type Description struct {
	Kind     string            `json:"kind"`   // KindDetector, KindReconstruction or KindOther: what a Detector takes it for
	Inputs   []TensorInfo      `json:"inputs"` // without the weights
	Outputs  []TensorInfo      `json:"outputs"`
	Producer string            `json:"producer"`
	Opset    int64             `json:"opset"`   // of ONNX's own operators
	Domains  map[string]int64  `json:"domains"` // opsets of other operators
	Ops      map[string]int    `json:"ops"`     // how many nodes there are of each operator, subgraphs included
	Params   int64             `json:"params"`  // numbers in floating-point weights; of files by package onnxexport without constants and thresholds
	MACs     *int64            `json:"macs"`    // multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul for one image; nil where shapes are unknown
	Metadata map[string]string `json:"metadata"`
}

// TensorInfo describes an input or output.
type TensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"` // as NumPy spells it
	Shape []int  `json:"shape"` // -1 is a dimension that the model leaves open; nil where it declares none
}

// Inspect describes a model, of any tool, without running it.
func Inspect(b []byte) (*Description, error) {
	p, err := unmarshal(b)
	if err != nil {
		return nil, err
	}
	m, err := declared(p)
	if err != nil {
		return nil, err
	}
	d := &Description{
		Kind:     KindOther,
		Inputs:   tensorInfos(m.inputs),
		Outputs:  tensorInfos(m.outputs),
		Producer: strings.TrimSpace(p.GetProducerName() + " " + p.GetProducerVersion()),
		Domains:  map[string]int64{},
		Ops:      map[string]int{},
		Metadata: m.metadata,
	}
	if c, err := recognize(m, &Options{}); err == nil {
		d.Kind = c.kind
	}
	for _, o := range p.GetOpsetImport() {
		if o.GetDomain() == "" || o.GetDomain() == "ai.onnx" {
			d.Opset = o.GetVersion()
		} else {
			d.Domains[o.GetDomain()] = o.GetVersion()
		}
	}
	countOps(p.GetGraph(), d.Ops)
	for _, t := range p.GetGraph().GetInitializer() {
		if n, ok := elements(dims(t)); ok && isWeight(p, t) {
			d.Params += int64(n)
		}
	}
	d.MACs = countMACs(p.GetGraph(), shapes(b, p.GetGraph(), m))
	return d, nil
}

func tensorInfos(ports []port) []TensorInfo {
	var list []TensorInfo
	for _, i := range infos(ports) {
		name := i.DType.String()
		if !known(i.DType) {
			name = strings.ToLower(onnxpb.TensorProto_DataType(i.DType).String())
		}
		list = append(list, TensorInfo{i.Name, name, i.Shape})
	}
	return list
}

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
			!strings.HasPrefix(name, "const_") && name != "threshold" && name != "pixel_threshold"
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
// and those that package graph infers where it knows all operators.
func shapes(b []byte, g *onnxpb.GraphProto, m *model) map[string][]int {
	all := map[string][]int{}
	inner, _ := readPorts("value", g.GetValueInfo()) // none is no mistake here
	for _, p := range slices.Concat(inner, m.outputs, m.inputs) {
		if p.Shape != nil {
			all[p.Name] = p.Shape
		}
	}
	for _, t := range g.GetInitializer() {
		all[t.GetName()] = dims(t)
	}
	parsed, err := onnxexport.Parse(b)
	if err != nil {
		return all
	}
	for _, n := range parsed.Graph.Nodes() {
		for _, v := range n.Outputs {
			all[v.Name()] = v.Shape
		}
	}
	return all
}

// countMACs adds up the multiply-accumulates of the nodes with matrix arithmetic,
// nil where a shape is missing.
func countMACs(g *onnxpb.GraphProto, shapes map[string][]int) *int64 {
	var sum int64
	for _, n := range g.GetNode() {
		if len(subgraphs(n)) > 0 {
			return nil
		}
		op := n.GetOpType()
		if op != "Conv" && op != "ConvTranspose" && op != "Gemm" && op != "MatMul" {
			continue
		}
		if len(n.GetInput()) < 2 || len(n.GetOutput()) == 0 {
			return nil
		}
		a, w, y := shapes[n.GetInput()[0]], shapes[n.GetInput()[1]], shapes[n.GetOutput()[0]]
		each, ok := elements(y)
		if len(a) == 0 || len(w) == 0 {
			return nil
		}
		inner, known := a[len(a)-1], true
		switch {
		case op == "Conv":
			inner, known = elements(w[1:])
		case op == "ConvTranspose": // counted from the pixels that go in
			each, ok = elements(a)
			inner, known = elements(w[1:])
		case op == "Gemm" && intAttr(n, "transA") != 0:
			inner = a[0]
		}
		if !ok || !known || inner < 0 || inner > 0 && int64(each) > (math.MaxInt64-sum)/int64(inner) {
			return nil
		}
		sum += int64(each) * int64(inner)
	}
	return &sum
}

// maxElements is beyond what any tensor has, and so small that the elements of
// a file's tensors can be added up.
const maxElements = 1 << 40

// elements is the number of elements for a batch of one; false where another
// dimension than the first is open, or no tensor is that large.
func elements(shape []int) (int, bool) {
	n := 1
	for i, d := range shape {
		if d == graph.Dynamic && i == 0 {
			d = 1
		}
		if d < 0 || d > 0 && n > maxElements/d {
			return 0, false
		}
		n *= d
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
