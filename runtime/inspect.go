package runtime

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A Description says what is in an ONNX file.
type Description struct {
	Kind     string            `json:"kind"`              // what a Detector takes it for: KindDetector, KindAnomalib, KindReconstruction or KindOther
	Problem  string            `json:"problem,omitempty"` // why it is KindOther
	Images   *ImagesInfo       `json:"images"`            // that it takes; nil for KindOther
	Inputs   []TensorInfo      `json:"inputs"`            // without the weights
	Outputs  []TensorInfo      `json:"outputs"`
	Producer string            `json:"producer"`
	Opset    int64             `json:"opset"`   // of ONNX's own operators
	Domains  map[string]int64  `json:"domains"` // opsets of other operators
	Ops      map[string]int    `json:"ops"`     // how many nodes there are of each operator, subgraphs included
	Params   int64             `json:"params"`  // numbers in floating-point weights; of files by package onnxexport without constants and thresholds
	MACs     *int64            `json:"macs"`    // multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul for one image; nil where shapes are unknown
	Metadata map[string]string `json:"metadata"`

	Threshold      *float32 `json:"threshold"`       // score above which an image is anomalous; nil where none is known
	PixelThreshold *float32 `json:"pixel_threshold"` // the same for a pixel of the map
}

// ImagesInfo describes the images that a model takes.
type ImagesInfo struct {
	Layout   string `json:"layout"` // NCHW or NHWC
	Batch    int    `json:"batch"`  // images at once; -1 is any number
	Channels int    `json:"channels"`
	Height   int    `json:"height"` // pixels; 0 where each image keeps its own size
	Width    int    `json:"width"`
	SizedBy  string `json:"sized_by"` // input, or where that leaves it open: graph (which resizes to it), map, or image
	Range    string `json:"range"`    // what black and white are
}

// TensorInfo describes an input or output.
type TensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"` // as NumPy spells it
	Shape []int  `json:"shape"` // -1 is a dimension that the model leaves open; nil where it declares none

	Meaning string `json:"meaning,omitempty"` // images, map, score, label, mask or reconstruction; "" where it is not known
}

// Inspect describes a model, of any tool, without running it.
func Inspect(b []byte) (*Description, error) {
	p, err := unmarshal(b)
	if err != nil {
		return nil, err
	}
	return inspect(p, b)
}

// InspectFile is [Inspect] for a file, with the metadata that anomalib writes
// beside it. Weights in other files are not read.
func InspectFile(path string) (*Description, error) {
	b, err := regular.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	p, err := unmarshal(b)
	if err == nil {
		_, err = addSidecar(p, filepath.Dir(path))
	}
	var d *Description
	if err == nil {
		d, err = inspect(p, b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// inspect describes a model that was read from b.
func inspect(p *onnxpb.ModelProto, b []byte) (*Description, error) {
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
	m.inputs, m.outputs = widened(m.inputs), widened(m.outputs)
	if c, err := recognize(m, &Options{}); err == nil {
		d.describe(c)
	} else {
		d.Problem = strings.TrimPrefix(strings.TrimPrefix(err.Error(), ErrModel.Error()+": "), ErrInput.Error()+": ")
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

// describe fills in what a contract says.
func (d *Description) describe(c *contract) {
	d.Kind = c.kind
	d.Threshold, d.PixelThreshold = c.threshold, c.pixelThreshold
	i := &c.images
	d.Images = &ImagesInfo{i.layout, i.batch, i.channels, max(i.height, 0), max(i.width, 0), cmp.Or(c.sizedBy, "image"), c.inRange.String()}
	d.Inputs[0].Meaning = "images"
	for i := range d.Outputs {
		out := &d.Outputs[i]
		is := func(p *port) bool { return p != nil && p.Name == out.Name }
		switch {
		case is(c.residuals):
			out.Meaning = "map"
		case is(c.score):
			out.Meaning = "score"
		case is(c.label), out.Name == outLabel:
			out.Meaning = "label"
		case is(c.reconstruction):
			out.Meaning = "reconstruction"
		case out.Name == outMask:
			out.Meaning = "mask"
		}
	}
}

func tensorInfos(ports []port) []TensorInfo {
	var list []TensorInfo
	for _, i := range infos(ports) {
		name := i.DType.String()
		if !known(i.DType) {
			name = strings.ToLower(onnxpb.TensorProto_DataType(i.DType).String())
		}
		list = append(list, TensorInfo{Name: i.Name, DType: name, Shape: i.Shape})
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
// and for a batch of one those that package graph infers where it knows all
// operators.
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
	file, err := onnxexport.Read(b)
	if err != nil {
		return all
	}
	one := map[string][]int{} // image
	for _, p := range m.inputs {
		if one[p.Name] = slices.Clone(p.Shape); len(p.Shape) > 0 && p.Shape[0] == graph.Dynamic {
			one[p.Name][0] = 1
		}
	}
	computed, err := file.For(one, nil)
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

// countMACs adds up the multiply-accumulates of the nodes with matrix arithmetic,
// nil where a shape is missing.
func countMACs(g *onnxpb.GraphProto, shapes map[string][]int) *int64 {
	value := func(names []string, i int) *graph.Value {
		v := &graph.Value{}
		if i < len(names) {
			v.Shape = shapes[names[i]]
		}
		return v
	}
	var sum int64
	for _, n := range g.GetNode() {
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
