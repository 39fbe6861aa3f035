package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// deltaTol: a difference of metrics printed in full, against one computed here.
const deltaTol = 1e-12

func TestEvalCompare(t *testing.T) {
	a, b, data := tinyModel(t), reconstructionModel(t), testSet(t, true)
	if err := writePNG(filepath.Join(data, "test", "b", "0.png"), goodImage(7)); err != nil {
		t.Fatal(err)
	}
	single := map[string]evalJSON{}
	for _, m := range []string{a, b} {
		stdout, _ := mustRun(t, 0, "eval", m, "--data", data, "--provider", "go", "--json")
		e := parseEval(t, stdout)
		e.Verdict = nil // on one model
		single[m] = e
	}
	stdout, _ := mustRun(t, 0, "eval", "--compare", a, b, "--data", data, "--provider", "go", "--json")
	var got struct {
		A, B struct {
			Model string
			evalJSON
		}
		Difference struct {
			Image, Pixel map[string]struct{ Value, Low, High float64 }
		}
		Images []struct {
			Path, Kind string
			Changed    bool
			A, B       struct {
				Score     float32
				Anomalous *bool
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if d := cmp.Diff(single[a], got.A.evalJSON); d != "" {
		t.Errorf("a (-alone +compared):\n%s", d)
	}
	if d := cmp.Diff(single[b], got.B.evalJSON); d != "" {
		t.Errorf("b (-alone +compared):\n%s", d)
	}
	if got.A.Threshold == nil || got.B.Threshold != nil || len(got.Images) != 10 || got.Images[0].Changed || got.Images[0].B.Anomalous != nil {
		t.Errorf("got %s", stdout)
	}
	if v, want := got.Difference.Image["auroc"].Value, got.B.Image.AUROC-got.A.Image.AUROC; v-want > deltaTol || want-v > deltaTol {
		t.Errorf("AUROC: got a difference of %v, want %v", v, want)
	}
	for name, iv := range got.Difference.Pixel {
		if iv.Low > iv.High {
			t.Errorf("%s: got an interval of %v to %v", name, iv.Low, iv.High)
		}
	}
	if len(got.Difference.Image) != 3 || len(got.Difference.Pixel) != 5 {
		t.Errorf("got differences %+v, want 3 of images and 5 of pixels", got.Difference)
	}

	t.Run("again", func(t *testing.T) {
		if again, _ := mustRun(t, 0, "eval", "--compare", a, b, "--data", data, "--provider", "go", "--json"); again != stdout {
			t.Error("the same seed gives other intervals")
		}
	})
	t.Run("with itself", func(t *testing.T) {
		stdout, stderr := mustRun(t, 0, "eval", "--compare", a, a, "--data", data, "--provider", "go")
		if n := strings.Count(stderr, "using provider go"); n != 1 {
			t.Errorf("said %d times which provider computes, want once:\n%s", n, stderr)
		}
		if !strings.Contains(stdout, "The verdict changed on 0 of 10 images") || strings.Contains(stdout, "*") || !strings.Contains(stdout, "+0.0000 to +0.0000") {
			t.Errorf("got\n%s", stdout)
		}
	})
}

func TestEvalPerturb(t *testing.T) {
	model, data := tinyModel(t), testSet(t, true)
	plain, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json")
	stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json", "--perturb")
	before, rest, _ := strings.Cut(stdout, `,"perturb":`)
	if before+"}\n" != plain {
		t.Errorf("got %s, want what eval gives without --perturb: %s", before, plain)
	}
	var got struct {
		Threshold *float32
		Results   []struct {
			Kind         string
			Strength     float64
			Image        image3
			Pixel        *pixel5
			FalseRejects *float64 `json:"false_rejects"`
			Recall       *float64
		}
	}
	d := json.NewDecoder(strings.NewReader(strings.TrimSuffix(strings.TrimSpace(rest), "}")))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, rest)
	}
	base := parseEval(t, plain)
	if len(got.Results) != 14 || got.Results[0].Image != base.Image.metrics() || *got.Results[0].Pixel != *base.Pixel || got.Threshold == nil {
		t.Errorf("got %s, want first what eval gives: %s", rest, plain)
	}
	for _, r := range got.Results {
		if r.Pixel == nil || r.FalseRejects == nil || r.Recall == nil {
			t.Errorf("%s %v is incomplete", r.Kind, r.Strength)
		}
	}
	table, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--perturb")
	for _, line := range []string{"none", "brightness -20 %", "blur, sigma 0.5 px", "noise, sigma 5 %", "shift by 4 px"} {
		if !strings.Contains(table, line) {
			t.Errorf("no line of %s in\n%s", line, table)
		}
	}
}

// Where one of the models gives no verdicts there are none to compare, the figures stay.
func TestCompareWithoutVerdicts(t *testing.T) {
	data := testSet(t, false)
	stdout, _ := mustRun(t, 0, "eval", "--compare", reconstructionModel(t), tinyModel(t), "--data", data, "--provider", "go")
	if !strings.Contains(stdout, "No verdicts to compare") || !strings.Contains(stdout, "AUROC") || strings.Contains(stdout, "changed on") {
		t.Errorf("got\n%s", stdout)
	}
}

// An image that neither model can read is named, once.
func TestCompareNamesWhatFails(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	must(t, os.WriteFile(filepath.Join(data, "test", "b", "1.png"), []byte("broken"), 0o644))
	_, stderr := mustRun(t, 1, "eval", "--compare", model, model, "--data", data, "--provider", "go")
	if n := strings.Count(stderr, filepath.Join("b", "1.png")+": "); n != 1 || !strings.Contains(stderr, "1 of 10 images failed") {
		t.Errorf("named the image %d times, want once:\n%s", n, stderr)
	}
}
