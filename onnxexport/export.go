package onnxexport

import (
	"cmp"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
)

// A Profile says which inputs and outputs a file has.
type Profile string

// Profiles.
const (
	// Detector has input "input" and outputs
	//
	//	anomaly_map     float32 [N,1,H,W]  residual of each pixel
	//	pred_score      float32 [N]        score of each image, the map's maximum
	//	pred_label      bool    [N]        pred_score > threshold
	//	pred_mask       bool    [N,1,H,W]  anomaly_map > pixel threshold
	//	reconstruction  float32 [N,C,H,W]  in [0,1], if the network makes one
	Detector Profile = "detector"
	// Reconstruction has input "input" and output "reconstruction", float32 [N,C,H,W] in [0,1].
	Reconstruction Profile = "reconstruction"
	// Anomalib is what anomalib 2.x exports and its OpenVINOInferencer takes:
	// input "input" float32 [N,3,H,W], RGB in [0,1] of any size, which the file
	// resizes to the network's height h and width w, and outputs
	//
	//	pred_score   float32 [N]        score of each image in [0,1], 0.5 being the threshold
	//	pred_label   bool    [N]        pred_score > 0.5, and score > threshold
	//	anomaly_map  float32 [N,1,h,w]  residual of each pixel, likewise
	//	pred_mask    bool    [N,1,h,w]  anomaly_map > 0.5
	//
	// Scores and residuals x are normalised as anomalib does it, to
	//
	//	clamp((x - threshold)/range + 0.5, 0, 1)
	//
	// where its range is what validation images spread over, and saturates
	// beyond. Here it is the smallest that keeps every x that the map can have
	// apart: 2·max(threshold, top - threshold), top being 2 for SSIM, else 1; the
	// network's own map knows no largest, its range is 2·threshold.
	Anomalib Profile = "anomalib"
)

// Profiles lists the profiles there are.
func Profiles() []Profile { return []Profile{Detector, Reconstruction, Anomalib} }

// Judges reports whether files of the profile have a map, a score and thresholds.
func (p Profile) Judges() bool { return cmp.Or(p, Detector) != Reconstruction }

// String returns the profile's name, as in the metadata; of the zero value the default's.
func (p Profile) String() string { return string(cmp.Or(p, Detector)) }

// An InputKind says what a file takes as images.
type InputKind string

// Kinds of inputs.
const (
	Uint8NHWC InputKind = "uint8" // uint8 [N,H,W,C], RGB or grey
	FloatNCHW InputKind = "float" // float32 [N,C,H,W] in [0,1]
)

// String returns the kind's name; of the zero value the default's.
func (k InputKind) String() string { return string(cmp.Or(k, Uint8NHWC)) }

// A Network is what [Build] exports, such as a models.Network.
type Network interface {
	// Forward appends the network to x's graph: images x [N,C,H,W] in [0,1] to
	// what it makes of them.
	Forward(x *graph.Value) models.Outputs
	// InputSize returns the size of the images; channels are 1 or 3.
	InputSize() (channels, height, width int)
}

// Options of [Build]; nil is all defaults.
type Options struct {
	Profile Profile          // default Detector
	Input   InputKind        // default Uint8NHWC; profile Anomalib has its own
	Map     residual.Options // of profiles Detector and Anomalib, of which only the latter has BySums; default SSIM, or the network's own if it makes no reconstruction

	// Threshold is the score above which an image is anomalous. 0 (residuals
	// are never negative, it would flag nearly everything) and NaN are none:
	// +Inf in the graph, absent from the metadata. Profile Anomalib needs one.
	Threshold float32
	// PixelThreshold is the same for a pixel of the map. 0 is Threshold.
	PixelThreshold float32

	// Metadata is written beside the file's own. Keys are of lower-case
	// letters, digits, "_" and "."; the file has them with "anomaly." before.
	Metadata map[string]string
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Profile = cmp.Or(c.Profile, Detector)
	if c.Profile != Anomalib {
		c.Input = cmp.Or(c.Input, Uint8NHWC)
	}
	if c.Threshold == 0 {
		c.Threshold = float32(math.NaN())
	}
	if c.PixelThreshold == 0 {
		c.PixelThreshold = c.Threshold
	}
	return c
}

