package commands

import (
	"encoding/json"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// foreignModel writes a model as another tool might: of grey images of 16x16, with
// some of anomalib's outputs. The map is how dark the darkest of 4x4 pixels is.
func foreignModel(t *testing.T, outputs ...string) string {
	t.Helper()
	g := graph.New("foreign")
	dark := graph.Sub(g.Scalar(1), g.Input("input", graph.Float32, graph.Dynamic, 1, 16, 16))
	m := graph.MaxPool(dark, 4, 4, &graph.PoolOptions{Strides: [2]int{4, 4}})
	score := graph.ReduceMax(m, false, 2, 3)
	for name, v := range map[string]*graph.Value{
		"pred_score": score, "pred_label": graph.Greater(score, g.Scalar(.9)), "anomaly_map": m, "pred_mask": graph.Greater(m, g.Scalar(.95)),
	} {
		if slices.Contains(outputs, name) {
			g.Output(name, v)
		}
	}
	return writeForeign(t, g, nil)
}

func writeForeign(t *testing.T, g *graph.Graph, change func(*onnxpb.ModelProto)) string {
	t.Helper()
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		var p onnxpb.ModelProto
		if err := proto.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if b, err = proto.Marshal(&p); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "foreign.onnx")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a model does not give is left out, with one note.
func TestForeignWithoutMap(t *testing.T) {
	model, data, out := foreignModel(t, "pred_score", "pred_label"), testSet(t, true), t.TempDir()
	stdout, stderr := mustRun(t, 0, "run", model, filepath.Join(data, "test"), "--provider", "go", "--json", "--out", out, "--save", "picture,map,mask,reconstruction")
	for _, note := range []string{"gives no maps", "gives no reconstructions"} {
		if strings.Count(stderr, note) != 1 {
			t.Errorf("got %q, want %q once", stderr, note)
		}
	}
	lines := parseLines(t, stdout)
	if len(lines) != 10 {
		t.Fatalf("got %d lines", len(lines))
	}
	for _, l := range lines {
		bad := !strings.Contains(*l.Path, "good")
		if l.Threshold == nil || *l.Threshold != .9 || l.Anomalous == nil || *l.Anomalous != bad || len(*l.Regions) != 0 {
			t.Errorf("got %+v", l)
		}
	}
	want := []string{"index.html"}
	for _, f := range []string{"a/0", "a/1", "a/2", "b/0", "b/1", "b/2", "good/0", "good/1", "good/2", "good/3"} {
		want = append(want, f+".png.picture.jpg")
	}
	slices.Sort(want)
	got := list(t, out)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	stdout, stderr = mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json")
	if e := parseEval(t, stdout); e.Pixel != nil || e.Image.AUROC != 1 || strings.Count(stderr, "pixels are not measured") != 1 {
		t.Errorf("eval: got %+v, %q", e, stderr)
	}
	stdout, _ = mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--perturb")
	if !strings.Contains(stdout, "false rejects") || strings.Contains(stdout, "pixels: AUROC") {
		t.Errorf("eval --perturb: got %s", stdout)
	}
	stdout, _ = mustRun(t, 0, "eval", "--compare", model, tinyModel(t), "--data", data, "--provider", "go", "--json")
	var c struct {
		A, B       struct{ Pixel *pixel5 }
		Difference struct{ Pixel map[string]any }
		Images     []struct{ A, B struct{ Anomalous *bool } }
	}
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || c.A.Pixel != nil || c.B.Pixel == nil || c.Difference.Pixel != nil || c.Images[0].A.Anomalous == nil {
		t.Errorf("eval --compare: got %+v, %v", c, err)
	}
	for _, args := range [][]string{{"--min-area", "2"}, {"--zones", zonesFile(t)}} {
		if _, stderr := mustRun(t, 2, append([]string{"run", model, data, "--provider", "go"}, args...)...); !strings.Contains(stderr, "gives none") {
			t.Errorf("%v: got %q", args, stderr)
		}
	}
}

// A label of which nothing tells the threshold is a verdict all the same.
func TestForeignLabel(t *testing.T) {
	g := graph.New("label")
	score := graph.ReduceMax(graph.Sub(g.Scalar(1), g.Input("input", graph.Float32, graph.Dynamic, 1, 16, 16)), false, 2, 3)
	g.Output("pred_score", score)
	g.Output("pred_label", graph.Greater(graph.Tanh(score), g.Scalar(.7)))
	model, data, out := writeForeign(t, g, nil), testSet(t, true), t.TempDir()
	stdout, stderr := mustRun(t, 0, "run", model, filepath.Join(data, "test"), "--provider", "go", "--json", "--out", out)
	for _, l := range parseLines(t, stdout) {
		if l.Threshold != nil || l.Anomalous == nil || *l.Anomalous == strings.Contains(*l.Path, "good") {
			t.Errorf("got %+v", l)
		}
	}
	if strings.Contains(stderr, "no threshold") || !strings.Contains(stderr, "10 images, 6 anomalous") {
		t.Errorf("got %q", stderr)
	}
	page := string(mustRead(t, filepath.Join(out, "index.html")))
	if yes, no := strings.Count(page, `"anomalous":true`), strings.Count(page, `"anomalous":false`); yes != 6 || no != 4 || !strings.Contains(page, "<title>6 of 10 anomalous") {
		t.Errorf("report: got %d anomalous and %d good images", yes, no)
	}
	mustRun(t, 3, "run", model, filepath.Join(data, "test"), "--provider", "go", "--fail-on-anomaly")
	stdout, _ = mustRun(t, 0, "eval", "--compare", model, tinyModel(t), "--data", data, "--provider", "go")
	if !strings.Contains(stdout, "The verdict changed on") {
		t.Errorf("eval --compare: got %s", stdout)
	}
}

// zonesFile writes a PNG whose zone 255 holds the bad images' square, with a margin.
func zonesFile(t *testing.T) string {
	t.Helper()
	mask := image.NewGray(image.Rect(0, 0, 40, 30))
	draw.Draw(mask, image.Rect(15, 5, 35, 23), image.White, image.Point{}, draw.Src)
	path := filepath.Join(t.TempDir(), "zones.png")
	if err := writePNG(path, mask); err != nil {
		t.Fatal(err)
	}
	return path
}

// A map is of a size of its own, and pixels have their own threshold.
func TestForeignSmallMap(t *testing.T) {
	model, data, out := foreignModel(t, "pred_score", "anomaly_map", "pred_label", "pred_mask"), testSet(t, true), t.TempDir()
	image := filepath.Join(data, "test", "a", "0.png")
	stdout, _ := mustRun(t, 0, "run", model, image, "--provider", "go", "--json", "--out", out, "--save", "picture,map,mask")
	l := parseLines(t, stdout)[0]
	if !*l.Anomalous || len(*l.Regions) != 1 {
		t.Fatalf("got %+v, want one region", l)
	}
	// The square, 20 to 30 and 10 to 18 of 40x30, within cells of 10x7.5 pixels.
	if r := (*l.Regions)[0]; *r.X != 20 || *r.W != 10 || *r.Y != 7 || *r.H != 16 || *r.Area != 150 {
		t.Errorf("got region %d,%d %dx%d, area %d", *r.X, *r.Y, *r.W, *r.H, *r.Area)
	}
	shape, residuals, err := npy.Load[float32](filepath.Join(out, "0.png.map.npy"))
	if err != nil || !slices.Equal(shape, []int{4, 4}) || slices.Max(residuals) != *l.Score {
		t.Errorf("map: got %v %v, %v", shape, residuals, err)
	}
	mask := readPNG(t, filepath.Join(out, "0.png.mask.png"))
	if got := mask.Bounds().Size(); got.X != 40 || got.Y != 30 {
		t.Errorf("mask: got %v", got)
	}
	if r, _, _, _ := mask.At(25, 14).RGBA(); r == 0 {
		t.Error("mask: the square is not in it")
	}
	stdout, _ = mustRun(t, 0, "run", model, image, "--provider", "go", "--json", "--zones", zonesFile(t))
	if l := parseLines(t, stdout)[0]; *l.Anomalous || *l.Threshold != .95 {
		t.Errorf("ignored square: got %+v, want it good by the threshold of pixels", l)
	}
	if _, stderr := mustRun(t, 2, "run", model, image, "--provider", "go", "--min-area", "17"); !strings.Contains(stderr, "at most the map's 16") {
		t.Errorf("got %q", stderr)
	}
	stdout, _ = mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json", "--perturb")
	if !strings.Contains(stdout, `"kind":"shift"`) || strings.Contains(stdout, `"pixel":null`) {
		t.Errorf("eval: got %s", stdout)
	}
}

// A threshold is found for models that cannot keep it, and nothing is written.
func TestForeignCalibrate(t *testing.T) {
	model, data := foreignModel(t, "pred_score"), testSet(t, true)
	before := mustRead(t, model)
	stdout, stderr := mustRun(t, 0, "run", model, filepath.Join(data, "test"), "--provider", "go", "--json")
	if l := parseLines(t, stdout)[0]; l.Threshold != nil || l.Anomalous != nil || !strings.Contains(stderr, "has no threshold") {
		t.Errorf("got %+v, %q", l, stderr)
	}
	stdout, _ = mustRun(t, 0, "calibrate", model, "--data", data, "--provider", "go", "--json")
	var cal calibration
	if err := json.Unmarshal([]byte(stdout), &cal); err != nil || cal.Stored || cal.F1 == nil || *cal.F1 != 1 || !(*cal.Threshold > .77 && *cal.Threshold < 1) {
		t.Errorf("got %s, %v", stdout, err)
	}
	stdout, _ = mustRun(t, 0, "calibrate", model, "--data", data, "--provider", "go")
	_, flag, found := strings.Cut(stdout, "give run ")
	flag, _, _ = strings.Cut(flag, "\n")
	if !found {
		t.Fatalf("got %q", stdout)
	}
	stdout, _ = mustRun(t, 0, append([]string{"run", model, filepath.Join(data, "test"), "--provider", "go", "--json"}, strings.Fields(flag)...)...)
	for _, l := range parseLines(t, stdout) {
		if *l.Anomalous == strings.Contains(*l.Path, "good") {
			t.Errorf("got %+v", l)
		}
	}
	for _, args := range [][]string{{"--out", "x.onnx"}, {"--pixel-threshold", "1"}, {"--threshold", "1"}, {"--review-band", "1:2"}} {
		if _, stderr := mustRun(t, 2, append([]string{"calibrate", model, "--data", data, "--provider", "go"}, args...)...); !strings.Contains(stderr, "not exported by anomaly") {
			t.Errorf("%v: got %q", args, stderr)
		}
	}
	if _, stderr := mustRun(t, 1, "export", model, "--out", filepath.Join(t.TempDir(), "x.onnx")); !strings.Contains(stderr, "not exported by anomaly") {
		t.Errorf("export: got %q", stderr)
	}
	if !slices.Equal(before, mustRead(t, model)) {
		t.Error("the model has changed")
	}
}

// Images of several sizes, each at its own or brought to one.
func TestForeignNativeSize(t *testing.T) {
	if !cpuUsable() {
		t.Skip("ONNX Runtime cannot be used here")
	}
	g := graph.New("native")
	g.Output("46", graph.Mul(g.Input("x", graph.Float32, graph.Dynamic, 1, 16, 16), g.Scalar(.5)))
	model := writeForeign(t, g, func(p *onnxpb.ModelProto) {
		for _, v := range []*onnxpb.ValueInfoProto{p.Graph.Input[0], p.Graph.Output[0]} {
			for i, d := range v.GetType().GetTensorType().GetShape().GetDim()[2:] {
				d.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: []string{"height", "width"}[i]}
			}
		}
		p.ProducerName = proto.String("another")
	})
	dir, out := t.TempDir(), t.TempDir()
	whole := goodImage(1)
	for name, img := range map[string]image.Image{"a.png": whole, "b.png": whole.SubImage(image.Rect(0, 0, 20, 25)), "c.png": goodImage(2)} {
		if err := writePNG(filepath.Join(dir, name), img); err != nil {
			t.Fatal(err)
		}
	}
	stdout, _ := mustRun(t, 0, "inspect", model)
	if !strings.Contains(stdout, "grey, of any size, each its own") {
		t.Errorf("got %s", stdout)
	}
	maps := func(want map[string][]int, args ...string) {
		t.Helper()
		mustRun(t, 0, append([]string{"run", model, dir, "--provider", string(anrt.CPU), "--map", "l1", "--threshold", "0.2", "--out", out, "--save", "picture,map,mask,reconstruction"}, args...)...)
		for name, shape := range want {
			got, _, err := npy.Load[float32](filepath.Join(out, name+".map.npy"))
			if err != nil || !slices.Equal(got, shape) {
				t.Errorf("%v: %s: got %v, %v, want %v", args, name, got, err, shape)
			}
		}
	}
	maps(map[string][]int{"a.png": {30, 40}, "b.png": {25, 20}, "c.png": {30, 40}})
	maps(map[string][]int{"a.png": {12, 16}, "b.png": {12, 16}, "c.png": {12, 16}}, "--size", "12x16")
}
