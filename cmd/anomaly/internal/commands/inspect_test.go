package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/judge"
)

func TestInspectVerify(t *testing.T) {
	model := tinyModel(t)
	dir := t.TempDir()
	calibrated, exported := filepath.Join(dir, "calibrated.onnx"), filepath.Join(dir, "exported.onnx")
	mustRun(t, 0, "calibrate", model, "--threshold", "0.25", "--out", calibrated)
	mustRun(t, 0, "export", model, "--map", "ssim", "--out", exported)
	for _, path := range []string{model, reconstructionModel(t), calibrated, exported} {
		stdout, _ := mustRun(t, 0, "inspect", "--verify", "--provider", "go", path)
		if !strings.Contains(stdout, "self-test   ") || !strings.Contains(stdout, "passed on go: pattern-1 has score ") {
			t.Errorf("%s: got %q", path, stdout)
		}
	}
	if stdout, _ := mustRun(t, 0, "inspect", model); strings.Contains(stdout, "passed") {
		t.Errorf("without --verify: got %q", stdout)
	}
	var got struct {
		Kind string      `json:"kind"`
		Self *passedTest `json:"self_test"`
	}
	stdout, _ := mustRun(t, 0, "inspect", "--verify", "--provider", "go", "--json", model)
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Kind != "detector" || got.Self == nil || got.Self.Image != "pattern-1" || got.Self.Score <= 0 {
		t.Errorf("got %+v, %v of %q", got, err, stdout)
	}

	change := func(name string, change func(*onnxpb.ModelProto)) string {
		t.Helper()
		p := new(onnxpb.ModelProto)
		if err := proto.Unmarshal(mustRead(t, model), p); err != nil {
			t.Fatal(err)
		}
		change(p)
		b, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	older := change("older.onnx", func(p *onnxpb.ModelProto) { p.MetadataProps = nil })
	if stdout, _ := mustRun(t, 0, "inspect", "--verify", "--provider", "go", older); !strings.Contains(stdout, "none in the file") {
		t.Errorf("no metadata: got %q", stdout)
	}
	damaged := change("damaged.onnx", func(p *onnxpb.ModelProto) {
		for _, w := range p.Graph.Initializer {
			if len(w.GetDims()) == 4 { // of a convolution
				for i := 3; i < len(w.RawData); i += 4 { // the bytes with the exponents
					w.RawData[i] ^= 2
				}
			}
		}
	})
	if _, stderr := mustRun(t, 1, "inspect", "--verify", "--provider", "go", damaged); !strings.Contains(stderr, "self-test on provider go") {
		t.Errorf("damaged: got %q", stderr)
	}
	if _, stderr := mustRun(t, 2, "inspect", "--provider", "go", model); !strings.Contains(stderr, "--verify") {
		t.Errorf("--provider alone: got %q", stderr)
	}
}

// TestInspectSummary holds that inspect says what a model is and how good, to people
// and in JSON, and keeps the rest for --all.
func TestInspectSummary(t *testing.T) {
	model := tinyModel(t)
	stdout, _ := mustRun(t, 0, "inspect", model)
	for _, want := range []string{"trained  ", "dcae, 1 epoch, on 20 images of good parts", "verdict  ", "artificial defects", " -> ", "threshold  ", "images  "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got %s, want %q in it", stdout, want)
		}
	}
	for _, hidden := range []string{"anomaly.", "operators", "opset"} {
		if strings.Contains(stdout, hidden) {
			t.Errorf("without --all: got %s, want no %q in it", stdout, hidden)
		}
	}
	var got struct {
		Kind    string
		Verdict *judge.Appraisal
		Self    *passedTest `json:"self_test"`
	}
	for _, flags := range [][]string{nil, {"--verify", "--provider", "go"}} {
		stdout, _ = mustRun(t, 0, append([]string{"inspect", "--json", model}, flags...)...)
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Kind != "detector" || got.Verdict == nil || len(got.Verdict.Statements) == 0 || (got.Self != nil) != (flags != nil) {
			t.Errorf("%v: got %+v, %v of %s", flags, got, err, stdout)
		}
	}
	// Of another tool's model nothing is known, and nothing is said.
	stdout, _ = mustRun(t, 0, "inspect", "--json", foreignModel(t, "pred_score"))
	got.Verdict = nil
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Verdict != nil || !strings.Contains(stdout, `"verdict":null`) {
		t.Errorf("of another tool: got %s", stdout)
	}
	if stdout, _ = mustRun(t, 0, "inspect", foreignModel(t, "pred_score")); strings.Contains(stdout, "verdict") || strings.Contains(stdout, "trained") {
		t.Errorf("of another tool: got %s", stdout)
	}
}
