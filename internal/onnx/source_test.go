package onnx

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// hostile are changes to a good file that make it bad, and what the error must say.
var hostile = []struct {
	name   string
	change func(f *onnxpb.ModelProto)
	want   string
}{
	{"no graph", func(f *onnxpb.ModelProto) { f.Graph = nil }, "no ONNX model"},
	{"old opset", func(f *onnxpb.ModelProto) { f.OpsetImport[0].Version = proto.Int64(5) }, "got opset 5, want 6 to 28"},
	{"opset to come", func(f *onnxpb.ModelProto) { f.OpsetImport[0].Version = proto.Int64(99) }, "got opset 99, want 6 to 28"},
	{"no opset", func(f *onnxpb.ModelProto) { f.OpsetImport[0].Domain = proto.String("com.example") }, "got no opset"},
	{"metadata twice", func(f *onnxpb.ModelProto) { f.MetadataProps = append(f.MetadataProps, f.MetadataProps[0]) }, "two metadata entries"},
	{"cycle", func(f *onnxpb.ModelProto) { first, last := ends(f); first.Input[0] = last.Output[0] }, "nothing before it gives"},
	{"order", func(f *onnxpb.ModelProto) { slices.Reverse(f.Graph.Node) }, "nothing before it gives"},
	{"unknown operator", func(f *onnxpb.ModelProto) { first, _ := ends(f); first.OpType = proto.String("LSTM") }, "operator LSTM"},
	{"foreign operator", func(f *onnxpb.ModelProto) { first, _ := ends(f); first.Domain = proto.String("com.microsoft") }, `domain "com.microsoft"`},
	{"name twice", func(f *onnxpb.ModelProto) { first, last := ends(f); last.Output[0] = first.Output[0] }, "two values are named"},
	{"input twice", func(f *onnxpb.ModelProto) { f.Graph.Input = append(f.Graph.Input, f.Graph.Input[0]) }, "two values are named"},
	{"no results", func(f *onnxpb.ModelProto) { first, _ := ends(f); first.Output = nil }, "got 0 results, want 1 to 1024"},
	{"too many results", func(f *onnxpb.ModelProto) { first, _ := ends(f); first.Output = append(first.Output, "a", "b") }, "has 1 results, want 3"},
	{"far too many results", func(f *onnxpb.ModelProto) {
		first, _ := ends(f)
		first.Output = append(first.Output, make([]string, 2000)...)
	}, "got 2001 results"},
	{"operand left out", func(f *onnxpb.ModelProto) { first, _ := ends(f); first.Input[0] = "" }, "operand 0 is missing"},
	{"subgraph", func(f *onnxpb.ModelProto) {
		first, _ := ends(f)
		first.Attribute = []*onnxpb.AttributeProto{{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum()}}
	}, `attribute "body" of type GRAPH`},
	{"attribute twice", func(f *onnxpb.ModelProto) {
		first, _ := ends(f)
		first.Attribute = append(first.Attribute, first.Attribute[0])
	}, "two attributes"},
	{"unknown attribute", func(f *onnxpb.ModelProto) {
		first, _ := ends(f)
		first.Attribute = append(first.Attribute, &onnxpb.AttributeProto{Name: proto.String("fmod"), Type: onnxpb.AttributeProto_INT.Enum()})
	}, `attribute "fmod" is not known`},
	{"no outputs", func(f *onnxpb.ModelProto) { f.Graph.Output = nil }, "has no output"},
	{"output of nothing", func(f *onnxpb.ModelProto) { f.Graph.Output[0].Name = proto.String("x") }, `output "x": no node gives it`},
	{"output twice", func(f *onnxpb.ModelProto) { f.Graph.Output = append(f.Graph.Output, f.Graph.Output[0]) }, "declared once"},
	{"output type", func(f *onnxpb.ModelProto) { tensorType(f.Graph.Output[0]).ElemType = proto.Int32(7) }, "the file declares int64[N,1,4,6], its operators give float32[N,1,4,6]"},
	{"output shape", func(f *onnxpb.ModelProto) { setDim(f.Graph.Output[0], 2, 5) }, "the file declares float32[N,1,5,6]"},
	{"input without type", func(f *onnxpb.ModelProto) { f.Graph.Input[0].Type = nil }, "is no tensor"},
	{"input without shape", func(f *onnxpb.ModelProto) { tensorType(f.Graph.Input[0]).Shape = nil }, "got no shape"},
	{"input of strings", func(f *onnxpb.ModelProto) { tensorType(f.Graph.Input[0]).ElemType = proto.Int32(8) }, "element type STRING"},
	{"input of negative size", func(f *onnxpb.ModelProto) { setDim(f.Graph.Input[0], 1, -4) }, "got a dimension of -4"},
	{"huge input", func(f *onnxpb.ModelProto) { setDim(f.Graph.Input[0], 1, 1<<30); setDim(f.Graph.Input[0], 2, 1<<30) }, "elements for each image"},
	{"overflowing input", func(f *onnxpb.ModelProto) { setDim(f.Graph.Input[0], 1, 1<<62) }, "got a dimension of"},
	{"sparse", func(f *onnxpb.ModelProto) { f.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{{}} }, "sparse"},
	{"data elsewhere", func(f *onnxpb.ModelProto) { w := weight(f); w.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum() }, "another file"},
	{"segments", func(f *onnxpb.ModelProto) { weight(f).Segment = &onnxpb.TensorProto_Segment{} }, "segments"},
	{"half floats", func(f *onnxpb.ModelProto) { weight(f).DataType = proto.Int32(10) }, "got 18 elements, want 9"},
	{"8-bit floats", func(f *onnxpb.ModelProto) { weight(f).DataType = proto.Int32(17) }, "element type FLOAT8E4M3FN"},
	{"huge weight", func(f *onnxpb.ModelProto) { weight(f).Dims = []int64{1 << 31, 1 << 31, 1 << 31} }, "got dimensions"},
	{"missing data", func(f *onnxpb.ModelProto) { weight(f).Dims = []int64{1 << 30} }, "got 9 elements, want 1073741824"},
	{"no data", func(f *onnxpb.ModelProto) { weight(f).RawData = nil }, "got 0 elements, want 9"},
	{"data twice", func(f *onnxpb.ModelProto) { // of a type whose two lists are read alike
		w := weight(f)
		w.DataType, w.Dims, w.Int32Data = proto.Int32(2), []int64{36}, make([]int32, 40)
	}, "got its data twice, raw and as 40 numbers"},
	{"half an element", func(f *onnxpb.ModelProto) { w := weight(f); w.RawData = w.RawData[:35] }, "got 35 bytes of float32"},
	{"negative weight", func(f *onnxpb.ModelProto) { weight(f).Dims = []int64{-3, -3} }, "got dimensions [-3 -3]"},
	{"rank of weight", func(f *onnxpb.ModelProto) { weight(f).Dims = slices.Repeat([]int64{1}, 1e6) }, "got 1000000 dimensions"},
	{"other weight", func(f *onnxpb.ModelProto) { weight(f).Dims = []int64{1, 9, 1, 1} }, "got 1 input channels, want 9"},
	{"weight without name", func(f *onnxpb.ModelProto) { weight(f).Name = nil }, "got no name"},
	{"weight twice", func(f *onnxpb.ModelProto) { f.Graph.Initializer = append(f.Graph.Initializer, weight(f)) }, "two values are named"},
	{"growing rank", growingRank, "dimensions, want at most"},
	{"growing size", growingSize, "elements for each image"},
}