// Validate reports what is wrong with the options.
func (o *Options) Validate() error {
	c := o.withDefaults()
	switch {
	case !slices.Contains(Profiles(), c.Profile):
		return optionErrorf("profile: got %q, want %q, %q or %q", c.Profile, Detector, Reconstruction, Anomalib)
	case c.Profile == Anomalib && c.Input != "":
		return optionErrorf("input: got %q, want none: profile %v has its own", c.Input, Anomalib)
	case c.Profile != Anomalib && c.Input != Uint8NHWC && c.Input != FloatNCHW:
		return optionErrorf("input: got %q, want %q or %q", c.Input, Uint8NHWC, FloatNCHW)
	}
	if err := c.Map.Validate(); err != nil {
		return optionErrorf("%w", err)
	}
	if err := checkThresholds(c.Threshold, c.PixelThreshold, c.Profile); err != nil {
		return err
	}
	own := c.metadata(3)
	for _, key := range slices.Sorted(maps.Keys(c.Metadata)) {
		full := onnx.Prefix + key
		_, taken := own[full]
		switch {
		case !metadataKey.MatchString(key):
			return optionErrorf("metadata: got key %q, want lower-case letters, digits, _ and single dots between", key)
		case !utf8.ValidString(c.Metadata[key]):
			return optionErrorf("metadata %q: want UTF-8", key)
		case taken || full == onnx.KeyThreshold || full == onnx.KeyPixelThreshold:
			return optionErrorf("metadata %q: the file has its own", key)
		}
	}
	return nil
}

// Build makes the model of a network and its trained weights: with its
// preprocessing before and, in all profiles but [Reconstruction], its verdict behind it.
// Every parameter of the network must have a weight. Neither weights nor o is
// changed; the model shares the weights' tensors.
func Build(net Network, weights map[string]*graph.Tensor, o *Options) (*Model, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := o.withDefaults()
	channels, height, width := net.InputSize()
	if channels != 1 && channels != 3 || height < 1 || width < 1 {
		return nil, errorf("network: got images of %d channels, %dx%d, want 1 or 3 channels and at least 1x1", channels, height, width)
	}

	g := graph.New(c.Profile.String())
	var x *graph.Value
	switch {
	case c.Profile == Anomalib:
		x = fit(g.Input(onnx.Input, graph.Float32, graph.Dynamic, 3, graph.Dynamic, graph.Dynamic), channels, height, width)
	case c.Input == Uint8NHWC:
		x = Pixels(g.Input(onnx.Input, graph.Uint8, graph.Dynamic, height, width, channels))
	default:
		x = g.Input(onnx.Input, graph.Float32, graph.Dynamic, channels, height, width)
	}
	if s, ok := net.(models.Simplifier); ok {
		net, weights = s.Simplified(weights)
	}
	out := net.Forward(x)
	if err := g.Err(); err != nil {
		return nil, errorf("network: %w", err)
	}
	if err := c.fit(x, out); err != nil {
		return nil, err
	}
	m := &Model{Graph: g, Weights: maps.Clone(weights), Metadata: c.metadata(channels)}
	for key, value := range c.Metadata {
		m.Metadata[onnx.Prefix+key] = value
	}
	if m.Weights == nil {
		m.Weights = map[string]*graph.Tensor{}
	}
	for _, p := range g.Params() {
		if m.Weights[p.Name()] == nil {
			return nil, errorf("parameter %q: got no weight, want %v", p.Name(), p.Type)
		}
	}
	if c.Profile == Reconstruction {
		g.Output(onnx.Reconstruction, out.Reconstruction)
		return m, m.validate()
	}
	how := c.Map
	how.BySums = c.Profile == Anomalib // which runs on OpenVINO
	residuals, score := Judged(x, out, &how)
	at, pixelAt := g.Param(onnx.Threshold, 1), g.Param(onnx.PixelThreshold, 1)
	label, mask := graph.Greater(score, at), graph.Greater(residuals, pixelAt)
	if c.Profile == Anomalib {
		top := c.Map.Top()
		g.Output(onnx.Score, normalized(score, at, label, top))
		g.Output(onnx.Label, label)
		g.Output(onnx.Map, normalized(residuals, pixelAt, mask, top))
		g.Output(onnx.Mask, mask)
	} else {
		g.Output(onnx.Map, residuals)
		g.Output(onnx.Score, score)
		g.Output(onnx.Label, label)
		g.Output(onnx.Mask, mask)
		if out.Reconstruction != nil {
			g.Output(onnx.Reconstruction, out.Reconstruction)
		}
	}
	if err := m.SetThresholds(c.Threshold, c.PixelThreshold); err != nil {
		return nil, err
	}
	return m, m.validate()
}

