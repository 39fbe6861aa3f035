package commands

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// codes lists what a verdict says.
func codes(a *judge.Appraisal) []judge.Code {
	var list []judge.Code
	for _, s := range a.Statements {
		list = append(list, s.Code)
	}
	return list
}

// A network of one epoch finds next to nothing, and training says so, in words, in
// JSON and by its exit code; the model is there all the same.
func TestTrainVerdict(t *testing.T) {
	tinyModel(t)
	data, out := filepath.Join(scratch, "train"), filepath.Join(t.TempDir(), "m.onnx")
	args := append([]string{"train", "--data", data, "--out", out}, tiny...)
	stdout, stderr := mustRun(t, exitPoor, append(args, "--strict")...)
	if lines := strings.Split(stdout, "\n"); !strings.HasPrefix(lines[1], "Poor: it finds ") || !strings.HasPrefix(lines[2], "    -> train with the default network") {
		t.Errorf("got\n%s", stdout)
	}
	if !strings.Contains(stderr, "anomaly: the verdict on the detector is poor (--strict)\n") {
		t.Errorf("got %q", stderr)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
	stdout, _ = mustRun(t, 0, append(args, "--json")...)
	var got trainedModel
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if image, _, _ := thresholds(t, out); got.Model != out || got.Threshold == nil || *got.Threshold != image || got.Loss == nil || !(got.Seconds > 0) {
		t.Errorf("got %s", stdout)
	}
	a := got.Appraisal
	if a.Severity != judge.Poor || a.Pseudo == nil || a.Pseudo.Of < 90 || !slices.Contains(codes(a), judge.FindsPseudo) || !slices.Contains(codes(a), judge.Squashed) {
		t.Errorf("got %+v", a)
	}
	// In another profile there are no thresholds to say it of.
	stdout, _ = mustRun(t, 0, append(args, "--json", "--profile", "reconstruction")...)
	if got = (trainedModel{}); json.Unmarshal([]byte(stdout), &got) != nil || got.Threshold != nil || !slices.Contains(codes(got.Appraisal), judge.NoThreshold) {
		t.Errorf("got %s", stdout)
	}
}

// What is measured on labelled images decides, with a threshold that finds them and
// with one that does not.
func TestEvalVerdict(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	for i := range 10 {
		name := fmt.Sprintf("more%d.png", i)
		must(t, writePNG(filepath.Join(data, "test", "good", name), goodImage(i)))
		bad, _ := badImage(i)
		must(t, writePNG(filepath.Join(data, "test", "a", name), bad))
	}
	stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--strict")
	if !strings.HasPrefix(stdout, "Good: it finds 16 of 16 anomalous images (with 95 % confidence at least ") {
		t.Errorf("got\n%s", stdout)
	}
	unreachable := filepath.Join(t.TempDir(), "m.onnx")
	mustRun(t, 0, "calibrate", model, "--threshold", "0.99", "--out", unreachable)
	stdout, _ = mustRun(t, exitPoor, "eval", unreachable, "--data", data, "--provider", "go", "--strict", "--json")
	a := parseEval(t, stdout).Verdict
	if a == nil || a.Severity != judge.Poor || a.Statements[0].Code != judge.Finds || !slices.Contains(codes(a), judge.Unreachable) || !strings.Contains(a.Statements[0].Do, "calibrate") {
		t.Errorf("got %+v", a)
	}
	mustRun(t, exitUsage, "eval", "--compare", model, model, "--data", data, "--strict")
}

// run says on standard error that a detector is poor, that it finds everything or
// nothing odd, and nothing of one of which nothing is known.
func TestRunVerdict(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	for i := range 20 {
		must(t, writePNG(filepath.Join(dir, fmt.Sprintf("%d.png", i)), goodImage(i)))
	}
	for _, tt := range []struct {
		args           []string
		want, unwanted string
	}{
		{nil, "poor: it finds ", "note: all"},
		{nil, "note: none of 20 images is above the threshold of ", "note: all"},
		{[]string{"--threshold", "0"}, "note: all 20 images are anomalous; if there are good ones", "note: none"},
		{[]string{"--min-area", "2"}, "20 images, ", "artificial"}, // which were scored otherwise
	} {
		if _, stderr := mustRun(t, 0, append([]string{"run", model, dir, "--provider", "go"}, tt.args...)...); !strings.Contains(stderr, tt.want) || strings.Contains(stderr, tt.unwanted) {
			t.Errorf("%v: got %s\nwant %q, not %q", tt.args, stderr, tt.want, tt.unwanted)
		}
	}
	if _, stderr := mustRun(t, 0, "run", model, filepath.Join(dir, "0.png"), "--provider", "go"); strings.Contains(stderr, "note: ") {
		t.Errorf("one image: got %s", stderr)
	}
	// Of the tiny network without what it knows of itself, nothing is said.
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Reopen(b)
	if err != nil {
		t.Fatal(err)
	}
	delete(m.Metadata, "anomaly.data.hash")
	bare := filepath.Join(t.TempDir(), "bare.onnx")
	must(t, (&console{}).writeModel(bare, m))
	if _, stderr := mustRun(t, 0, "run", bare, filepath.Join(dir, "0.png"), "--provider", "go"); strings.Contains(stderr, "poor") || strings.Contains(stderr, "doubtful") {
		t.Errorf("nothing known: got %s", stderr)
	}
}
