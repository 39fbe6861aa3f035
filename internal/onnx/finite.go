package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// weighing are the operators whose constants are factors and offsets of sums.
var weighing = map[string]bool{"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true, "BatchNormalization": true, "InstanceNormalization": true, "LayerNormalization": true, "PRelu": true}

// CheckFinite reports a weight that has a NaN in it, or an infinity where sums are
// made of it. Infinities elsewhere have a meaning: a threshold that is none, a mask.
func (f *File) CheckFinite() error {
	weighed := map[string]bool{}
	for _, n := range f.proto.GetGraph().GetNode() {
		if weighing[n.GetOpType()] {
			for _, name := range n.GetInput() {
				weighed[name] = true
			}
		}
	}
	for _, t := range f.proto.GetGraph().GetInitializer() {
		if x, ok := notFinite(t, weighed[t.GetName()]); ok {
			return fmt.Errorf("weight %q: got %v in it, want finite numbers", t.GetName(), x)
		}
	}
	return nil
}

// notFinite finds a NaN, or an infinity if those count, in a tensor of float32,
// float64 or half floats.
func notFinite(t *onnxpb.TensorProto, infinities bool) (x float64, found bool) {
	bad := func(v float64) bool {
		x = v
		return v != v || infinities && math.IsInf(v, 0)
	}
	raw, little := t.GetRawData(), binary.LittleEndian
	switch onnxpb.TensorProto_DataType(t.GetDataType()) {
	case onnxpb.TensorProto_FLOAT:
		const exponent = 0x7f800000
		for ; len(raw) >= 4; raw = raw[4:] {
			if bits := little.Uint32(raw); bits&exponent == exponent && bad(float64(math.Float32frombits(bits))) {
				return x, true
			}
		}
		for _, v := range t.GetFloatData() {
			if bad(float64(v)) {
				return x, true
			}
		}
	case onnxpb.TensorProto_DOUBLE:
		for ; len(raw) >= 8; raw = raw[8:] {
			if bad(math.Float64frombits(little.Uint64(raw))) {
				return x, true
			}
		}
		for _, v := range t.GetDoubleData() {
			if bad(v) {
				return x, true
			}
		}
	case onnxpb.TensorProto_FLOAT16:
		for ; len(raw) >= 2; raw = raw[2:] {
			if bad(float64(fromFloat16(little.Uint16(raw)))) {
				return x, true
			}
		}
		for _, v := range t.GetInt32Data() {
			if bad(float64(fromFloat16(uint16(v)))) {
				return x, true
			}
		}
	case onnxpb.TensorProto_BFLOAT16:
		for ; len(raw) >= 2; raw = raw[2:] {
			if bad(float64(math.Float32frombits(uint32(little.Uint16(raw)) << 16))) {
				return x, true
			}
		}
	}
	return 0, false
}
