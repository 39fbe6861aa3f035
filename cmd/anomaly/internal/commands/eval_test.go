package commands

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/google/go-cmp/cmp"
)

// image3 and pixel5 are objects that eval --json prints.
type (
	image3 struct{ AUROC, AP, F1Max float64 }
	pixel5 struct{ AUROC, AP, F1Max, AUPRO30, AUPRO05 float64 }
)

// evalJSON is what the help text promises of eval --json.
type evalJSON struct {
	Image image3
	Pixel *pixel5
	Kinds map[string]struct {
		Image image3
		Pixel *pixel5
		N     int
	}
	N          struct{ Good, Anomalous int }
	Resolution *int
}

func parseEval(t *testing.T, stdout string) evalJSON {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	var e evalJSON
	if err := d.Decode(&e); err != nil || d.More() {
		t.Fatalf("%v in %s", err, stdout)
	}
	for _, key := range []string{"image", "pixel", "kinds", "n", "resolution"} {
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
	if d := cmp.Diff(wantAll, e.Image); d != "" {
		t.Errorf("image metrics (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantB, e.Kinds["b"].Image); d != "" {
		t.Errorf("image metrics of kind b (-want +got):\n%s", d)
	}
	if len(e.Kinds) != 2 || e.Kinds["a"].N != 3 || e.N.Good != 4 || e.N.Anomalous != 6 || e.Resolution != nil {
		t.Errorf("got %s", stdout)
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
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if len(lines) != 6 || !strings.HasPrefix(strings.TrimSpace(lines[2]), "a ") || lines[5] != "against 4 good images; pixels at the masks' size" {
			t.Errorf("got\n%s", stdout)
		}
	})
}

func TestEvalWithoutMasks(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json")
	if e := parseEval(t, stdout); e.Pixel != nil || e.Kinds["a"].Pixel != nil || e.Image == (image3{}) {
		t.Errorf("got %s", stdout)
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
