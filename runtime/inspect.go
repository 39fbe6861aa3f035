package runtime

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/internal/onnx"
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

	Unused []string `json:"unused,omitempty"` // outputs that a Detector makes nothing of

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
	f, err := onnx.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return inspect(f), nil
}

// InspectFile is [Inspect] for a file, with the metadata that anomalib writes
// beside it. Weights in other files are not read.
func InspectFile(path string) (*Description, error) {
	b, err := readBytes(path)
	if err != nil {
		return nil, err
	}
	f, err := onnx.Read(b)
	if err == nil {
		err = f.AddSidecar(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
	}
	return inspect(f), nil
}

func inspect(f *onnx.File) *Description {
	d := &Description{
		Kind:     KindOther,
		Inputs:   tensorInfos(f.Inputs),
		Outputs:  tensorInfos(f.Outputs),
		Producer: f.Producer(),
		Ops:      f.Ops(),
		Params:   f.Params(),
		MACs:     f.MACs(),
		Metadata: f.Metadata,
	}
	d.Opset, d.Domains = f.Opsets()
	f.DeclareWide()
	if c, err := recognize(f, &Options{}); err == nil {
		d.describe(c)
	} else {
		d.Problem = strings.TrimPrefix(strings.TrimPrefix(err.Error(), ErrModel.Error()+": "), ErrInput.Error()+": ")
	}
	return d
}

// describe fills in what a contract says.
func (d *Description) describe(c *contract) {
	d.Kind, d.Unused = c.kind, c.unused
	d.Threshold, d.PixelThreshold = c.threshold, c.pixelThreshold
	i := &c.images
	d.Images = &ImagesInfo{i.layout, i.batch, i.channels, max(i.height, 0), max(i.width, 0), cmp.Or(c.sizedBy, "image"), c.inRange.String()}
	d.Inputs[0].Meaning = "images"
	for i := range d.Outputs {
		out := &d.Outputs[i]
		is := func(p *onnx.Port) bool { return p != nil && p.Name == out.Name }
		switch {
		case is(c.residuals):
			out.Meaning = "map"
		case is(c.score):
			out.Meaning = "score"
		case is(c.label), out.Name == onnx.Label:
			out.Meaning = "label"
		case is(c.reconstruction):
			out.Meaning = "reconstruction"
		case out.Name == onnx.Mask:
			out.Meaning = "mask"
		}
	}
}

func tensorInfos(ports []onnx.Port) []TensorInfo {
	var list []TensorInfo
	for _, i := range infos(ports) {
		list = append(list, TensorInfo{Name: i.Name, DType: onnx.DTypeName(i.DType), Shape: i.Shape})
	}
	return list
}