func ends(f *onnxpb.ModelProto) (first, last *onnxpb.NodeProto) {
	return f.Graph.Node[0], f.Graph.Node[len(f.Graph.Node)-1]
}

// weight returns the initializer conv.weight.
func weight(f *onnxpb.ModelProto) *onnxpb.TensorProto {
	i := slices.IndexFunc(f.Graph.Initializer, func(t *onnxpb.TensorProto) bool { return t.GetName() == "conv.weight" })
	return f.Graph.Initializer[i]
}

func tensorType(v *onnxpb.ValueInfoProto) *onnxpb.TypeProto_Tensor { return v.Type.GetTensorType() }

func setDim(v *onnxpb.ValueInfoProto, i int, size int64) {
	tensorType(v).Shape.Dim[i].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: size}
}

// growingRank chains Gathers each of which nearly doubles the rank.
func growingRank(f *onnxpb.ModelProto) {
	grow(f, &onnxpb.NodeProto{OpType: proto.String("Gather")}, 50)
}

// growingSize chains Concats each of which doubles the size.
func growingSize(f *onnxpb.ModelProto) {
	axis := &onnxpb.AttributeProto{Name: proto.String("axis"), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(0)}
	grow(f, &onnxpb.NodeProto{OpType: proto.String("Concat"), Attribute: []*onnxpb.AttributeProto{axis}}, 70)
}

