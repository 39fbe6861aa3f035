package runtime

import (
	"cmp"
	"fmt"
	"math"
	"strconv"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// Kinds of models that a [Detector] understands, and [KindOther] for the rest.
const (
	KindDetector       = "detector"       // gives maps, scores or both: profile detector of package onnxexport, or of other tools
	KindAnomalib       = "anomalib"       // gives some of anomalib's pred_score, pred_label, anomaly_map and pred_mask, as profile anomalib of package onnxexport does; or has anomalib's metadata.json
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
	kind     string
	ours     bool // profile detector of package onnxexport
	input    onnx.Port
	images   imageType
	sizedBy  string    // what told the size of the images; "" where it is each image's own
	transfer *transfer // of pixels to the input's values; nil where the input is uint8

	score, label, residuals, reconstruction *onnx.Port // outputs; nil: none
	reconstructed                           imageType  // what the reconstruction holds
	classes                                 bool       // residuals are two classes of each pixel, [N,2,H,W], of which the second is the map
	logits                                  bool       // and those are not shares yet, but what a softmax makes them of
	unused                                  []string   // outputs that have no meaning here
	inRange, outRange                       Range      // of floating-point input and reconstruction

	threshold, pixelThreshold    *float32         // nil: none
	usual                        *float32         // threshold that the training images are below as a rule; nil: none
	good                         *float32         // residual that most good images do not reach; nil: not known
	normalizeScore, normalizeMap *minMax          // nil: as the model gives them
	review                       *Band            // nil: none
	residual                     residual.Options // of our own: the kind of map

	doubt error // why an output that might have been used is not; nil: none
}

// recognize tells what a model is for from its names, types, metadata and the
// ends of its graph; options say what they do not.
func recognize(m *onnx.File, o *Options) (*contract, error) {
	unknown := fmt.Errorf("%w: is none that a detector understands: got inputs %s and outputs %s; want one input, images of 1 or 3 channels and H×W up to %d:\n"+
		"  uint8 or float32 [N,H,W,C] or [N,C,H,W]\n"+
		"and outputs of these, under these names, under others if there is one of a kind, or named by who opens it:\n"+
		"  %q, the map: float32 [N,1,H,W], [N,H,W,1] or [N,H,W]\n"+
		"  %q, the score: float32 [N] or [N,1]\n"+
		"  %q and %q, bool of the same shapes\n"+
		"or one output of the input's shape, its reconstruction, or of two classes for each pixel, [N,2,H,W]",
		ErrModel, onnx.Describe(m.Inputs), onnx.Describe(m.Outputs), maxPixels, onnx.Map, onnx.Score, onnx.Label, onnx.Mask)
	if len(m.Inputs) != 1 {
		return nil, unknown
	}
	c := &contract{input: m.Inputs[0], inRange: unitRange, outRange: unitRange}
	var ok bool
	if c.images, ok = readImages(&c.input, o.Layout); !ok {
		return nil, unknown
	}
	legacy := ""
	found, err := c.assign(m, o)
	switch text := m.Metadata[onnx.KeySidecar]; {
	case err != nil:
		return nil, err
	case m.Metadata[onnx.KeyProfile] == onnxexport.Detector.String() && c.score != nil && c.residuals != nil:
		c.kind, c.ours, c.label = KindDetector, true, nil
		c.residual.Kind = residual.Kind(m.Metadata[onnx.KeyMap])
	case m.Metadata[onnx.KeyProfile] == onnxexport.Anomalib.String() && c.score != nil && c.residuals != nil:
		c.kind, c.label = KindAnomalib, nil // which says no more than the score
	case text != "" && (c.residuals != nil && c.residuals.Name == onnx.LegacyOutput || c.score != nil && c.score.Name == onnx.LegacyOutput):
		c.kind, legacy = KindAnomalib, text
	case found:
		c.kind = KindAnomalib
	case c.score != nil || c.residuals != nil:
		c.kind = KindDetector
	case c.reconstruction != nil:
		c.kind = KindReconstruction
	default:
		return nil, unknown
	}
	if err := c.setSize(m, o); err != nil {
		return nil, err
	}
	if err := c.setRange(m, o); err != nil {
		return nil, err
	}
	if legacy != "" {
		return c, c.legacy(legacy)
	}
	return c, c.setThresholds(m)
}

// assign says which output is what: by the options, else by name, else by rank
// and type where one alone will do. It reports whether anomalib's names occur.
func (c *contract) assign(m *onnx.File, o *Options) (named bool, err error) {
	taken := map[string]bool{}
	choose := func(role, option, name string, fits func(*onnx.Port) bool, into **onnx.Port) error {
		if option != "" {
			p := onnx.Find(m.Outputs, option)
			if p == nil {
				return fmt.Errorf("%w: %s: got output %q, the model has %s", ErrInput, role, option, onnx.Describe(m.Outputs))
			}
			if role == "map" && isClasses(p) {
				c.classes, c.logits = true, !m.Trace.IsSoftmax(p.Name)
			}
			if role == "map" && isScore(p) {
				return fmt.Errorf("%w: map: got output %v, which has one number for each image, want [N,1,H,W], [N,H,W,1] or [N,H,W]", ErrInput, p)
			}
			*into = p
		} else if p := onnx.Find(m.Outputs, name); p != nil && !taken[name] && fits(p) {
			*into, named = p, named || name != onnx.Reconstruction
		}
		if *into != nil {
			if taken[(*into).Name] {
				return fmt.Errorf("%w: %s: got output %q, which is something else already", ErrInput, role, (*into).Name)
			}
			taken[(*into).Name] = true
		}
		return nil
	}
	one := func(role string, fits func(*onnx.Port) bool, into **onnx.Port) error {
		if *into != nil {
			return nil
		}
		var names []string
		for _, p := range m.Outputs {
			if !taken[p.Name] && fits(&p) {
				names = append(names, p.Name)
			}
		}
		switch len(names) {
		case 0:
			return nil
		case 1:
			*into, taken[names[0]] = onnx.Find(m.Outputs, names[0]), true
			return nil
		default:
			return fmt.Errorf("%w: got outputs %s, of which %q could each be the %s: name one as %s output", ErrModel, onnx.Describe(m.Outputs), names, role, role)
		}
	}

	mapName, scoreName := onnx.Map, onnx.Score
	if m.Metadata[onnx.KeySidecar] != "" { // one output, of either meaning
		mapName, scoreName = onnx.LegacyOutput, onnx.LegacyOutput
	}
	var mask *onnx.Port
	for _, err := range []error{
		choose("map", o.MapOutput, mapName, mayBeMap, &c.residuals),
		choose("score", o.ScoreOutput, scoreName, func(p *onnx.Port) bool { return isFloat(p) && len(p.Shape) <= 2 }, &c.score),
		choose("label", "", onnx.Label, isFlag, &c.label),
		choose("mask", "", onnx.Mask, isFlag, &mask),
		choose("reconstruction", o.ReconstructionOutput, onnx.Reconstruction, c.sameImages, &c.reconstruction),
	} {
		if err != nil {
			return false, err
		}
	}
	if c.residuals == nil && c.score == nil && mask != nil { // what is there to tell
		c.residuals = mask
	}
	if c.residuals == nil && c.score == nil && c.label != nil {
		c.score = c.label
	}
	isMap := func(p *onnx.Port) bool { return isFloat(p) && isMap(p) && !c.sameImages(p) }
	isScore := func(p *onnx.Port) bool { return isFloat(p) && isScore(p) }
	isLabel := func(p *onnx.Port) bool { return isFlag(p) && isScore(p) }
	if c.residuals == nil && c.score == nil { // no name is known
		err = cmp.Or(one("map", isMap, &c.residuals), one("score", isScore, &c.score))
	} else {
		c.doubt = cmp.Or(one("map", isMap, &c.residuals), one("score", isScore, &c.score))
	}
	if err != nil {
		return false, err
	}
	if c.residuals == nil {
		switch err := one("map", isClasses, &c.residuals); {
		case err != nil && c.score == nil:
			return false, err
		case err != nil:
			c.doubt = err
		}
		if p := c.residuals; p != nil {
			c.classes, c.logits = true, !m.Trace.IsSoftmax(p.Name)
		}
	}
	if c.score != nil && c.label == nil {
		one("label", isLabel, &c.label)
	}
	needed := c.residuals == nil && c.score == nil
	if err := one("reconstruction", c.sameImages, &c.reconstruction); err != nil && needed {
		return false, err
	}
	if c.reconstruction != nil {
		if c.reconstructed, _ = readImages(c.reconstruction, ""); !c.sameImages(c.reconstruction) {
			return false, fmt.Errorf("%w: reconstruction: got output %v, want one of the shape of %v", ErrModel, c.reconstruction, &c.input)
		}
	}
	for _, p := range m.Outputs {
		if !taken[p.Name] && p.Name != onnx.Label && p.Name != onnx.Mask {
			c.unused = append(c.unused, p.Name)
		}
	}
	return named, nil
}

// sameImages reports whether an output holds images like the input's, as far as its
// shape is declared.
func (c *contract) sameImages(p *onnx.Port) bool {
	if p.Name == onnx.Map || p.Name == onnx.Mask {
		return false
	}
	same := func(a, b int) bool { return a == b || a == graph.Dynamic || b == graph.Dynamic }
	for _, layout := range []string{c.images.layout, NCHW, NHWC} {
		if t, ok := readImages(p, layout); ok && t.channels == c.images.channels && same(t.height, c.images.height) && same(t.width, c.images.width) {
			return true
		}
	}
	return false
}

func isFloat(p *onnx.Port) bool { return p.DType == graph.Float32 || p.DType == graph.Float64 }

// isFlag reports whether an output can tell yes from no.
func isFlag(p *onnx.Port) bool {
	return p.DType == graph.Bool || p.DType == graph.Int64 || p.DType == graph.Int32 || p.DType == graph.Uint8
}

// isMap reports whether an output has a number for each pixel of each image.
func isMap(p *onnx.Port) bool {
	s := p.Shape
	return len(s) == 3 && s[0] != 3 || len(s) == 4 && (s[1] == 1 || s[3] == 1)
}

// isClasses reports whether an output has two numbers for each pixel, as networks
// have that tell defects from the rest (DRAEM's out_mask).
func isClasses(p *onnx.Port) bool {
	s := p.Shape
	return isFloat(p) && len(s) == 4 && s[1] == 2
}

// mayBeMap is isMap as far as the shape is declared, for floats.
func mayBeMap(p *onnx.Port) bool {
	open := func(d int) bool { return d == 1 || d == graph.Dynamic }
	s := p.Shape
	return isFloat(p) && (s == nil || len(s) == 3 || len(s) == 4 && (open(s[1]) || open(s[3])))
}

// isScore reports whether an output has a number for each image.
func isScore(p *onnx.Port) bool {
	s := p.Shape
	return len(s) == 1 || len(s) == 2 && s[1] == 1
}

// setSize tells the size of the images: the options', the input's own, that to
// which the graph resizes its input, or the map's. It stays open where nothing
// tells it.
func (c *contract) setSize(m *onnx.File, o *Options) error {
	i := &c.images
	if o.Height > 0 {
		if i.height > 0 && i.height != o.Height || i.width > 0 && i.width != o.Width {
			return fmt.Errorf("%w: size: got %dx%d, the model has input %v", ErrInput, o.Height, o.Width, &c.input)
		}
		i.height, i.width, c.sizedBy = o.Height, o.Width, "options"
		return nil
	}
	if i.height > 0 && i.width > 0 {
		c.sizedBy = "input"
		return nil
	}
	fits := func(height, width int) bool {
		return height > 0 && width > 0 && width <= maxPixels/height && (i.height < 1 || i.height == height) && (i.width < 1 || i.width == width)
	}
	if t := m.Trace; fits(t.Height, t.Width) {
		i.height, i.width, c.sizedBy = t.Height, t.Width, "graph"
		return nil
	}
	if p := c.residuals; p != nil {
		height, width := mapSize(p)
		if fits(height, width) {
			i.height, i.width, c.sizedBy = height, width, "map"
			return nil
		}
	}
	if i.height > 0 || i.width > 0 {
		return fmt.Errorf("%w: got input %v, of which one side is open: want its size given", ErrInput, &c.input)
	}
	return nil
}

// mapSize returns the sides of a map that is not of a size of its own; they are
// below 1 where they are open.
func mapSize(p *onnx.Port) (height, width int) {
	switch s := p.Shape; {
	case len(s) == 3:
		return s[1], s[2]
	case len(s) == 4 && s[1] != 1 && s[3] == 1:
		return s[1], s[2]
	case len(s) == 4:
		return s[2], s[3]
	}
	return 0, 0
}

// setRange says what black and white are: by the options, by what the file says
// in ONNX's own words, or else 0 and 1.
func (c *contract) setRange(m *onnx.File, o *Options) error {
	switch m.Metadata[onnx.KeyRange] {
	case "NominalRange_0_255":
		if c.input.DType == graph.Float32 {
			c.inRange, c.outRange = Range{0, 255}, Range{0, 255}
		}
	case "Normalized_1_1":
		c.inRange, c.outRange = Range{-1, 1}, Range{-1, 1}
	}
	if m.Metadata[onnx.KeyProfile] != "" {
		c.outRange = unitRange
	}
	if o.Range != (Range{}) {
		c.inRange, c.outRange = o.Range, o.Range
	}
	if o.ReconstructionRange != (Range{}) {
		c.outRange = o.ReconstructionRange
	}
	if c.input.DType == graph.Uint8 {
		c.inRange = Range{0, 255}
	} else {
		c.transfer = toRange(c.inRange)
	}
	if c.reconstruction != nil && c.reconstruction.DType == graph.Uint8 {
		c.outRange = Range{0, 255}
	}
	return nil
}

// setThresholds reads them from the metadata of our own files, and from the graphs
// of others: from what makes the label and the mask, or else from anomalib's
// normalising, which puts thresholds at 0.5.
func (c *contract) setThresholds(m *onnx.File) error {
	normalized := m.Metadata[onnx.KeyProfile] == onnxexport.Anomalib.String()
	if c.kind == KindAnomalib && !normalized || m.Metadata[onnx.KeyProfile] == "" {
		c.threshold = above(&m.Trace, c.score, c.label, c.kind)
		c.pixelThreshold = above(&m.Trace, c.residuals, onnx.Find(m.Outputs, onnx.Mask), c.kind)
		if c.score == nil {
			c.threshold = c.pixelThreshold
		}
		return nil
	}
	var err error
	if c.threshold, err = readThreshold(m, onnx.KeyThreshold); err != nil {
		return err
	}
	if c.pixelThreshold, err = readThreshold(m, onnx.KeyPixelThreshold); err != nil {
		return err
	}
	normal := onnx.ReadNormal(m.Metadata)
	if good, known := normal.At(normal.Score, mostGood); known {
		c.good = new(float32(good))
	}
	if s, ok := m.Metadata[onnx.KeyReview]; ok {
		b, err := ParseBand(s)
		if err == nil {
			err = b.check(c.threshold)
		}
		if err != nil {
			return fmt.Errorf("%w: metadata %s: %w", ErrModel, onnx.KeyReview, err)
		}
		c.review = &b
	}
	if normalized {
		c.normalize(m)
	}
	c.usual = cmp.Or(c.pixelThreshold, c.threshold)
	if t := onnx.TrainedThreshold(m.Metadata); t != nil && !normalized {
		c.usual = t
	}
	return nil
}

// normalize puts thresholds, review band and good images' scores, which the metadata
// has raw, where profile anomalib has its scores.
func (c *contract) normalize(m *onnx.File) {
	o := &residual.Options{Kind: residual.Kind(m.Metadata[onnx.KeyMap])}
	t := c.threshold
	if b := c.review; b != nil && t != nil {
		*b = Band{onnxexport.Normalize(b.Low, *t, o), onnxexport.Normalize(b.High, *t, o)}
	}
	if c.good != nil && t != nil {
		*c.good = onnxexport.Normalize(*c.good, *t, o)
	}
	half := float32(.5)
	c.threshold, c.pixelThreshold = copied(&half), copied(&half)
}

// mostGood is the level of the good images' quantile of which maps are coloured from on.
const mostGood = .75

// above returns the number that a value must exceed for its label, either of which
// may be nil, to be true; nil where that is not known.
func above(t *onnx.Trace, value, label *onnx.Port, kind string) *float32 {
	half := float32(.5)
	switch {
	case value == nil:
		return nil
	case isFlag(value):
		return &half
	}
	if label != nil {
		if threshold, ok := t.Above(value.Name, label.Name); ok {
			return &threshold
		}
	}
	if kind == KindAnomalib && t.IsUnit(value.Name) {
		return &half
	}
	return nil
}

func readThreshold(m *onnx.File, key string) (*float32, error) {
	s, ok := m.Metadata[key]
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
