package commands

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// reopened is a model in a file.
func reopened(t *testing.T, path string) *onnxexport.Model {
	t.Helper()
	m, err := onnxexport.Reopen(mustRead(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// precisionScoreTol is how far scores of the tiny network, of mean squared errors about
// .1, may be from those in float32.
const precisionScoreTol = .02

// A model in less than float32 is what every command takes: its verdicts are those of the
// one it was made of, its thresholds can be set, and it can have other forms.
func TestExportPrecision(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	data := filepath.Join(scratch, "train")
	was, _, _ := thresholds(t, model)
	scores := func(path string, flags ...string) []float64 {
		stdout, _ := mustRun(t, 0, append(append([]string{"run", "--json"}, flags...), path, data)...)
		var all []float64
		for line := range strings.Lines(stdout) {
			var r struct{ Score float64 }
			must(t, json.Unmarshal([]byte(line), &r))
			all = append(all, r.Score)
		}
		return all
	}
	want := scores(model, "--provider", "go")
	for _, p := range []string{"fp16", "int8"} {
		out := filepath.Join(dir, p+".onnx")
		stdout, _ := mustRun(t, 0, "export", model, "--precision", p, "--data", data, "--out", out, "--provider", "go", "--force")
		for _, says := range []string{"precision " + p, p + ": on 10 images and", "of the verdicts change", "AUROC of the defects"} {
			if !strings.Contains(stdout, says) {
				t.Errorf("%s: got %q, want %q in it", p, stdout, says)
			}
		}
		m := reopened(t, out)
		var loss precisionLoss
		if err := json.Unmarshal([]byte(m.Metadata[onnx.KeyLoss]), &loss); err != nil || loss.Good != 10 || loss.Pseudo == 0 {
			t.Errorf("%s: got loss %q, %v", p, m.Metadata[onnx.KeyLoss], err)
		}
		now, _, err := m.Thresholds()
		must(t, err)
		if d := math.Abs(float64(now - was)); d > precisionScoreTol {
			t.Errorf("%s: got threshold %v, in float32 %v", p, now, was)
		}
		providers := []string{"go"}
		if code, _, _ := anomaly(t.Context(), "doctor", "--provider", "cpu"); code == 0 {
			providers = append(providers, "cpu")
		} else {
			t.Log("cpu cannot be used: see anomaly doctor")
		}
		for _, provider := range providers {
			for i, got := range scores(out, "--provider", provider) {
				if !(math.Abs(got-want[i]) <= precisionScoreTol) {
					t.Errorf("%s on %s: image %d: got score %v, want %v", p, provider, i, got, want[i])
				}
			}
			mustRun(t, 0, "inspect", "--verify", out, "--provider", provider)
		}
		if stdout, _ := mustRun(t, 0, "inspect", out); !strings.Contains(stdout, p+", map and score in float32; when it was made") {
			t.Errorf("%s: inspect says %q", p, stdout)
		}

		mustRun(t, 0, "calibrate", out, "--threshold", "0.5")
		if got, _, err := reopened(t, out).Thresholds(); err != nil || got != .5 || reopened(t, out).Precision() != onnxexport.Precision(p) {
			t.Errorf("%s: calibrated: got threshold %v, precision %v, %v", p, got, reopened(t, out).Precision(), err)
		}
		for _, flags := range [][]string{{"--input", "float"}, {"--profile", "anomalib"}, {"--profile", "reconstruction"}, {"--precision", p, "--data", data}} {
			other := filepath.Join(dir, "other.onnx")
			os.Remove(other)
			mustRun(t, 0, append([]string{"export", out, "--out", other}, flags...)...)
			if got := reopened(t, other).Precision(); got != onnxexport.Precision(p) {
				t.Errorf("%s %v: got precision %v", p, flags, got)
			}
		}
		code, _, stderr := anomaly(t.Context(), "export", out, "--precision", map[string]string{"fp16": "int8", "int8": "fp16"}[p], "--data", data, "--out", filepath.Join(dir, "none.onnx"))
		if code != 1 || !strings.Contains(stderr, "does not come back") {
			t.Errorf("%s to another: got %d, %q", p, code, stderr)
		}
	}
}

// What a precision must not cost is refused, and nothing is written.
func TestPrecisionCosts(t *testing.T) {
	share := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		name string
		loss precisionLoss
		want string
	}{
		{"nothing", precisionLoss{}, ""},
		{"little", precisionLossOf(.99, .98, share(.04)), ""},
		{"AUROC", precisionLossOf(.99, .96, share(0)), "AUROC falls from 0.990 to 0.960"},
		{"verdicts", precisionLossOf(.9, .9, share(.06)), "6.0 % of the verdicts change"},
		{"on labelled images alone", precisionLoss{Labelled: &labelledLoss{AUROC: .9, AUROCReduced: .8}}, "of the test images"},
	} {
		if got := c.loss.large(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	model, dir := tinyModel(t), t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--aegrad", "3"}, "not with --aegrad"},
		{[]string{"--data", dir}, "no images"},
	} {
		args := append([]string{"export", model, "--precision", "int8", "--data", filepath.Join(scratch, "train"), "--out", out, "--provider", "go"}, c.args...)
		code, _, stderr := anomaly(t.Context(), args...)
		if code != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: got %d, %q, want %q", c.args, code, stderr, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%v: a file was written", c.args)
		}
	}
}

func precisionLossOf(auroc, reduced float64, changed *float64) (l precisionLoss) {
	l.AUROC, l.AUROCReduced, l.Changed = auroc, reduced, changed
	return l
}