func grow(f *onnxpb.ModelProto, node *onnxpb.NodeProto, times int) {
	seed := graph.NewTensor([]int64{0}, 1, 1)
	f.Graph.Initializer = append(f.Graph.Initializer, tensorProto("grown0", seed))
	for i := range times {
		n := proto.Clone(node).(*onnxpb.NodeProto)
		from := fmt.Sprintf("grown%d", i)
		n.Input, n.Output = []string{from, from}, []string{fmt.Sprintf("grown%d", i+1)}
		f.Graph.Node = append(f.Graph.Node, n)
	}
}

// goodFile returns the file that the hostile ones are made from.
func goodFile(t testing.TB) []byte {
	return marshal(t, goodModel())
}

// goodModel is a small detector: one 3×3 convolution and a sigmoid between its
// input and what is compared.
func goodModel() *Model {
	g := graph.New("good")
	x := g.Input("input", graph.Float32, graph.Dynamic, 1, 4, 6)
	y := graph.Sigmoid(graph.Conv(x, g.Param("conv.weight", 1, 1, 3, 3), g.Param("conv.bias", 1), graph.Same(3)))
	residuals := graph.Abs(graph.Sub(x, y))
	score := graph.ReduceMax(residuals, false, 1, 2, 3)
	g.Output(Map, residuals)
	g.Output(Score, score)
	g.Output(Label, graph.Greater(score, g.Param(Threshold, 1)))
	weight := make([]float32, 9)
	for i := range weight {
		weight[i] = float32(i*37%128-64) / 64
	}
	return &Model{
		Graph: g,
		Weights: map[string]*graph.Tensor{
			"conv.weight": graph.NewTensor(weight, 1, 1, 3, 3), "conv.bias": graph.Zeros(graph.Float32, 1),
			Threshold: graph.NewTensor([]float32{.5}, 1),
		},
		Metadata: map[string]string{KeySchema: "1", KeyProfile: "detector", KeyMap: "l1"},
	}
}

func changed(t testing.TB, b []byte, change func(*onnxpb.ModelProto)) []byte {
	t.Helper()
	var f onnxpb.ModelProto
	if err := proto.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	change(&f)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseErrors(t *testing.T) {
	good := goodFile(t)
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(changed(t, good, c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("<html><body>404: no such model</body></html>"), "zeros": make([]byte, 100),
		"pointer": []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), "no ONNX model") {
				t.Errorf("got %v, want %q", err, "no ONNX model")
			}
		})
	}
}

func TestParseTruncated(t *testing.T) {
	good := goodFile(t)
	whole, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		// A file cut between two fields of its end is one with less metadata.
		m, err := Parse(good[:n])
		if err == nil && (len(m.Metadata) >= len(whole.Metadata) || len(m.Graph.Outputs()) != len(whole.Graph.Outputs())) {
			t.Errorf("%d of %d bytes: got a model, want an error", n, len(good))
		}
	}
}

// Other exporters write the same in other ways.
func TestParseOtherSpellings(t *testing.T) {
	good := goodFile(t)
	want, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*onnxpb.ModelProto)
	}{
		{"the domain's long name", func(f *onnxpb.ModelProto) {
			f.OpsetImport[0].Domain = proto.String("ai.onnx")
			for _, n := range f.Graph.Node {
				n.Domain = proto.String("ai.onnx")
			}
		}},
		{"initializers among the inputs", func(f *onnxpb.ModelProto) {
			for _, p := range want.Graph.Params() {
				f.Graph.Input = append(f.Graph.Input, valueInfo(p))
			}
		}},
		{"weights as float_data", func(f *onnxpb.ModelProto) {
			for _, p := range f.Graph.Initializer {
				if graph.DType(p.GetDataType()) == graph.Float32 {
					x, err := tensor(p)
					if err != nil {
						t.Fatal(err)
					}
					p.RawData, p.FloatData = nil, graph.Data[float32](x)
				}
			}
		}},
		{"outputs without shapes", func(f *onnxpb.ModelProto) {
			for _, o := range f.Graph.Output {
				tensorType(o).Shape = nil
			}
		}},
		{"other node names", func(f *onnxpb.ModelProto) {
			for i, n := range f.Graph.Node {
				n.Name = proto.String(fmt.Sprint(i))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(changed(t, good, c.change))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(marshal(t, m), good) {
				t.Error("got another model")
			}
		})
	}
}

