package runtime

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

func itoa(i int) string { return strconv.Itoa(i) }

func TestInspect(t *testing.T) {
	spec := models.Spec{Height: 32, Width: 16, Filters: 4, Depth: 2}
	params := 0
	for _, w := range network(t, spec).Init(1) {
		params += w.Len()
	}
	// The convolutions, at the sizes that pooling leaves, times 3×3.
	macs := int64(9 * (32*16*3*4 + 16*8*4*4 + 8*4*4*4 + 16*8*4*4 + 32*16*4*3))
	d, err := Inspect(detectorModel(t, spec, &onnxexport.Options{Profile: onnxexport.Reconstruction}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"reconstruction","images":{"layout":"NHWC","batch":-1,"channels":3,"height":32,"width":16,"sized_by":"input","range":"0:255"},` +
		`"inputs":[{"name":"input","dtype":"uint8","shape":[-1,32,16,3],"meaning":"images"}],` +
		`"outputs":[{"name":"reconstruction","dtype":"float32","shape":[-1,3,32,16],"meaning":"reconstruction"}],"producer":"anomaly","opset":18,"domains":{},` +
		`"ops":{"Cast":1,"Conv":5,"MaxPool":2,"Mul":1,"Relu":4,"Resize":2,"Sigmoid":1,"Transpose":1},` +
		`"params":` + itoa(params) + `,"macs":` + strconv.FormatInt(macs, 10) + `,` +
		`"metadata":{"Image.BitmapPixelFormat":"Rgb8","Image.ColorSpaceGamma":"SRGB","Image.NominalPixelRange":"NominalRange_0_255",` +
		`"anomaly.profile":"reconstruction","anomaly.schema":"1"},"threshold":null,"pixel_threshold":null}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}

	if d, err = Inspect(detectorModel(t, spec, nil)); err != nil {
		t.Fatal(err)
	}
	if d.Kind != KindDetector || d.Params != int64(params) || d.MACs == nil || *d.MACs <= macs {
		t.Errorf("detector: got %+v, want %d parameters and more MACs than %d", d, params, macs)
	}
}

func TestInspectMACs(t *testing.T) {
	build := func(f func(g *graph.Graph, x *graph.Value) *graph.Value, shape ...int) []byte {
		g := graph.New("g")
		g.Output("y", f(g, g.Input("x", graph.Float32, shape...)))
		return marshal(t, g, nil)
	}
	weight := func(g *graph.Graph, shape ...int) *graph.Value { return g.Const("", random(1, shape...)) }
	tests := []struct {
		name  string
		model []byte
		want  int64 // -1: unknown
	}{
		{"Conv", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.Conv(x, weight(g, 4, 6, 3, 3), nil, nil)
		}, -1, 6, 8, 8), 4 * 6 * 6 * 6 * 9},
		{"grouped Conv", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.Conv(x, weight(g, 4, 3, 3, 3), nil, &graph.ConvOptions{Groups: 2, Strides: [2]int{2, 2}})
		}, -1, 6, 9, 9), 4 * 4 * 4 * 3 * 9},
		{"ConvTranspose", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.ConvTranspose(x, weight(g, 6, 4, 3, 3), nil, nil, 0, 0)
		}, -1, 6, 8, 8), 6 * 64 * 4 * 9},
		{"Gemm", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.Gemm(x, weight(g, 5, 7), nil, &graph.GemmOptions{TransB: true})
		}, -1, 7), 5 * 7},
		{"MatMul", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.MatMul(x, weight(g, 7, 5))
		}, -1, 2, 7), 2 * 5 * 7},
		{"open size", build(func(g *graph.Graph, x *graph.Value) *graph.Value {
			return graph.Conv(x, weight(g, 4, 6, 3, 3), nil, nil)
		}, -1, 6, -1, -1), -1},
		{"none", build(func(g *graph.Graph, x *graph.Value) *graph.Value { return graph.Relu(x) }, -1, 6), 0},
	}
	for _, tt := range tests {
		d, err := Inspect(tt.model)
		if err != nil {
			t.Fatal(err)
		}
		got := int64(-1)
		if d.MACs != nil {
			got = *d.MACs
		}
		if got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestInspectForeign(t *testing.T) {
	for name, want := range map[string]struct {
		kind  string
		opset int64
		conv  int
	}{
		"torch_dynamo_dcae_128": {KindReconstruction, 20, 7},
		"keras_dcae_128_nhwc":   {KindReconstruction, 15, 7},
		"anomalib_padim_128":    {KindAnomalib, 18, 11},
	} {
		b, err := ReadFile(filepath.Join(testenv.Shared(t, "interop", name), "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		if d.Kind != want.kind || d.Opset != want.opset || d.Params <= 0 || d.Ops["Conv"] != want.conv {
			t.Errorf("%s: got %+v, want %+v", name, d, want)
		}
	}
}

func TestInspectErrors(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("no model"), affine(t)[:100]} {
		if _, err := Inspect(b); !errors.Is(err, ErrModel) {
			t.Errorf("%d bytes: got %v, want ErrModel", len(b), err)
		}
	}
}
