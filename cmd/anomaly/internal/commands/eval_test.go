package commands

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/google/go-cmp/cmp"
)

// image3 and pixel5 are objects that eval --json prints.
type (
	image3      struct{ AUROC, AP, F1Max float64 }
	image6      struct{ AUROC, AP, F1Max, AUROC_Low, AUROC_High, F1_All float64 }
	decidedJSON struct {
		False_Reject, Recall calibrate.Share
		Precision            *float64
		F1                   float64
	}
	pixel5 struct{ AUROC, AP, F1Max, AUPRO30, AUPRO05 float64 }
)

func (i image6) metrics() image3 { return image3{i.AUROC, i.AP, i.F1Max} }

// evalJSON is what the help text promises of eval --json.
type evalJSON struct {
	Image        image6
	Pixel        *pixel5
	Threshold    *float32
	At_Threshold *decidedJSON
	Kinds        map[string]struct {
		Image        image6
		Pixel        *pixel5
		At_Threshold *decidedJSON
		N            int
	}
	N          struct{ Good, Anomalous int }
	Resolution *int
	Verdict    *judge.Appraisal // its own tests have it
}

func parseEval(t *testing.T, stdout string) evalJSON {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	var e evalJSON
	if err := d.Decode(&e); err != nil || d.More() {
		t.Fatalf("%v in %s", err, stdout)
	}
	for _, key := range []string{"image", "pixel", "threshold", "at_threshold", "kinds", "n", "resolution", "verdict"} {
		if !strings.Contains(stdout, `"`+key+`":`) {
			t.Errorf("no key %q in %s", key, stdout)
		}
	}
	return e
}

