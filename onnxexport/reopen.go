package onnxexport

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
)

// Reopen reads a file that [Write] wrote and nobody changed but to set its thresholds or
// to sign it: [Marshal] of the model gives the same bytes again, without a signature, or in
// files of earlier versions the same fields in another order. Other files are
// errors that wrap [ErrModel].
func Reopen(b []byte) (*Model, error) {
	b = onnx.Unsigned(b)
	parsed, err := onnx.Parse(b)
	if err != nil {
		return nil, errorf("is no file that anomaly wrote: %w", err)
	}
	m := (*Model)(parsed)
	if got := m.Metadata[onnx.KeySchema]; got != schema {
		return nil, errorf("is no file that anomaly wrote: metadata %s: got %q, want %q", onnx.KeySchema, got, schema)
	}
	again, err := Marshal(m)
	if err != nil {
		return nil, err
	}
	if string(again) != string(b) {
		if again, err = onnx.InFieldOrder(again); err != nil {
			return nil, err
		}
	}
	if string(again) != string(b) {
		return nil, errorf("is no file that anomaly wrote: another tool has changed it")
	}
	return m, nil
}

// Options returns the options that [Build] made a model with, without its
// thresholds ([Model.Thresholds] has them): so the model can be built anew in
// another profile, with another input or map. Input is "" for profile [Anomalib].
func (m *Model) Options() (*Options, error) {
	o := &Options{Profile: Profile(m.Metadata[onnx.KeyProfile]), Metadata: map[string]string{}}
	if v := m.Graph.Lookup(onnx.Input); o.Profile != Anomalib {
		o.Input = Uint8NHWC
		if v != nil && v.DType == graph.Float32 {
			o.Input = FloatNCHW
		}
	}
	if o.Profile.Judges() {
		o.Map.Kind = residual.Kind(m.Metadata[onnx.KeyMap])
		blur := m.Metadata[onnx.KeyMapBlur]
		var err error
		if o.Map.Blur, err = strconv.ParseFloat(blur, 64); err != nil {
			return nil, errorf("metadata %s: got %q, want a number", onnx.KeyMapBlur, blur)
		}
	}
	own := o.metadata(3)
	for key, value := range m.Metadata {
		_, taken := own[key]
		if name, ok := strings.CutPrefix(key, onnx.Prefix); ok && !taken && key != onnx.KeyThreshold && key != onnx.KeyPixelThreshold {
			o.Metadata[name] = value
		}
	}
	whole := *o
	whole.Threshold = 1 // profile Anomalib needs one
	if err := whole.Validate(); err != nil {
		return nil, errorf("metadata: %w", err)
	}
	return o, nil
}

// Thresholds returns the thresholds of a model, one of any profile but
// [Reconstruction]; NaN is none.
func (m *Model) Thresholds() (image, pixel float32, err error) {
	for name, t := range map[string]*float32{onnx.Threshold: &image, onnx.PixelThreshold: &pixel} {
		w := m.Weights[name]
		if w == nil || w.DType() != graph.Float32 || w.Len() != 1 {
			return 0, 0, errorf("got a model without parameter %q, want one of profile %v", name, Detector)
		}
		if *t = graph.Data[float32](w)[0]; math.IsInf(float64(*t), 1) {
			*t = float32(math.NaN())
		}
	}
	return image, pixel, nil
}

// Network returns the network that the metadata of a trained model names, and the
// weights that it has in the model, without the thresholds and the constants of
// its map. Those are shared with the model.
func (m *Model) Network() (models.Network, map[string]*graph.Tensor, error) {
	const key = onnx.KeyModel
	var spec models.Spec
	d := json.NewDecoder(strings.NewReader(m.Metadata[key]))
	d.DisallowUnknownFields() // they would be of another network than is known here
	if err := d.Decode(&spec); err != nil {
		return nil, nil, errorf("metadata %s: got %q: %w", key, m.Metadata[key], err)
	}
	net, err := models.Open(spec, &models.Resources{Weights: m.Weights, Exported: m.Graph})
	if err != nil {
		return nil, nil, errorf("metadata %s: %w", key, err)
	}
	channels, height, width := net.InputSize()
	g := graph.New("network")
	net.Forward(g.Input("x", graph.Float32, graph.Dynamic, channels, height, width))
	if err := g.Err(); err != nil {
		return nil, nil, errorf("network: %w", err)
	}
	weights := maps.Clone(m.Weights)
	maps.DeleteFunc(weights, func(name string, _ *graph.Tensor) bool {
		v := g.Lookup(name)
		return v == nil || !v.IsParam()
	})
	return net, weights, nil
}
