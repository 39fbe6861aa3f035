package runtime

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// Names in the files that package onnxexport writes.
const (
	outMap            = "anomaly_map"
	outScore          = "pred_score"
	profileKey        = "anomaly.profile"
	thresholdKey      = "anomaly.threshold"
	pixelThresholdKey = "anomaly.pixel_threshold"
	reviewKey         = "anomaly.review"
)

// Kinds of models that a [Detector] understands, and [KindOther] for the rest.
const (
	KindDetector       = "detector"       // gives maps and scores: profile detector of package onnxexport
	KindReconstruction = "reconstruction" // gives images; map and score are computed here
	KindOther          = "other"
)

// Layouts of images in tensors.
const (
	NCHW = "NCHW"
	NHWC = "NHWC"
)

// A contract is what a model's inputs and outputs mean.
type contract struct {
	kind           string
	input          port
	images         imageType
	reconstruction string    // name of the output, "" where there is none
	reconstructed  imageType // and what it holds

	threshold, pixelThreshold *float32 // nil: none
	review                    *Band    // nil: none
}

// An imageType is how a tensor holds images.
type imageType struct {
	layout                  string
	batch                   int // graph.Dynamic, or what the model insists on
	channels, height, width int
}

func (i imageType) shape(n int) []int {
	if i.layout == NHWC {
		return []int{n, i.height, i.width, i.channels}
	}
	return []int{n, i.channels, i.height, i.width}
}

// pixels is the number of values of one image.
func (i imageType) pixels() int { return i.channels * i.height * i.width }

// What a file may declare of its images and a batch of them: far beyond any
// network, and a few bytes can declare more than any memory.
const (
	maxPixels = 1 << 26 // of one image: 8192x8192
	maxBatch  = 1 << 31 // values of all images
)

// readImages tells the layout of images from a shape: grey or RGB, of known size.
// Where both layouts would fit, uint8 is NHWC, as images are decoded, and float
// NCHW, as networks compute.
func readImages(p port) (imageType, bool) {
	if len(p.Shape) != 4 || p.DType != graph.Uint8 && p.DType != graph.Float32 {
		return imageType{}, false
	}
	s := p.Shape
	types := []imageType{{NCHW, s[0], s[1], s[2], s[3]}, {NHWC, s[0], s[3], s[1], s[2]}}
	if p.DType == graph.Uint8 {
		slices.Reverse(types)
	}
	for _, t := range types {
		if (t.channels == 1 || t.channels == 3) && t.height > 0 && t.width > 0 && t.width <= maxPixels/t.height && (t.batch == graph.Dynamic || t.batch > 0) {
			return t, true
		}
	}
	return imageType{}, false
}

// recognize tells what a model is for from its names, types and metadata.
func recognize(m *model) (*contract, error) {
	unknown := fmt.Errorf(`%w: is none that a detector understands: got inputs %s and outputs %s; want one input uint8[N,H,W,C] or float32[N,C,H,W] with C 1 or 3, H and W known and H×W at most %d, and either outputs %q float32[N,1,H,W] and %q float32[N] with metadata %s=%s, or one output float32[N,C,H,W] or float32[N,H,W,C], the reconstruction`,
		ErrModel, describe(m.inputs), describe(m.outputs), maxPixels, outMap, outScore, profileKey, onnxexport.Detector)
	if len(m.inputs) != 1 {
		return nil, unknown
	}
	c := &contract{input: m.inputs[0]}
	var ok bool
	if c.images, ok = readImages(c.input); !ok {
		return nil, unknown
	}
	for _, p := range m.outputs {
		t, ok := readImages(p)
		sameSize := t.channels == c.images.channels && t.height == c.images.height && t.width == c.images.width
		if ok && sameSize && p.DType == graph.Float32 && p.Name != outMap {
			c.reconstruction, c.reconstructed = p.Name, t
		}
	}
	score, residuals := find(m.outputs, outScore), find(m.outputs, outMap)
	switch {
	case m.metadata[profileKey] == onnxexport.Detector.String() && score != nil && residuals != nil:
		wantMap := []int{c.images.batch, 1, c.images.height, c.images.width}
		if score.DType != graph.Float32 || len(score.Shape) != 1 || residuals.DType != graph.Float32 || !slices.Equal(residuals.Shape, wantMap) {
			return nil, unknown
		}
		c.kind = KindDetector
	case c.reconstruction != "" && len(m.outputs) == 1:
		c.kind = KindReconstruction
	default:
		return nil, unknown
	}
	var err error
	if c.threshold, err = readThreshold(m, thresholdKey); err != nil {
		return nil, err
	}
	if c.pixelThreshold, err = readThreshold(m, pixelThresholdKey); err != nil {
		return nil, err
	}
	if s, ok := m.metadata[reviewKey]; ok {
		b, err := ParseBand(s)
		if err == nil {
			err = b.check(c.threshold)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: metadata %s: %w", ErrModel, reviewKey, err)
		}
		c.review = &b
	}
	return c, nil
}

func readThreshold(m *model, key string) (*float32, error) {
	s, ok := m.metadata[key]
	if !ok {
		return nil, nil
	}
	v, err := strconv.ParseFloat(s, 32)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("%w: metadata %s: got %q, want a number", ErrModel, key, s)
	}
	t := float32(v)
	return &t, nil
}

// residualModel is the graph that a reconstruction lacks: map and score of the
// model's input x and its output y.
func (c *contract) residualModel(o *residual.Options) ([]byte, error) {
	g := graph.New("residual")
	nchw := func(name string, dtype graph.DType, t imageType) *graph.Value {
		v := g.Input(name, dtype, t.shape(graph.Dynamic)...)
		switch {
		case dtype == graph.Uint8 && t.layout == NHWC:
			return onnxexport.Pixels(v)
		case dtype == graph.Uint8:
			return graph.Mul(graph.Cast(v, graph.Float32), g.Scalar(1.0/255))
		case t.layout == NHWC:
			return graph.Transpose(v, 0, 3, 1, 2)
		}
		return v
	}
	x := nchw("x", c.input.DType, c.images)
	y := nchw("y", graph.Float32, c.reconstructed)
	m := residual.Map(x, y, o)
	g.Output(outMap, m)
	g.Output(outScore, residual.Score(m))
	return onnxexport.Marshal(&onnxexport.Model{Graph: g})
}
