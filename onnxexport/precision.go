package onnxexport

import (
	"encoding/json"
	"fmt"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A Precision says what a file's network is written and computed in. The map, the
// normality model of features, blur, score and labels stay in float32: they are small
// differences of large numbers, which less does not hold.
type Precision string

// Precisions.
const (
	Float32 Precision = "float32" // default
	// Float16 has convolutions, their weights and what lies between them in float16, with
	// casts around them. It is for GPUs; others compute it in float32 from the same weights.
	Float16 Precision = onnx.Float16
	// Int8 has convolutions of weights in int8, symmetric and by output channel, and of
	// values in uint8, whose ranges are constants: QuantizeLinear and DequantizeLinear
	// around convolutions that ONNX describes in float32, which providers fuse or compute as they are.
	Int8 Precision = onnx.Int8
	// BFloat16 no file can have: see [Precision.Check].
	BFloat16 Precision = "bf16"
)

// Precisions lists those that a file can have.
func Precisions() []Precision { return []Precision{Float32, Float16, Int8} }

// Check reports a precision that no file can have.
func (p Precision) Check() error {
	switch p {
	case "", Float32, Float16, Int8:
		return nil
	case BFloat16:
		return optionErrorf("precision: got %q, want one of %q: ONNX has convolutions of bfloat16 from opset 22 on, and neither ONNX Runtime's CPU provider nor its OpenVINO provider takes them; provider openvino computes all of a float32 file in bfloat16, its map included, with the option precision=BF16", p, Precisions())
	}
	return optionErrorf("precision: got %q, want one of %q", p, Precisions())
}

// A Quantization says how values are held in 8 bits.
type Quantization struct {
	Rule   string  // by which the ranges were found, in a word
	Images int     // that they were found on
	Ranges []Range // of [Model.Quantized], in its order
}

// A Range bounds values of the network; it is widened to hold zero exactly, which padding
// and activations make much of.
type Range struct{ Low, High float32 }

// Precision returns what the model is written in.
func (m *Model) Precision() Precision {
	if p := m.Metadata[onnx.KeyPrecision]; p != "" {
		return Precision(p)
	}
	return Float32
}

// Quantized lists the names of the values that [Int8] holds in 8 bits: what
// convolutions read. They are none of the file's outputs; that of a value in a graph of
// one's own is [graph.Graph.Output].
func (m *Model) Quantized() []string {
	var names []string
	for _, v := range (*onnx.Model)(m).Quantized() {
		names = append(names, v.Name())
	}
	return names
}

// SetPrecision has a model written in another precision than float32; q, of Int8 alone,
// says how its values are held. [Marshal] rounds the weights, the model's own stay: those
// that [Reopen] reads are rounded.
func (m *Model) SetPrecision(p Precision, q *Quantization) error {
	if err := p.Check(); err != nil {
		return err
	}
	if is := m.Precision(); is != Float32 && is != p {
		return errorf("precision: got a model of %s, want one of %s to make one of %s of: what was rounded does not come back", is, Float32, p)
	}
	if (q != nil) != (p == Int8) {
		return optionErrorf("precision %s: got a quantization %v, want one with %s alone", p, q != nil, Int8)
	}
	if p == "" || p == Float32 {
		return nil
	}
	m.Metadata[onnx.KeyPrecision] = string(p)
	if q == nil {
		return m.tryMarshal()
	}
	stored := onnx.Quantization{Rule: q.Rule, Images: q.Images}
	for i, r := range q.Ranges {
		if !(r.Low <= r.High) || r.High-r.Low > maxRange {
			return optionErrorf("precision %s: value %d: got a range from %v to %v", p, i, r.Low, r.High)
		}
		stored.Values = append(stored.Values, onnx.NewRange(r.Low, r.High))
	}
	b, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	m.Metadata[onnx.KeyQuantization] = string(b)
	return m.tryMarshal()
}

// maxRange is beyond what a network's values have: what is infinite is too.
const maxRange = 1e30

// tryMarshal reports what keeps the model from being written.
func (m *Model) tryMarshal() error {
	if _, err := Marshal(m); err != nil {
		return fmt.Errorf("precision %s: %w", m.Precision(), err)
	}
	return nil
}