// fit sets the kind of map where nothing is said, and reports that the network
// does not make of images x what the options ask for.
func (o *Options) fit(x *graph.Value, out models.Outputs) error {
	y, m, score := out.Reconstruction, out.Map, out.Score
	if o.Map.Kind == "" {
		o.Map.Kind = residual.SSIMMap
		if y == nil {
			o.Map.Kind = residual.NetworkMap
		}
	}
	switch {
	case y != nil && (y.DType != x.DType || !slices.Equal(y.Shape, x.Shape)):
		return errorf("network: got a reconstruction %v of %v, want the same type", y.Type, x.Type)
	case m != nil && (m.DType != graph.Float32 || len(m.Shape) != 4 || m.Dim(0) != x.Dim(0) || m.Dim(1) != 1):
		return errorf("network: got a map %v of %v, want float32[N,1,h,w]", m.Type, x.Type)
	case score != nil && (score.DType != graph.Float32 || !slices.Equal(score.Shape, x.Shape[:1])):
		return errorf("network: got a score %v of %v, want float32[N]", score.Type, x.Type)
	case o.Profile == Reconstruction && y == nil:
		return optionErrorf("profile: got %q, but the network makes no reconstruction", o.Profile)
	case o.Profile.Judges() && o.Map.Kind == residual.NetworkMap && m == nil:
		return optionErrorf("map: got %q, but the network makes none of its own", o.Map.Kind)
	case o.Profile.Judges() && o.Map.Kind != residual.NetworkMap && y == nil:
		return optionErrorf("map: got %q, want %q: the network makes no reconstruction", o.Map.Kind, residual.NetworkMap)
	}
	return nil
}

// Judged appends the anomaly map [N,1,H,W] and the score [N] of images x [N,C,H,W]
// of which a network makes out. Training and exported models share it.
func Judged(x *graph.Value, out models.Outputs, o *residual.Options) (anomalyMap, score *graph.Value) {
	if o.Kind != residual.NetworkMap {
		anomalyMap = residual.Map(x, out.Reconstruction, o)
		return anomalyMap, residual.Score(anomalyMap)
	}
	anomalyMap = out.Map
	if h, w := x.Dim(2), x.Dim(3); anomalyMap.Dim(2) != h || anomalyMap.Dim(3) != w {
		anomalyMap = graph.ResizeLinear(anomalyMap, h, w, nil)
	}
	anomalyMap = residual.Smooth(anomalyMap, o)
	if out.Score != nil {
		return anomalyMap, out.Score
	}
	return anomalyMap, residual.Score(anomalyMap)
}

// normalized maps residuals or scores x, of which the largest there can be is
// top, to [0,1] as profile [Anomalib] has them. Those above the threshold, which
// above marks, stay above 0.5 where rounding would not keep them there.
func normalized(x, threshold, above *graph.Value, top float64) *graph.Value {
	g := x.Graph()
	span := graph.Mul(graph.Max(threshold, graph.Sub(g.Scalar(top), threshold)), g.Scalar(2))
	y := graph.Clip(graph.Add(graph.Div(graph.Sub(x, threshold), span), g.Scalar(0.5)), 0, 1)
	return graph.Where(above, graph.Max(y, g.Scalar(aboveHalf)), y)
}

// aboveHalf is the smallest float32 above 0.5.
const aboveHalf = 0.5 + 1.0/(1<<24)

