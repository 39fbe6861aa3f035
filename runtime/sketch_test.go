package runtime

import (
	"encoding/binary"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// half is ONNX's type float16, which package graph does not have.
const float16 = graph.DType(onnxpb.TensorProto_FLOAT16)

// A sketch is a small ONNX file as another tool would write it, node by node.
type sketch struct{ *onnxpb.ModelProto }

func newSketch(opset int64) sketch {
	return sketch{&onnxpb.ModelProto{
		IrVersion: proto.Int64(8), ProducerName: proto.String("sketch"),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opset)}},
		Graph:       &onnxpb.GraphProto{Name: proto.String("sketch")},
	}}
}

// declare describes an input or output; its dimensions are numbers or names.
func declare(name string, dtype graph.DType, dims []any) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(dtype)), Shape: shape},
	}}}
}

func (s sketch) input(name string, dtype graph.DType, dims ...any) {
	s.Graph.Input = append(s.Graph.Input, declare(name, dtype, dims))
}

func (s sketch) output(name string, dtype graph.DType, dims ...any) {
	s.Graph.Output = append(s.Graph.Output, declare(name, dtype, dims))
}

// weight adds an initializer of float32, float16, int64 or bool.
func (s sketch) weight(name string, dtype graph.DType, dims []int64, values ...float64) string {
	t := &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(dtype)), Dims: dims}
	for _, v := range values {
		switch dtype {
		case graph.Float32:
			t.RawData = binary.LittleEndian.AppendUint32(t.RawData, math.Float32bits(float32(v)))
		case float16:
			t.RawData = binary.LittleEndian.AppendUint16(t.RawData, toHalf(v))
		case graph.Int64:
			t.RawData = binary.LittleEndian.AppendUint64(t.RawData, uint64(int64(v)))
		case graph.Bool:
			t.RawData = append(t.RawData, byte(v))
		}
	}
	s.Graph.Initializer = append(s.Graph.Initializer, t)
	return name
}

// toHalf returns the binary16 bits of a normal number, cut off.
func toHalf(v float64) uint16 {
	bits := math.Float32bits(float32(v))
	if bits<<1 == 0 {
		return 0
	}
	return uint16(bits>>16&0x8000) | uint16(int32(bits>>23&0xff)-112)<<10 | uint16(bits>>13&0x3ff)
}

// node adds a node with attributes: ints, []int, floats or strings by name.
func (s sketch) node(op string, in []string, out string, attrs ...any) {
	n := &onnxpb.NodeProto{OpType: proto.String(op), Input: in, Output: []string{out}}
	for i := 0; i < len(attrs); i += 2 {
		a := &onnxpb.AttributeProto{Name: proto.String(attrs[i].(string))}
		switch v := attrs[i+1].(type) {
		case int:
			a.Type, a.I = onnxpb.AttributeProto_INT.Enum(), proto.Int64(int64(v))
		case []int:
			a.Type = onnxpb.AttributeProto_INTS.Enum()
			for _, x := range v {
				a.Ints = append(a.Ints, int64(x))
			}
		case float64:
			a.Type, a.F = onnxpb.AttributeProto_FLOAT.Enum(), proto.Float32(float32(v))
		case string:
			a.Type, a.S = onnxpb.AttributeProto_STRING.Enum(), []byte(v)
		}
		n.Attribute = append(n.Attribute, a)
	}
	s.Graph.Node = append(s.Graph.Node, n)
}

// mean adds the mean of the three channels of x [N,3,H,W], times a factor: [N,1,H,W].
func (s sketch) mean(x, out string, dtype graph.DType, factor float64) {
	s.node("Conv", []string{x, s.weight(out+".weight", dtype, []int64{1, 3, 1, 1}, factor/3, factor/3, factor/3)}, out, "kernel_shape", []int{1, 1})
}

// highest adds the maximum of a map [N,1,H,W]: [N,1].
func (s sketch) highest(m, out string) {
	s.node("GlobalMaxPool", []string{m}, out+".pool")
	s.node("Flatten", []string{out + ".pool"}, out, "axis", 1)
}

func (s sketch) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := proto.Marshal(s.ModelProto)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