func TestParseConstantNodes(t *testing.T) {
	value := func(name string, typ onnxpb.AttributeProto_AttributeType) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: typ.Enum(), F: proto.Float32(2), I: proto.Int64(2),
			Floats: []float32{2}, Ints: []int64{2}, T: tensorProto("", graph.NewTensor([]float32{2}))}
	}
	for _, c := range []struct {
		attr *onnxpb.AttributeProto
		want string
	}{
		{value("value", onnxpb.AttributeProto_TENSOR), "float32[]"},
		{value("value_float", onnxpb.AttributeProto_FLOAT), "float32[]"},
		{value("value_floats", onnxpb.AttributeProto_FLOATS), "float32[1]"},
		{value("value_int", onnxpb.AttributeProto_INT), "int64[]"},
		{value("value_ints", onnxpb.AttributeProto_INTS), "int64[1]"},
	} {
		m, err := Parse(changed(t, goodFile(t), func(f *onnxpb.ModelProto) {
			f.Graph.Node = append([]*onnxpb.NodeProto{{
				OpType: proto.String("Constant"), Output: []string{"two"}, Attribute: []*onnxpb.AttributeProto{c.attr},
			}}, f.Graph.Node...)
		}))
		if err != nil {
			t.Errorf("%s: %v", c.attr.GetName(), err)
			continue
		}
		if v := m.Graph.Lookup("two"); v == nil || v.Const() == nil || v.Type.String() != c.want {
			t.Errorf("%s: got %v, want constant %s", c.attr.GetName(), v, c.want)
		}
	}
}

// TestParseRefusesMeanings: attributes that change what an operator computes, in
// ways that package graph does not have, are errors and not ignored.
func TestParseRefusesMeanings(t *testing.T) {
	number := func(name string, i int64) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: &i}
	}
	numbers := func(name string, ints ...int64) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum(), Ints: ints}
	}
	text := func(name, s string) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(s)}
	}
	kernel := numbers("kernel_shape", 2, 2)
	scales, sizes := graph.NewTensor([]float32{1, 1, 2, 2}, 4), graph.NewTensor([]int64{2, 3, 8, 8}, 4)
	linear, half := text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")
	weights := graph.NewTensor([]float32{1, 2, 3}, 3, 1, 1, 1)
	for _, c := range []struct {
		op       string
		operands []*graph.Tensor // after the image, nil where omitted
		attrs    []*onnxpb.AttributeProto
		want     string // "" for a good one
	}{
		{"Reshape", []*graph.Tensor{sizes.Reshape(4)}, nil, "another number of elements"},
		{"Reshape", []*graph.Tensor{graph.NewTensor([]int64{0, -1}, 2)}, []*onnxpb.AttributeProto{number("allowzero", 0)}, ""},
		{"Reshape", []*graph.Tensor{graph.NewTensor([]int64{0, -1}, 2)}, []*onnxpb.AttributeProto{number("allowzero", 1)}, "allowzero: got shape [0 -1]"},
		{"MaxPool", nil, []*onnxpb.AttributeProto{kernel, number("ceil_mode", 0), number("storage_order", 0), text("auto_pad", "NOTSET")}, ""},
		{"MaxPool", nil, []*onnxpb.AttributeProto{kernel, text("auto_pad", "SAME")}, `auto_pad: got "SAME"`},
		{"Resize", []*graph.Tensor{nil, scales}, []*onnxpb.AttributeProto{linear, half}, ""},
		{"Resize", []*graph.Tensor{nil, scales}, []*onnxpb.AttributeProto{linear, half, number("antialias", 1)}, ""},
		{"Resize", []*graph.Tensor{nil, scales}, nil, ""},
		{"Resize", []*graph.Tensor{nil, scales}, []*onnxpb.AttributeProto{text("mode", "lanczos"), half}, `mode: got "lanczos"`},
		{"Resize", []*graph.Tensor{nil, scales}, []*onnxpb.AttributeProto{linear, half, number("exclude_outside", 1)}, "exclude_outside without antialias"},
		{"Resize", []*graph.Tensor{nil, scales}, []*onnxpb.AttributeProto{linear, text("coordinate_transformation_mode", "tf_crop_and_resize")}, `"tf_crop_and_resize"`},
		{"Resize", []*graph.Tensor{nil, nil, sizes}, []*onnxpb.AttributeProto{linear, text("keep_aspect_ratio_policy", "not_smaller")}, `"keep_aspect_ratio_policy"`},
		{"Conv", []*graph.Tensor{weights}, []*onnxpb.AttributeProto{number("group", 3)}, ""},
		{"Conv", []*graph.Tensor{weights}, []*onnxpb.AttributeProto{number("group", 3), text("auto_pad", "SAME_LOWER")}, ""},
		{"Conv", []*graph.Tensor{weights}, []*onnxpb.AttributeProto{number("group", 3), kernel}, "kernel_shape: got [2 2]"},
		{"Conv", []*graph.Tensor{weights}, []*onnxpb.AttributeProto{text("group", "3")}, `attribute "group": got string, want int64`},
		{"ConvTranspose", []*graph.Tensor{weights}, []*onnxpb.AttributeProto{number("group", 3), numbers("output_shape", 9, 9)}, "output_padding: got [5 5]"},
		{"ReduceMean", []*graph.Tensor{graph.NewTensor([]int64{1}, 1)}, []*onnxpb.AttributeProto{numbers("axes", 1)}, "axes: got an attribute and an operand"},
		{"Split", nil, []*onnxpb.AttributeProto{number("num_outputs", 1<<40)}, "num_outputs 1099511627776"},
	} {
		f := &onnxpb.ModelProto{IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(18)}}, Graph: &onnxpb.GraphProto{}}
		node := &onnxpb.NodeProto{OpType: &c.op, Input: []string{"x"}, Output: []string{"y"}, Attribute: c.attrs}
		g := graph.New("")
		f.Graph.Input = []*onnxpb.ValueInfoProto{valueInfo(g.Input("x", graph.Float32, 2, 3, 4, 4))}
		f.Graph.Output = []*onnxpb.ValueInfoProto{valueInfo(g.Input("y", graph.Float32))}
		tensorType(f.Graph.Output[0]).Shape = nil
		for i, x := range c.operands {
			name := ""
			if x != nil {
				name = fmt.Sprint("operand", i)
				f.Graph.Initializer = append(f.Graph.Initializer, tensorProto(name, x))
			}
			node.Input = append(node.Input, name)
		}
		f.Graph.Node = []*onnxpb.NodeProto{node}
		b, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(b)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %v: got %v, want %q", c.op, c.attrs, err, c.want)
		}
	}
}

