package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// elemSize is the size in bytes of the elements that raw_data may hold.
var elemSize = map[graph.DType]int{
	graph.Float32: 4, graph.Float64: 8, graph.Uint8: 1, graph.Int32: 4, graph.Int64: 8, graph.Bool: 1,
}

// held returns the type that values of a file's type are held as: float32 for
// half floats, whose values it has all.
func held(elemType int32) graph.DType {
	switch onnxpb.TensorProto_DataType(elemType) {
	case onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
		return graph.Float32
	}
	return graph.DType(elemType)
}

// rawProto returns a tensor of raw data, of no name where that is "".
func rawProto(name string, dtype onnxpb.TensorProto_DataType, shape []int, raw []byte) *onnxpb.TensorProto {
	p := &onnxpb.TensorProto{DataType: proto.Int32(int32(dtype)), RawData: raw}
	if name != "" {
		p.Name = proto.String(name)
	}
	for _, d := range shape {
		p.Dims = append(p.Dims, int64(d))
	}
	return p
}

// integer returns a node's one attribute.
func integer(name string, value int64) []*onnxpb.AttributeProto {
	return []*onnxpb.AttributeProto{{Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(value)}}
}

// tensorProto encodes t as raw little-endian data, the one form that every reader takes.
func tensorProto(name string, t *graph.Tensor) *onnxpb.TensorProto {
	p := rawProto(name, onnxpb.TensorProto_DataType(t.DType()), t.Shape(), make([]byte, 0, t.Len()*elemSize[t.DType()]))
	le, b := binary.LittleEndian, p.RawData
	switch data := t.Raw().(type) {
	case []float32:
		for _, x := range data {
			b = le.AppendUint32(b, math.Float32bits(x))
		}
	case []float64:
		for _, x := range data {
			b = le.AppendUint64(b, math.Float64bits(x))
		}
	case []int32:
		for _, x := range data {
			b = le.AppendUint32(b, uint32(x))
		}
	case []int64:
		for _, x := range data {
			b = le.AppendUint64(b, uint64(x))
		}
	case []uint8:
		b = append(b, data...)
	case []bool:
		for _, x := range data {
			if x {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	}
	p.RawData = b
	return p
}

// tensor decodes p, half floats and int8 as float32: integers of 8 bits are for
// DequantizeLinear alone, as checkNarrow sees to. It allocates nothing before it has
// seen that the data is there: a few bytes can declare any shape.
func tensor(p *onnxpb.TensorProto) (*graph.Tensor, error) {
	if p.GetDataLocation() == onnxpb.TensorProto_EXTERNAL || len(p.ExternalData) > 0 {
		return nil, fmt.Errorf("its data lies in another file: want one file")
	}
	if p.Segment != nil {
		return nil, fmt.Errorf("its data is in segments: not supported")
	}
	dtype := held(p.GetDataType())
	half := dtype != graph.DType(p.GetDataType())
	int8s := p.GetDataType() == int32(onnxpb.TensorProto_INT8)
	if int8s {
		dtype = graph.Float32
	}
	size, ok := elemSize[dtype]
	switch {
	case half:
		size = 2
	case int8s:
		size = 1
	}
	if !ok {
		return nil, fmt.Errorf("element type %v: not supported", onnxpb.TensorProto_DataType(p.GetDataType()))
	}
	if len(p.Dims) > maxRank {
		return nil, fmt.Errorf("got %d dimensions, want at most %d", len(p.Dims), maxRank)
	}
	typed := len(p.FloatData) + len(p.DoubleData) + len(p.Int32Data) + len(p.Int64Data) + len(p.Uint64Data)
	if p.RawData != nil && typed > 0 {
		return nil, fmt.Errorf("got its data twice, raw and as %d numbers", typed)
	}
	var have int
	switch {
	case p.RawData != nil:
		if len(p.RawData)%size != 0 {
			return nil, fmt.Errorf("got %d bytes of %v", len(p.RawData), dtype)
		}
		have = len(p.RawData) / size
	case half, int8s:
		have = len(p.Int32Data)
	case dtype == graph.Float32:
		have = len(p.FloatData)
	case dtype == graph.Float64:
		have = len(p.DoubleData)
	case dtype == graph.Int64:
		have = len(p.Int64Data)
	default:
		have = len(p.Int32Data)
	}
	shape, want := make([]int, len(p.Dims)), int64(1)
	for i, d := range p.Dims {
		if d < 0 || d > maxElements {
			return nil, fmt.Errorf("got dimensions %v", p.Dims)
		}
		shape[i] = int(d)
		if want *= d; want > maxElements {
			return nil, fmt.Errorf("got dimensions %v", p.Dims)
		}
	}
	if int64(have) != want {
		return nil, fmt.Errorf("got %d elements, want %d for dimensions %v", have, want, p.Dims)
	}

	le, b := binary.LittleEndian, p.RawData
	if half {
		data := make([]float32, want)
		widen := fromFloat16
		if p.GetDataType() == int32(onnxpb.TensorProto_BFLOAT16) {
			widen = func(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) }
		}
		for i := range data {
			if b != nil {
				data[i] = widen(le.Uint16(b[2*i:]))
			} else {
				data[i] = widen(uint16(p.Int32Data[i]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	}
	if int8s {
		data := make([]float32, want)
		for i := range data {
			if b != nil {
				data[i] = float32(int8(b[i]))
			} else {
				data[i] = float32(int8(p.Int32Data[i]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	}
	switch dtype {
	case graph.Float32:
		data := p.FloatData
		if b != nil {
			data = make([]float32, want)
			for i := range data {
				data[i] = math.Float32frombits(le.Uint32(b[4*i:]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	case graph.Float64:
		data := p.DoubleData
		if b != nil {
			data = make([]float64, want)
			for i := range data {
				data[i] = math.Float64frombits(le.Uint64(b[8*i:]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	case graph.Int64:
		data := p.Int64Data
		if b != nil {
			data = make([]int64, want)
			for i := range data {
				data[i] = int64(le.Uint64(b[8*i:]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	case graph.Int32:
		data := p.Int32Data
		if b != nil {
			data = make([]int32, want)
			for i := range data {
				data[i] = int32(le.Uint32(b[4*i:]))
			}
		}
		return graph.NewTensor(data, shape...), nil
	case graph.Uint8:
		data := make([]uint8, want)
		for i := range data {
			if b != nil {
				data[i] = b[i]
			} else {
				data[i] = uint8(p.Int32Data[i])
			}
		}
		return graph.NewTensor(data, shape...), nil
	default: // graph.Bool
		data := make([]bool, want)
		for i := range data {
			if b != nil {
				data[i] = b[i] != 0
			} else {
				data[i] = p.Int32Data[i] != 0
			}
		}
		return graph.NewTensor(data, shape...), nil
	}
}

// fromFloat16 returns the value of an IEEE 754 binary16: a sign, 5 bits of
// exponent, 10 of mantissa.
func fromFloat16(bits uint16) float32 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	x := 0.
	switch {
	case exponent == 0:
		x = math.Ldexp(mantissa, -24)
	case exponent < 31:
		x = math.Ldexp(1024+mantissa, exponent-25)
	case mantissa == 0:
		x = math.Inf(1)
	default:
		x = math.NaN()
	}
	if bits>>15 != 0 {
		x = -x
	}
	return float32(x)
}