// imagesBy computes the metrics of scores that run gives to the images in folders.
func imagesBy(t *testing.T, model, good string, bad ...string) image3 {
	t.Helper()
	var scores []float64
	var anomalous []bool
	for i, folder := range append([]string{good}, bad...) {
		stdout, _ := mustRun(t, 0, "run", model, folder, "--provider", "go", "--json")
		for _, l := range parseLines(t, stdout) {
			scores, anomalous = append(scores, float64(*l.Score)), append(anomalous, i > 0)
		}
	}
	var m image3
	var err error
	if m.AUROC, err = metrics.AUROC(scores, anomalous); err != nil {
		t.Fatal(err)
	}
	if m.AP, err = metrics.AveragePrecision(scores, anomalous); err != nil {
		t.Fatal(err)
	}
	if m.F1Max, _, err = metrics.F1Max(scores, anomalous); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEvalJSON(t *testing.T) {
	model, data := tinyModel(t), testSet(t, true)
	test := func(kind string) string { return filepath.Join(data, "test", kind) }
	// Some bad images look good, so that the metrics are not all 1.
	if err := writePNG(filepath.Join(test("b"), "0.png"), goodImage(7)); err != nil {
		t.Fatal(err)
	}
	wantAll, wantB := imagesBy(t, model, test("good"), test("a"), test("b")), imagesBy(t, model, test("good"), test("b"))
	if wantAll == wantB || wantB.AUROC == 1 {
		t.Fatalf("metrics %v and %v tell nothing", wantAll, wantB)
	}

	stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json", "--batch", "3")
	e := parseEval(t, stdout)
	if d := cmp.Diff(wantAll, e.Image.metrics()); d != "" {
		t.Errorf("image metrics (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantB, e.Kinds["b"].Image.metrics()); d != "" {
		t.Errorf("image metrics of kind b (-want +got):\n%s", d)
	}
	if len(e.Kinds) != 2 || e.Kinds["a"].N != 3 || e.N.Good != 4 || e.N.Anomalous != 6 || e.Resolution != nil {
		t.Errorf("got %s", stdout)
	}
	// What the verdicts come to, by those of run.
	judged := decide(t, 0, model, data)
	verdicts := func(kind string) (above, of int) {
		for _, d := range judged {
			if filepath.Base(filepath.Dir(d.Path)) != kind {
				continue
			}
			if of++; *d.Anomalous {
				above++
			}
		}
		return above, of
	}
	rejected, _ := verdicts("good")
	foundA, ofA := verdicts("a")
	foundB, ofB := verdicts("b")
	if foundB == ofB || foundA == 0 {
		t.Fatalf("found %d of a and %d of b tell nothing", foundA, foundB)
	}
	for name, c := range map[string]struct {
		got       *decidedJSON
		found, of int
	}{"a": {e.Kinds["a"].At_Threshold, foundA, ofA}, "b": {e.Kinds["b"].At_Threshold, foundB, ofB}, "all": {e.At_Threshold, foundA + foundB, ofA + ofB}} {
		want := calibrate.DecideOf(rejected, 4, c.found, c.of)
		if c.got == nil || c.got.False_Reject != want.FalseReject || c.got.Recall != want.Recall || c.got.F1 != want.F1 || *c.got.Precision != *want.Precision {
			t.Errorf("%s at the threshold: got %+v, want %+v", name, c.got, want)
		}
	}
	if image, _, _ := thresholds(t, model); e.Threshold == nil || *e.Threshold != image {
		t.Errorf("got threshold %v, want the model's %v", e.Threshold, image)
	}
	if low, high := metrics.AUROCInterval(e.Image.AUROC, 4, 6); e.Image.AUROC_Low != low || e.Image.AUROC_High != high || e.Kinds["b"].Image.F1_All != metrics.F1OfAll(4, 3) {
		t.Errorf("got %+v, want an interval of %v to %v", e.Image, low, high)
	}
	if e.Pixel == nil || e.Kinds["a"].Pixel == nil || *e.Pixel == *e.Kinds["a"].Pixel {
		t.Fatalf("pixel metrics: got %s", stdout)
	}
	// Kind a by hand, from the maps that run saves.
	out := t.TempDir()
	mustRun(t, 0, "run", model, filepath.Join(data, "test"), "--provider", "go", "--out", out, "--save", "map")
	var set metrics.Pixels
	for _, name := range []string{"good/0", "good/1", "good/2", "good/3", "a/0", "a/1", "a/2"} {
		_, residuals, err := npy.Load[float32](filepath.Join(out, name+".png.map.npy"))
		if err != nil {
			t.Fatal(err)
		}
		var mask []bool
		if name[0] == 'a' {
			_, truth := badImage(0)
			for _, v := range truth.Pix {
				mask = append(mask, v > 0)
			}
		}
		if err := set.Add((&heatmap.Map{Data: residuals, Height: 16, Width: 16}).Resize(30, 40).Data, mask, 30, 40); err != nil {
			t.Fatal(err)
		}
	}
	var want pixel5
	want.AUROC, _ = set.AUROC()
	want.AP, _ = set.AveragePrecision()
	want.F1Max, _, _ = set.F1Max()
	want.AUPRO30, _ = set.AUPRO(.3)
	want.AUPRO05, _ = set.AUPRO(.05)
	if d := cmp.Diff(want, *e.Kinds["a"].Pixel); d != "" {
		t.Errorf("pixel metrics of kind a (-want +got):\n%s", d)
	}

	t.Run("resolution", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "eval", "--resolution", "10", model, "--data", data, "--provider", "go", "--json")
		at10 := parseEval(t, stdout)
		if at10.Resolution == nil || *at10.Resolution != 10 || at10.Pixel == nil || *at10.Pixel == *e.Pixel || at10.Image != e.Image {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("vanishing masks", func(t *testing.T) { // the squares lie between the middles of the quarters
		stdout, _ := mustRun(t, 0, "eval", "--resolution", "2", model, "--data", data, "--provider", "go", "--json")
		if one := parseEval(t, stdout); one.Pixel != nil || one.Image != e.Image {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("limit", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "eval", "--limit", "2", model, "--data", data, "--provider", "go", "--json")
		if l := parseEval(t, stdout); l.N.Good != 2 || l.N.Anomalous != 4 || l.Kinds["b"].N != 2 {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("good and anomalous", func(t *testing.T) {
		out := t.TempDir()
		stdout, _ := mustRun(t, 0, "eval", model, "--good", test("good"), "--anomalous", "x="+test("a"), "--anomalous", "y="+test("b"),
			"--provider", "go", "--json", "--out", out)
		g := parseEval(t, stdout)
		if g.Pixel != nil || g.Kinds["x"].Pixel != nil || g.Image != e.Image || g.Kinds["y"].Image != e.Kinds["b"].Image {
			t.Errorf("got %s", stdout)
		}
		if rows := parseReport(t, out); len(rows) != 10 || len(list(t, out)) != 11 {
			t.Errorf("got files %v, want 10 pictures and the report", list(t, out))
		}
	})
	t.Run("rows", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "eval", model, "--good", testRows(t, 5), "--anomalous", "x="+test("a"), "--anomalous", "x="+test("b"),
			"--provider", "go", "--json")
		if r := parseEval(t, stdout); r.N.Good != 5 || r.Kinds["x"].N != 6 {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("table", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go")
		for _, want := range []string{
			"threshold " + page.Short(*e.Threshold) + ":  images  missed",
			fmt.Sprintf("rejects %d of 4 good images (", rejected),
			"against 4 good images; pixels at the masks' size; AUROC of all ", "calling every image anomalous has an F1 of 0.7500\n",
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("got\n%swant %q in it", stdout, want)
			}
		}
		if got := strings.Fields(stdout[strings.Index(stdout, " b "):]); !slices.Equal(got[:4], []string{"b", "3", fmt.Sprint(ofB - foundB), fmt.Sprint(foundB)}) {
			t.Errorf("got %v of kind b", got[:4])
		}
	})
}

func TestEvalWithoutMasks(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json")
	if e := parseEval(t, stdout); e.Pixel != nil || e.Kinds["a"].Pixel != nil || e.Image == (image6{}) {
		t.Errorf("got %s", stdout)
	}
}

// Without a threshold there are no verdicts to count.
func TestEvalWithoutThreshold(t *testing.T) {
	stdout, _ := mustRun(t, 0, "eval", reconstructionModel(t), "--data", testSet(t, false), "--provider", "go", "--json")
	if e := parseEval(t, stdout); e.At_Threshold != nil || e.Threshold != nil || e.Kinds["a"].At_Threshold != nil || e.Image.AUROC == 0 {
		t.Errorf("got %s", stdout)
	}
	if stdout, _ = mustRun(t, 0, "eval", reconstructionModel(t), "--data", testSet(t, false), "--provider", "go"); strings.Contains(stdout, "missed") {
		t.Errorf("got\n%s", stdout)
	}
}

func TestSpaced(t *testing.T) {
	samples, err := (&evalOptions{good: testRows(t, 10), anomalous: []string{"x=" + testRows(t, 2)}, limit: 4}).samples()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range samples {
		got = append(got, s.Name)
	}
	want := []string{"good/rows.npy#0", "good/rows.npy#2", "good/rows.npy#5", "good/rows.npy#7", "x/rows.npy#0", "x/rows.npy#1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}