// FuzzFor reads files for two images where the batch is open.
func FuzzFor(f *testing.F) {
	f.Add(goodFile(f))
	for _, c := range importCases(f) {
		f.Add(c.File)
	}
	for _, c := range hostileFolds {
		f.Add(foldFile(f, c.nodes...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := source(b)
		if err == nil {
			for range 2 {
				file.For(likeDeclared(file))
			}
		}
	})
}

// likeDeclared returns shapes that a file declares for its inputs, 2 where it
// leaves dimensions open, and ones for the values of those that decide shapes.
func likeDeclared(f *Source) (map[string][]int, map[string]*graph.Tensor) {
	shapes, values := map[string][]int{}, map[string]*graph.Tensor{}
	for _, in := range f.graph.Input {
		t, err := valueType(in)
		if err != nil {
			continue
		}
		for i, d := range t.Shape {
			if d == graph.Dynamic {
				t.Shape[i] = 2
			}
		}
		shapes[in.GetName()] = t.Shape
		if slices.Contains(f.ShapeInputs(), in.GetName()) && t.DType == graph.Int64 && len(t.Shape) == 1 && t.Shape[0] < 100 {
			values[in.GetName()] = graph.NewTensor(slices.Repeat([]int64{1}, t.Shape[0]), t.Shape[0])
		}
	}
	return shapes, values
}

func FuzzParse(f *testing.F) {
	good := goodFile(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	for _, c := range hostile {
		if b := changed(f, good, c.change); len(b) < 1<<16 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		once := marshal(t, m)
		if m, err = Parse(once); err != nil {
			t.Fatalf("what Marshal wrote: %v", err)
		}
		if !bytes.Equal(marshal(t, m), once) {
			t.Fatal("Marshal(Parse(b)) differs from b")
		}
	})
}

// source decodes a file.
func source(b []byte) (*Source, error) {
	f, err := Read(b)
	if err != nil {
		return nil, err
	}
	return f.Source()
}
