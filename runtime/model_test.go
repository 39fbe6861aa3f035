package runtime

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
)

// edit changes the graph in a model's file.
func edit(t *testing.T, b []byte, change func(*onnxpb.GraphProto)) []byte {
	t.Helper()
	return editModel(t, b, func(p *onnxpb.ModelProto) { change(p.Graph) })
}

// editModel changes a model's file.
func editModel(t *testing.T, b []byte, change func(*onnxpb.ModelProto)) []byte {
	t.Helper()
	p := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	change(p)
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parsed is a model's file.
func parsed(t *testing.T, b []byte) *onnx.File {
	t.Helper()
	f, err := readModel(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Outputs whose size the file does not tell are as good as others.
func TestSessionUnknownShapes(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		model := edit(t, affine(t), func(g *onnxpb.GraphProto) {
			g.Output[0].GetType().GetTensorType().GetShape().Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "other"}
			g.Output[1].GetType().GetTensorType().Shape = nil
		})
		s := openTest(t, model, &SessionOptions{Provider: provider})
		for _, n := range []int{2, 1} {
			x := random(1, n, 2)
			out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": x, "a": vector(1, 1)})
			if err != nil {
				t.Fatal(err)
			}
			z := slices.Clone(graph.Data[float32](x))
			for i := range z {
				z[i] = -z[i]
			}
			wantData(t, out["z"], []int{n, 2}, z...)
			if got := out["y"].Shape(); !slices.Equal(got, []int{n, 2}) {
				t.Errorf("got shape %v, want [%d 2]", got, n)
			}
		}
	})
}

// A file may list its weights among the inputs.
func TestSessionWeightsAmongInputs(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		model := edit(t, affine(t), func(g *onnxpb.GraphProto) {
			b := proto.Clone(g.Input[1]).(*onnxpb.ValueInfoProto)
			b.Name = proto.String("b")
			g.Input = append(g.Input, b)
		})
		s := openTest(t, model, &SessionOptions{Provider: provider})
		if got := len(s.Inputs()); got != 2 {
			t.Errorf("got %v, want two inputs", s.Inputs())
		}
		out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 2), "a": vector(1, 1)}, "y")
		if err != nil {
			t.Fatal(err)
		}
		wantData(t, out["y"], []int{1, 2}, []float32{10, 20}...)
	})
}

func TestPrune(t *testing.T) {
	file := detectorModel(t, models.Spec{Height: 16, Filters: 4}, nil)
	m := parsed(t, file)
	all, err := m.Prune([]string{"anomaly_map", "pred_score", "pred_label", "pred_mask", "reconstruction"})
	if err != nil {
		t.Fatal(err)
	}
	if &all[0] != &file[0] {
		t.Error("all outputs: got other bytes")
	}
	b, err := m.Prune([]string{"reconstruction"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Inspect(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Outputs) != 1 || len(d.Inputs) != 1 || d.Ops["Conv"] != 7 || d.Ops["MatMul"]+d.Ops["Greater"]+d.Ops["ReduceMax"] != 0 {
		t.Errorf("got %+v, want the network alone", d)
	}
}

// What a branch of an If reads from outside stays.
func TestPruneKeepsWhatBranchesRead(t *testing.T) {
	needProvider(t, CPU)
	model := edit(t, affine(t), func(g *onnxpb.GraphProto) {
		sum := g.Node[len(g.Node)-2] // y = a·x + b
		if sum.GetOpType() != "Add" {
			t.Fatalf("got %s, want Add", sum.GetOpType())
		}
		sum.Output = []string{"inner"}
		branch := func(name string) *onnxpb.GraphProto {
			return &onnxpb.GraphProto{
				Name:   proto.String(name),
				Node:   []*onnxpb.NodeProto{{OpType: proto.String("Neg"), Input: []string{"inner"}, Output: []string{name}}},
				Output: []*onnxpb.ValueInfoProto{{Name: proto.String(name), Type: g.Output[0].GetType()}},
			}
		}
		g.Initializer = append(g.Initializer, &onnxpb.TensorProto{
			Name: proto.String("cond"), DataType: proto.Int32(int32(graph.Bool)), RawData: []byte{1},
		})
		g.Node = append(g.Node, &onnxpb.NodeProto{
			OpType: proto.String("If"), Input: []string{"cond"}, Output: []string{"y"},
			Attribute: []*onnxpb.AttributeProto{
				{Name: proto.String("then_branch"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: branch("yes")},
				{Name: proto.String("else_branch"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: branch("no")},
			},
		})
	})
	s := openTest(t, model, &SessionOptions{Provider: CPU}, "y")
	out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 2), "a": vector(1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, out["y"], []int{1, 2}, []float32{-10, -20}...)
}

// readGolden reads the float32 arrays of an npz file.
func readGolden(t *testing.T, path string) map[string]*graph.Tensor {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	arrays := map[string]*graph.Tensor{}
	dir := t.TempDir()
	if err := os.CopyFS(dir, &z.Reader); err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		shape, data, err := npy.Load[float32](filepath.Join(dir, f.Name))
		if err != nil {
			continue // of another type
		}
		arrays[strings.TrimSuffix(f.Name, ".npy")] = graph.NewTensor(data, shape...)
	}
	return arrays
}

// What goes in may come out again, as may what is constant: as copies.
func TestSessionPassesOn(t *testing.T) {
	needProvider(t, CPU)
	sk := newSketch(14)
	sk.input("x", graph.Float32, "n", 2)
	sk.node("Neg", []string{"x"}, "y")
	sk.weight("w", graph.Float32, []int64{2}, 5, 6)
	sk.output("y", graph.Float32, "n", 2)
	sk.output("x", graph.Float32, "n", 2)
	sk.output("w", graph.Float32, 2)
	s := openTest(t, sk.bytes(t), &SessionOptions{Provider: CPU})
	x := random(1, 2, 2)
	for _, outputs := range [][]string{nil, {"x"}, {"w"}, {"x", "y"}} {
		out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": x}, outputs...)
		if err != nil {
			t.Fatal(err)
		}
		if got := out["x"]; got != nil {
			wantData(t, got, []int{2, 2}, graph.Data[float32](x)...)
			if &graph.Data[float32](got)[0] == &graph.Data[float32](x)[0] {
				t.Error("got the caller's own memory")
			}
		}
		if got := out["w"]; got != nil {
			wantData(t, got, []int{2}, []float32{5, 6}...)
		}
	}
	into := graph.Zeros(graph.Float32, 2, 2)
	if err := s.RunInto(t.Context(), map[string]*graph.Tensor{"x": x}, map[string]*graph.Tensor{"x": into}); err != nil {
		t.Fatal(err)
	}
	wantData(t, into, []int{2, 2}, graph.Data[float32](x)...)
}
