package runtime

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// reshapedBy is a model of an older opset whose input "to" is the shape that
// twice the input x [N,M] gets.
func reshapedBy(t *testing.T) []byte {
	t.Helper()
	g := graph.New("reshaped")
	x := g.Input("x", graph.Float32, graph.Dynamic, graph.Dynamic)
	g.Output("y", graph.Add(x, x))
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	p := m.Graph
	p.Input = append(p.Input, &onnxpb.ValueInfoProto{Name: proto.String("to"), Type: tensorOf(graph.Int64, 2)})
	p.Output[0].Type.GetTensorType().Shape = nil
	p.Node[0].Output[0] = "twice"
	p.Node = append(p.Node, &onnxpb.NodeProto{OpType: proto.String("Reshape"), Input: []string{"twice", "to"}, Output: []string{"y"}})
	m.OpsetImport[0].Version = proto.Int64(12)
	if b, err = proto.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return b
}

func tensorOf(dtype graph.DType, dims ...int64) *onnxpb.TypeProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}})
	}
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(dtype)), Shape: shape}}}
}

// TestGoShapes: more shapes than graphs are kept, in turn, and values that shapes
// depend on, which the caller changes in place.
func TestGoShapes(t *testing.T) {
	s := openTest(t, reshapedBy(t), &SessionOptions{Provider: Go})
	to := graph.NewTensor([]int64{0, 0}, 2)
	for _, batch := range []int{1, 2, 3, 4, 5, 6, 1, 6, 2} {
		for _, shape := range [][]int64{{-1, 2}, {1, -1}, {-1, 2}} {
			copy(graph.Data[int64](to), shape)
			x := make([]float32, batch*4)
			for i := range x {
				x[i] = float32(i)
			}
			out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": graph.NewTensor(x, batch, 4), "to": to})
			if err != nil {
				t.Fatal(err)
			}
			want := []int{2 * batch, 2}
			if shape[0] == 1 {
				want = []int{1, 4 * batch}
			}
			y := out["y"]
			if data := graph.Data[float32](y); !slices.Equal(y.Shape(), want) || data[len(x)-1] != 2*x[len(x)-1] {
				t.Fatalf("batch of %d to %v: got shape %v, want %v", batch, shape, y.Shape(), want)
			}
		}
	}
}
