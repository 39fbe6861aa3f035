package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
)

func TestTrain(t *testing.T) {
	tinyModel(t)
	data, out := filepath.Join(scratch, "train"), filepath.Join(t.TempDir(), "m.onnx")
	args := append([]string{"train", "--data", data, "--out", out}, tiny...)
	stdout, stderr := mustRun(t, 0, args...)
	if !strings.HasPrefix(stdout, out+"  threshold ") {
		t.Errorf("got standard output %q", stdout)
	}
	for _, want := range []string{"20 images of train read", "using provider go", "epoch 1/1", "threshold"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got standard error %q, want %q in it", stderr, want)
		}
	}
	if _, err := os.Stat(out + checkpointSuffix); err == nil {
		t.Error("the checkpoint is left")
	}
	if stdout, _ = mustRun(t, 0, append(args, "--profile", "reconstruction")...); !strings.Contains(stdout, "threshold none in profile reconstruction") {
		t.Errorf("got standard output %q of a file that has no threshold", stdout)
	}
}

func TestTrainInterruptedAndResumed(t *testing.T) {
	tinyModel(t)
	data, dir := filepath.Join(scratch, "train"), t.TempDir()
	args := func(out string, more ...string) []string {
		return append(append([]string{"train", "--data", data, "--out", filepath.Join(dir, out)}, tiny...), append([]string{"--epochs", "10"}, more...)...)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stderr := &cancelAfter{lines: 5, cancel: cancel} // two lines come before the epochs'
	if code := Run(ctx, "dev", append([]string{"anomaly"}, args("resumed.onnx")...), new(bytes.Buffer), stderr); code != 130 {
		t.Fatalf("got exit code %d, want 130: %s", code, stderr)
	}
	if !strings.Contains(stderr.String(), "saved in") || !strings.HasSuffix(stderr.String(), "anomaly: interrupted\n") {
		t.Errorf("got standard error %q", stderr)
	}
	if files := list(t, dir); !slices.Equal(files, []string{"resumed.onnx" + checkpointSuffix, "resumed.onnx" + page.LogSuffix}) {
		t.Fatalf("got files %v, want the checkpoint and the log", files)
	}
	_, log := mustRun(t, 0, args("resumed.onnx", "--resume")...)
	if !strings.Contains(log, "resuming") {
		t.Errorf("got standard error %q", log)
	}
	mustRun(t, 0, args("whole.onnx")...)
	resumed, err := os.ReadFile(filepath.Join(dir, "resumed.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(resumed, whole) {
		t.Error("the resumed run gave another model than the whole one")
	}
}

func TestInspect(t *testing.T) {
	model := tinyModel(t)
	stdout, _ := mustRun(t, 0, "inspect", "--json", model)
	var d struct {
		Kind   string
		Inputs []struct {
			Name, DType string
			Shape       []int
		}
		Params   int64
		Metadata map[string]string
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	// Convolutions 3x3 of 1 to 4, 4 to 4 and 4 to 1 channels, with biases.
	if d.Kind != "detector" || len(d.Inputs) != 1 || d.Inputs[0].DType != "uint8" || d.Params != 40+148+37 || d.Metadata["anomaly.epochs"] != "1" {
		t.Errorf("got %s", stdout)
	}
	stdout, _ = mustRun(t, 0, "inspect", "--all", model)
	for _, want := range []string{"detector", "uint8", "pred_score", "Conv 3", "anomaly.threshold"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got %s, want %q in it", stdout, want)
		}
	}
}