// Normalize returns the score that a file of profile [Anomalib] gives where one
// of profile [Detector] gives x.
func Normalize(x, threshold float32, o *residual.Options) float32 {
	span := max(threshold, float32(o.Top())-threshold) * 2
	y := min(max((x-threshold)/span+0.5, 0), 1)
	if x > threshold {
		y = max(y, aboveHalf)
	}
	return y
}

// Write writes the file of [Build]'s model to w.
func Write(w io.Writer, net Network, weights map[string]*graph.Tensor, o *Options) error {
	m, err := Build(net, weights, o)
	if err != nil {
		return err
	}
	b, err := Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Pixels turns images as they are decoded, uint8 [N,H,W,C], into what networks
// take: float32 [N,C,H,W] in [0,1]. Training and exported models share it.
func Pixels(x *graph.Value) *graph.Value {
	scaled := graph.Mul(graph.Cast(x, graph.Float32), x.Graph().Scalar(1.0/255))
	return graph.Transpose(scaled, 0, 3, 1, 2)
}

// schema is the version of the metadata's keys and of the profiles.
const schema = "1"

var metadataKey = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)

// metadata returns the file's own metadata except the thresholds. The Image keys
// are ONNX's (docs/MetadataProps.md of its repository).
func (o *Options) metadata(channels int) map[string]string {
	m := map[string]string{
		onnx.KeyPixelFormat: "Rgb8",
		onnx.KeyGamma:       "SRGB",
		onnx.KeyRange:       "NominalRange_0_255",
		onnx.KeySchema:      schema,
		onnx.KeyProfile:     o.Profile.String(),
	}
	if channels == 1 {
		m[onnx.KeyPixelFormat] = "Gray8"
	}
	if o.Profile == Anomalib {
		m[onnx.KeyPixelFormat] = "Rgb8" // whatever the network takes
	}
	if o.Profile == Anomalib || o.Input == FloatNCHW {
		m[onnx.KeyRange] = "Normalized_0_1"
	}
	if o.Profile.Judges() {
		m[onnx.KeyMap] = string(o.Map.Kind)
		m[onnx.KeyMapBlur] = strconv.FormatFloat(o.Map.Blur, 'g', -1, 64)
		if strings.Contains(string(o.Map.Kind), string(residual.SSIMMap)) {
			m[onnx.KeyMapWindow] = strconv.Itoa(residual.Window)
			m[onnx.KeyMapSigma] = strconv.FormatFloat(residual.Sigma, 'g', -1, 64)
		}
	}
	return m
}

func checkThresholds(image, pixel float32, profile Profile) error {
	names := []string{onnx.Threshold, onnx.PixelThreshold}
	for i, t := range []float32{image, pixel} {
		if math.IsInf(float64(t), 0) {
			return optionErrorf("%s: got %v, want a finite number or NaN for none", names[i], t)
		}
		if profile == Anomalib && math.IsNaN(float64(t)) {
			return optionErrorf("%s: got none, want a number: profile %v shows scores by it", names[i], Anomalib)
		}
	}
	return nil
}

// SetThresholds changes the thresholds of a model, one of any profile but
// [Reconstruction], in the graph and in the metadata, and nothing else; NaN is
// none. They are of raw scores in every profile.
func (m *Model) SetThresholds(image, pixel float32) error {
	if err := checkThresholds(image, pixel, Profile(m.Metadata[onnx.KeyProfile])); err != nil {
		return err
	}
	for _, t := range []struct {
		name, key string
		value     float32
	}{{onnx.Threshold, onnx.KeyThreshold, image}, {onnx.PixelThreshold, onnx.KeyPixelThreshold, pixel}} {
		v := m.Graph.Lookup(t.name)
		if v == nil || !v.IsParam() || !slices.Equal(v.Shape, []int{1}) {
			return errorf("got a model without parameter %q, want one of profile %v", t.name, Detector)
		}
		if math.IsNaN(float64(t.value)) {
			t.value = float32(math.Inf(1))
			delete(m.Metadata, t.key)
		} else {
			m.Metadata[t.key] = strconv.FormatFloat(float64(t.value), 'g', -1, 32)
		}
		m.Weights[t.name] = graph.NewTensor([]float32{t.value}, 1)
	}
	return nil
}
