package commands

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// backboneFileFor writes a network of two convolutions, of one image of 64×64.
func backboneFileFor(t *testing.T) string {
	t.Helper()
	g := graph.New("net")
	x := g.Input("image", graph.Float32, 1, 3, 64, 64)
	weights := func(shape ...int) *graph.Value {
		w := graph.Zeros(graph.Float32, shape...)
		for i := range graph.Data[float32](w) {
			graph.Data[float32](w)[i] = float32(math.Sin(float64(i*i))) / 4
		}
		return g.Const("", w)
	}
	for i, kernel := range []int{4, 2} {
		x = graph.Relu(graph.Conv(x, weights(6, x.Dim(1), kernel, kernel), nil, &graph.ConvOptions{Strides: [2]int{kernel, kernel}}))
		x.Node().Rename([]string{"four", "eight"}[i])
	}
	g.Output("class", graph.Gemm(graph.Reshape(x, 1, 6*64), weights(6*64, 2), nil, nil))
	b, err := onnx.Marshal(&onnx.Model{Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Any network in an ONNX file serves as a backbone: the model has it inside, names it
// and its hash, and is exported again without the file.
func TestTrainBackboneFile(t *testing.T) {
	tinyModel(t)
	data, dir, backbone := filepath.Join(scratch, "train"), t.TempDir(), backboneFileFor(t)
	out := filepath.Join(dir, "m.onnx")
	_, stderr := mustRun(t, 0, "train", "--data", data, "--out", out, "--provider", "go", "--size", "64", "--scales", "1", "--backbone", backbone, "--report", filepath.Join(dir, "m.html"))
	// --report leaves the network to be chosen, which features, without epochs, have a page of too.
	report := string(mustRead(t, filepath.Join(dir, "m.html")))
	for _, want := range []string{`<section class="banner `, "fitted in closed form; ", ", provider go.", "<td>" + backbone + "</td>"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "<svg") || strings.Contains(report, "epochs") {
		t.Errorf("the report of what has no epochs is\n%s", report)
	}
	for _, want := range []string{"net.onnx: features are four (6 channels), eight (6 channels)", "ImageNet's, as nothing says another"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got standard error %q, want %q in it", stderr, want)
		}
	}
	content, err := os.ReadFile(backbone)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(backbone); err != nil { // it is not needed any more
		t.Fatal(err)
	}
	stdout, _ := mustRun(t, 0, "inspect", "--verify", "--provider", "go", out)
	for _, want := range []string{"passed on go", "backbone  ", "net.onnx, SHA-256 " + onnx.Hash(content)} {
		if !strings.Contains(stdout, want) {
			t.Errorf("inspect: got %q, want %q in it", stdout, want)
		}
	}
	again := filepath.Join(dir, "again.onnx")
	mustRun(t, 0, "export", "--out", again, out)
	a, _ := os.ReadFile(out)
	b, _ := os.ReadFile(again)
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Error("exported again the model has other bytes")
	}
	// The configuration gives the same model, with the file at its place.
	if err := os.WriteFile(backbone, content, 0o644); err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	written, err := os.ReadFile(out + ".config.json")
	if err != nil || json.Unmarshal(written, &config) != nil || config["backbone"] != backbone {
		t.Errorf("got configuration %s, %v, want backbone %q", written, err, backbone)
	}
	second := filepath.Join(dir, "second.onnx")
	mustRun(t, 0, "train", "--config", out+".config.json", "--out", second)
	if c, _ := os.ReadFile(second); !bytes.Equal(a, c) {
		t.Error("trained again by its configuration the model has other bytes")
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"need --backbone FILE.onnx", []string{"--tap", "four"}},
		{"want features", []string{"--backbone", backbone, "--model", "unet"}},
		{"want both or neither", []string{"--backbone", backbone, "--backbone-mean", "0.5"}},
		{"want one number, or three", []string{"--backbone", backbone, "--backbone-mean", "a", "--backbone-std", "1"}},
		{"networks that are trained have it", []string{"--backbone", backbone, "--epochs", "3"}},
	} {
		if _, stderr := mustRun(t, 2, append([]string{"train", "--data", data, "--out", out}, c.args...)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%q: got %q, want %q in it", c.args, stderr, c.want)
		}
	}
	if _, stderr := mustRun(t, 1, "train", "--data", data, "--out", out, "--backbone", backbone, "--tap", "five"); !strings.Contains(stderr, `tap "five": the network has no such tensor`) {
		t.Errorf("no such tap: got %q", stderr)
	}
}
