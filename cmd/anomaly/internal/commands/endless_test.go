package commands

import (
	"context"
	"image"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"google.golang.org/protobuf/proto"
)

// endlessOnWhite is a reconstruction that counts to 2^62 where a pixel is white.
func endlessOnWhite(t *testing.T) string {
	g := graph.New("endless")
	g.Output("y", graph.Sub(g.Scalar(1), g.Input("input", graph.Float32, graph.Dynamic, 1, 16, 16)))
	return writeForeign(t, g, func(m *onnxpb.ModelProto) {
		p := m.Graph
		last := p.Node[len(p.Node)-1]
		last.Output[0] = "before"
		declare := func(name string, of onnxpb.TensorProto_DataType, like *onnxpb.ValueInfoProto) *onnxpb.ValueInfoProto {
			shape := &onnxpb.TensorShapeProto{}
			if like != nil {
				shape = like.Type.GetTensorType().Shape
			}
			elem := int32(of)
			return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: &elem, Shape: shape}}}}
		}
		node := func(op, out string, in ...string) *onnxpb.NodeProto {
			n := &onnxpb.NodeProto{OpType: proto.String(op), Input: in, Output: []string{out}}
			p.Node = append(p.Node, n)
			return n
		}
		scalar := func(name string, t *onnxpb.TensorProto) string {
			t.Name = proto.String(name)
			p.Initializer = append(p.Initializer, t)
			return name
		}
		float, integer, boolean := int32(onnxpb.TensorProto_FLOAT), int32(onnxpb.TensorProto_INT64), int32(onnxpb.TensorProto_BOOL)
		number := func(name string, i int64) *onnxpb.AttributeProto {
			return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: &i}
		}
		node("ReduceMax", "max", "input").Attribute = []*onnxpb.AttributeProto{number("keepdims", 0)}
		node("Greater", "white", "max", scalar("almost", &onnxpb.TensorProto{DataType: &float, FloatData: []float32{.998}}))
		node("Cast", "one", "white").Attribute = []*onnxpb.AttributeProto{number("to", int64(integer))}
		node("Mul", "trips", "one", scalar("many", &onnxpb.TensorProto{DataType: &integer, Int64Data: []int64{1 << 62}}))
		output := p.Output[0]
		body := &onnxpb.GraphProto{
			Name:  proto.String("body"),
			Input: []*onnxpb.ValueInfoProto{declare("i", onnxpb.TensorProto_INT64, nil), declare("go_on", onnxpb.TensorProto_BOOL, nil), declare("v", onnxpb.TensorProto_FLOAT, output)},
			Node: []*onnxpb.NodeProto{
				{OpType: proto.String("Identity"), Input: []string{"go_on"}, Output: []string{"on"}},
				{OpType: proto.String("Identity"), Input: []string{"v"}, Output: []string{"w"}},
			},
			Output: []*onnxpb.ValueInfoProto{declare("on", onnxpb.TensorProto_BOOL, nil), declare("w", onnxpb.TensorProto_FLOAT, output)},
		}
		node("Loop", "y", "trips", scalar("yes", &onnxpb.TensorProto{DataType: &boolean, Int32Data: []int32{1}}), "before").Attribute = []*onnxpb.AttributeProto{
			{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: body},
		}
	})
}

// A batch that never ends is given up when the command is to end, and what was done
// before it is written.
func TestEndlessBatch(t *testing.T) {
	if !cpuUsable() {
		t.Skip("no ONNX Runtime")
	}
	dir := t.TempDir()
	model, out := endlessOnWhite(t), filepath.Join(dir, "out")
	for name, grey := range map[string]uint8{"a.png": 100, "b.png": 255} {
		img := image.NewGray(image.Rect(0, 0, 16, 16))
		for i := range img.Pix {
			img.Pix[i] = grey
		}
		if err := writePNG(filepath.Join(dir, "images", name), img); err != nil {
			t.Fatal(err)
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	w := &watching{t: t, interrupted: interrupt, code: make(chan int, 1)}
	args := []string{"anomaly", "run", "--json", "--provider", "cpu", "--map", "l1", "--batch", "1", "--out", out, model, filepath.Join(dir, "images")}
	go func() { w.code <- Run(ctx, "dev", args, &w.out, &w.log) }()
	w.awaitLines(1)
	time.Sleep(100 * time.Millisecond) // by now b.png is with the model
	if code := w.end(); code != exitInterrupted {
		t.Errorf("got exit code %d, want %d:\n%s", code, exitInterrupted, &w.log)
	}
	if page := string(mustRead(t, filepath.Join(out, "index.html"))); !strings.Contains(page, "a.png") {
		t.Error("the report does not have the image that was done")
	}
}
