package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
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
		single[m] = parseEval(t, stdout)
	}
	stdout, _ := mustRun(t, 0, "eval", "--compare", a, b, "--data", data, "--provider", "go", "--json")
	var got struct {
		A, B struct {
			Model     string
			Threshold *float32
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

func TestCompareImages(t *testing.T) {
	samples := []dataset.Sample{
		{Name: "same", Kind: "good"}, {Name: "mended", Kind: "good"}, {Name: "broken", Kind: "good"}, {Name: "missed", Kind: "x", Anomalous: true},
	}
	scores := [2][]float64{{0, 2, 0, 2}, {.5, 0, 2, 1}}
	var models [2]comparedModel
	for k := range models {
		for i := range samples {
			anomalous := scores[k][i] > 1
			models[k].judged = append(models[k].judged, judgement{sample: &samples[i], score: scores[k][i], anomalous: &anomalous})
		}
	}
	var got []string
	for _, i := range compareImages(models, func(s *dataset.Sample) string { return s.Name }) {
		if i.Changed != (i.Path != "same") {
			t.Errorf("%s: got changed %v", i.Path, i.Changed)
		}
		got = append(got, i.Path)
	}
	if d := cmp.Diff([]string{"broken", "missed", "mended", "same"}, got); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestIntervals(t *testing.T) {
	var draws [][]float64
	for i := range 1000 {
		draws = append(draws, []float64{float64(999 - i)}, nil)
	}
	if got, want := intervals([]string{"m"}, []float64{500}, draws)["m"], (interval{500, 25, 974}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPerturbations(t *testing.T) {
	const height, width, channels = 6, 8, 3
	start := make([]uint8, height*width*channels)
	for i := range start {
		start[i] = uint8(40 + i%150)
	}
	for _, p := range perturbationsTried {
		t.Run(p.String(), func(t *testing.T) {
			apply := func(seed uint64, image int) []uint8 {
				pixels := slices.Clone(start)
				p.apply(pixels, height, width, channels, seed, image)
				return pixels
			}
			got := apply(1, 2)
			if changed := !slices.Equal(got, start); changed != (p.Kind != "none") {
				t.Errorf("got changed %v", changed)
			}
			if !slices.Equal(got, apply(1, 2)) {
				t.Error("is not repeatable")
			}
			if random := !slices.Equal(got, apply(1, 3)) || !slices.Equal(got, apply(2, 2)); random != (p.Kind == "noise") {
				t.Errorf("depends on seed and image: got %v", random)
			}
		})
	}
	pixels := []uint8{0, 100, 200}
	perturbation{"brightness", .5}.apply(pixels, 1, 3, 1, 1, 0)
	if want := []uint8{0, 150, 255}; !slices.Equal(pixels, want) {
		t.Errorf("brightness: got %v, want %v", pixels, want)
	}
	flat := slices.Repeat([]uint8{77}, 25)
	perturbation{"blur", 2}.apply(flat, 5, 5, 1, 1, 0)
	if !slices.Equal(flat, slices.Repeat([]uint8{77}, 25)) {
		t.Errorf("blur: got %v of a flat image", flat)
	}
	// A shifted map comes back to where it was, but for what left the image.
	shift := perturbation{"shift", 1}
	moved := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	shift.apply(moved, 3, 3, 1, 1, 0)
	if want := []uint8{1, 1, 2, 1, 1, 2, 4, 4, 5}; !slices.Equal(moved, want) {
		t.Errorf("shift: got %v, want %v", moved, want)
	}
	m := heatmap.NewMap(3, 3)
	for i, v := range moved {
		m.Data[i] = float32(v)
	}
	if got, want := shift.restore(m, 3, 3).Data, []float32{1, 2, 2, 4, 5, 5, 4, 5, 5}; !slices.Equal(got, want) {
		t.Errorf("restored: got %v, want %v", got, want)
	}
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
	if len(got.Results) != len(perturbationsTried) || got.Results[0].Image != base.Image || *got.Results[0].Pixel != *base.Pixel || got.Threshold == nil {
		t.Errorf("got %s, want first what eval gives: %s", rest, plain)
	}
	for _, r := range got.Results {
		if r.Pixel == nil || r.FalseRejects == nil || r.Recall == nil {
			t.Errorf("%s %v is incomplete", r.Kind, r.Strength)
		}
	}
	table, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--perturb")
	for _, p := range perturbationsTried {
		if !strings.Contains(table, p.String()) {
			t.Errorf("no line of %v in\n%s", p, table)
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
