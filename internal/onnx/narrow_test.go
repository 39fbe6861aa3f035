package onnx

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Each number that float16 has comes back as it is, and what lies between two goes to
// the nearest, of two the even one.
func TestFloat16(t *testing.T) {
	for bits := range uint16(1 << 15) {
		x := fromFloat16(bits)
		if bits >= 31<<10 { // infinite, or none
			if _, ok := toFloat16(x); ok {
				t.Fatalf("%v: got a number", x)
			}
			continue
		}
		if got, ok := toFloat16(x); !ok || got != bits {
			t.Fatalf("%v: got %#x, want %#x", x, got, bits)
		}
		if got, _ := toFloat16(-x); got != bits|1<<15 {
			t.Fatalf("%v: got %#x, want %#x", -x, got, bits|1<<15)
		}
		next := fromFloat16(bits + 1)
		if math.IsInf(float64(next), 0) {
			next = 65536
		}
		middle := x + (next-x)/2
		for _, c := range []struct {
			x    float32
			want uint16
		}{{math.Nextafter32(middle, 0), bits}, {middle, bits + bits&1}, {math.Nextafter32(middle, 1e9), bits + 1}} {
			got, ok := toFloat16(c.x)
			if ok != (c.want < 31<<10) || ok && got != c.want {
				t.Fatalf("%v: got %#x, %v, want %#x", c.x, got, ok, c.want)
			}
		}
	}
}

// What 8 bits stand for gives the same scale and the same numbers again.
func TestWeightScale(t *testing.T) {
	for i := range 10000 {
		most := float32(math.Exp(float64(i%2000)/100-10)) * (1 + float32(i)/1e5)
		s := weightScale(most)
		if q := math.RoundToEven(float64(most) / float64(s)); q != 127 {
			t.Fatalf("%v: got %v times %v", most, q, s)
		}
		if again := weightScale(127 * s); again != s {
			t.Fatalf("%v: got scale %v, then %v", most, s, again)
		}
	}
}

// int8 is held in float32, which does not compute as it does: what computes with it is refused.
func TestNarrow(t *testing.T) {
	int8s := &onnxpb.TensorProto{Name: proto.String("w"), DataType: proto.Int32(int32(onnxpb.TensorProto_INT8)), Dims: []int64{2}, RawData: []byte{1, 0xff}}
	one := tensorProto("s", graph.NewTensor([]float32{1}))
	for _, c := range []struct {
		name  string
		nodes []*onnxpb.NodeProto
		want  string
	}{
		{"read back", []*onnxpb.NodeProto{{OpType: proto.String("DequantizeLinear"), Input: []string{"w", "s"}, Output: []string{"y"}}}, ""},
		{"added", []*onnxpb.NodeProto{{OpType: proto.String("Add"), Input: []string{"w", "w"}, Output: []string{"y"}}}, "only DequantizeLinear"},
		{"an output", []*onnxpb.NodeProto{{
			OpType: proto.String("Constant"), Output: []string{"y"},
			Attribute: []*onnxpb.AttributeProto{{Name: proto.String("value"), Type: onnxpb.AttributeProto_TENSOR.Enum(), T: int8s}},
		}}, "only DequantizeLinear"},
	} {
		y := &onnxpb.ValueInfoProto{Name: proto.String("y"), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(1)}}}}
		in := proto.CloneOf(y)
		in.Name = proto.String("x")
		b, err := proto.Marshal(&onnxpb.ModelProto{
			IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(18)}},
			Graph: &onnxpb.GraphProto{Node: c.nodes, Initializer: []*onnxpb.TensorProto{int8s, one}, Input: []*onnxpb.ValueInfoProto{in}, Output: []*onnxpb.ValueInfoProto{y}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = source(b)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
