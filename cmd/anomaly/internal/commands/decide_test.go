package commands

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/npy"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/google/go-cmp/cmp"
)

// decided is what run --json prints of a decision.
type decided struct {
	Path      string
	Score     float32
	Threshold *float32
	Anomalous *bool
	Verdict   string
	Regions   []heatmap.Region
}

// decide runs a model on the test images of data.
func decide(t *testing.T, code int, model, data string, flags ...string) []decided {
	t.Helper()
	stdout, _ := mustRun(t, code, append([]string{"run", model, filepath.Join(data, "test"), "--provider", "go", "--json"}, flags...)...)
	var all []decided
	for line := range strings.Lines(stdout) {
		var d decided
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if len(all) != 10 {
		t.Fatalf("got %d images, want 10", len(all))
	}
	return all
}

// ranked returns the scores of the test images in ascending order: four of good
// images and six of bad ones.
func ranked(t *testing.T, model, data string) []float32 {
	t.Helper()
	var scores []float32
	for _, d := range decide(t, 0, model, data) {
		scores = append(scores, d.Score)
	}
	slices.Sort(scores)
	scores = slices.Compact(scores)
	if len(scores) < 5 {
		t.Fatalf("got scores %v, want more that differ", scores)
	}
	return scores
}

func TestReviewBand(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	s := ranked(t, model, data)
	n := len(s)
	// The highest score is rejected, the two below are looked at again.
	band := anrt.Band{Low: s[n-4], High: s[n-2]}
	flags := []string{"--threshold", fmt.Sprint(s[n-3]), "--review-band", band.String()}
	count := map[string]int{}
	for _, d := range decide(t, 3, model, data, append(flags, "--fail-on-anomaly")...) {
		count[d.Verdict]++
		if want := string(band.Verdict(d.Score)); d.Verdict != want || *d.Anomalous != (d.Score > s[n-3]) || len(d.Regions) > 0 != *d.Anomalous {
			t.Errorf("got %+v, want verdict %s", d, want)
		}
	}
	if len(count) != 3 {
		t.Fatalf("got verdicts %v, want all three", count)
	}
	t.Run("only what is rejected fails", func(t *testing.T) {
		flags := []string{"--threshold", fmt.Sprint(s[n-3]), "--fail-on-anomaly"}
		decide(t, 3, model, data, flags...)
		all := decide(t, 0, model, data, append(flags, "--review-band", anrt.Band{Low: s[0], High: s[n-1]}.String())...)
		if !slices.ContainsFunc(all, func(d decided) bool { return *d.Anomalous && d.Verdict == "review" }) {
			t.Errorf("got %+v, want an anomalous image to review", all)
		}
	})
	t.Run("table", func(t *testing.T) {
		stdout, stderr := mustRun(t, 0, append([]string{"run", model, data, "--provider", "go"}, flags...)...)
		for verdict, want := range count {
			if got := strings.Count(stdout, verdict+" "); got != want {
				t.Errorf("got %d times %s, want %d in\n%s", got, verdict, want, stdout)
			}
		}
		if want := fmt.Sprintf("%d rejected, %d to review", count["reject"], count["review"]); !strings.Contains(stderr, want) {
			t.Errorf("got %q, want %q in it", stderr, want)
		}
	})
	t.Run("none", func(t *testing.T) {
		for _, d := range decide(t, 0, model, data, "--review-band", "none") {
			if d.Verdict != "" {
				t.Errorf("got %+v", d)
			}
		}
	})
	for _, tt := range []struct{ band, want string }{
		{"0.4", "LOW:HIGH"}, {"", "LOW:HIGH"}, {"2:1", "ascending"}, {"0:0.01", "holds the threshold"},
	} {
		_, stderr := mustRun(t, 2, "run", model, data, "--provider", "go", "--threshold", "0.05", "--review-band", tt.band)
		if !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: got %q, want %q in it", tt.band, stderr, tt.want)
		}
	}
}

func TestMinAreaDecides(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), t.TempDir()
	threshold := []string{"--threshold", "0.05"}
	plain := decide(t, 0, model, data, append(threshold, "--out", out, "--save", "map")...)
	const area = 12 // of the 16 or so that the square has in the map: its corners blur
	for i, d := range decide(t, 0, model, data, append(threshold, "--min-area", fmt.Sprint(area))...) {
		rel, err := filepath.Rel(data, d.Path)
		if err != nil {
			t.Fatal(err)
		}
		if rel, err = filepath.Rel("test", rel); err != nil {
			t.Fatal(err)
		}
		_, residuals, err := npy.Load[float32](filepath.Join(out, rel+".map.npy"))
		if err != nil {
			t.Fatal(err)
		}
		m := &heatmap.Map{Data: residuals, Height: 16, Width: 16}
		large := len(heatmap.Regions(m, &heatmap.RegionOptions{Threshold: .05, MinArea: area})) > 0
		if *d.Anomalous != large || len(d.Regions) > 0 != large || d.Score > plain[i].Score || d.Score != m.Peak(area) {
			t.Errorf("got %+v, a region of %d pixels: %v, without: %+v", d, area, large, plain[i])
		}
	}
	t.Run("regions", func(t *testing.T) {
		left := 0
		for i, d := range decide(t, 0, model, data, "--threshold", "0.05", "--min-area", fmt.Sprint(area)) {
			_, residuals, err := npy.Load[float32](filepath.Join(out, strings.TrimPrefix(plain[i].Path, filepath.Join(data, "test"))+".map.npy"))
			if err != nil {
				t.Fatal(err)
			}
			m := &heatmap.Map{Data: residuals, Height: 16, Width: 16}
			o := heatmap.RegionOptions{Threshold: .05, Width: 40, Height: 30}
			all := len(heatmap.Regions(m, &o))
			o.MinArea = area
			if want := len(heatmap.Regions(m, &o)); len(d.Regions) != want {
				t.Errorf("got %d regions, want %d of %d", len(d.Regions), want, all)
			}
			left += all - len(d.Regions)
		}
		if left == 0 {
			t.Error("there is no small region to leave out")
		}
	})
	for _, d := range decide(t, 0, model, data, append(threshold, "--min-area", "100", "--fail-on-anomaly")...) {
		if *d.Anomalous {
			t.Errorf("got %+v, want nothing of 100 pixels", d)
		}
	}
	_, stderr := mustRun(t, 2, "run", model, data, "--provider", "go", "--min-area", "257")
	if !strings.Contains(stderr, "at most the map's 256") {
		t.Errorf("got %q", stderr)
	}
}

// zonesPNG writes zones for the images of testSet: 3 round the square of
// badImage, 7 in the lower corner, else 0.
func zonesPNG(t *testing.T, paletted bool) string {
	t.Helper()
	grey := image.NewGray(image.Rect(0, 0, 40, 30))
	indexed := image.NewPaletted(grey.Rect, make(color.Palette, 8))
	for i := range indexed.Palette {
		indexed.Palette[i] = color.Gray{uint8(255 - i)}
	}
	for y := range 30 {
		for x := range 40 {
			n := uint8(0)
			switch {
			case image.Pt(x, y).In(image.Rect(15, 5, 35, 23)):
				n = 3
			case x > 35 && y > 25:
				n = 7
			}
			grey.SetGray(x, y, color.Gray{n})
			indexed.SetColorIndex(x, y, n)
		}
	}
	path := filepath.Join(t.TempDir(), "zones.png")
	var img image.Image = grey
	if paletted {
		img = indexed
	}
	if err := writePNG(path, img); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestZones(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), t.TempDir()
	threshold := []string{"--threshold", "0.08"}
	decide(t, 3, model, data, append(threshold, "--fail-on-anomaly")...)

	ignored := decide(t, 0, model, data, append(threshold, "--zones", zonesPNG(t, false), "--zone", "3=ignore", "--fail-on-anomaly", "--out", out, "--save", "map")...)
	_, residuals, err := npy.Load[float32](filepath.Join(out, "a", "0.png.map.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if at := 7*16 + 9; residuals[at] != 0 || slices.Max(residuals) != ignored[0].Score {
		t.Errorf("got %v in the ignored zone and a maximum of %v, want 0 and the score %v", residuals[at], slices.Max(residuals), ignored[0].Score)
	}
	t.Run("palette, all but 0 ignored", func(t *testing.T) {
		got := decide(t, 0, model, data, append(threshold, "--zones", zonesPNG(t, true), "--zone", "3=ignore", "--fail-on-anomaly")...)
		if d := cmp.Diff(ignored, got); d != "" {
			t.Errorf("grey and palette differ:\n%s", d)
		}
		for i, d := range decide(t, 0, model, data, append(threshold, "--zones", zonesPNG(t, true), "--fail-on-anomaly")...) {
			if *d.Anomalous || d.Score > ignored[i].Score {
				t.Errorf("got %+v, want no more than with one zone ignored, %v", d, ignored[i].Score)
			}
		}
	})
	t.Run("own threshold", func(t *testing.T) {
		high := ranked(t, model, data)
		top := high[len(high)-1]
		plain := decide(t, 0, model, data, threshold...)
		for i, d := range decide(t, 0, model, data, append(threshold, "--zones", zonesPNG(t, false), "--zone", "3="+fmt.Sprint(high[len(high)-2]))...) {
			if want := plain[i].Score == top; *d.Anomalous != want {
				t.Errorf("got %+v, want anomalous %v: without zones %v", d, want, plain[i].Score)
			}
		}
	})
	t.Run("eval", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json")
		whole := parseEval(t, stdout)
		stdout, _ = mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--json", "--zones", zonesPNG(t, false))
		if e := parseEval(t, stdout); e.Image.AUROC >= whole.Image.AUROC {
			t.Errorf("got an AUROC of %v, want less than %v: the defects are ignored", e.Image.AUROC, whole.Image.AUROC)
		}
	})
	coloured := filepath.Join(t.TempDir(), "rgb.png")
	if err := writePNG(coloured, image.NewRGBA(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	zones := zonesPNG(t, false)
	for _, tt := range []struct {
		code  int
		flags []string
		want  string
	}{
		{2, []string{"--zone", "1=ignore"}, "--zone needs --zones"},
		{2, []string{"--zones", zones, "--zone", "300=ignore"}, "from 0 to 255"},
		{2, []string{"--zones", zones, "--zone", "ignore"}, "NUMBER=RULE"},
		{2, []string{"--zones", zones, "--zone", "3"}, "want ignore or a threshold"},
		{2, []string{"--zones", zones, "--zone", "3=-1"}, "want ignore or a threshold"},
		{2, []string{"--zones", zones, "--zone", "3=1", "--zone", "3=2"}, "two rules for 3"},
		{1, []string{"--zones", zones, "--zone", "4=ignore"}, "the image has zones [0 3 7]"},
		{1, []string{"--zones", "absent.png"}, "absent.png"},
		{1, []string{"--zones", model}, "want a PNG"},
		{1, []string{"--zones", coloured}, "want one with a palette or of 8-bit grey"},
		{2, []string{"--zones", zones, "--zone", "3=1", "--threshold", "0"}, "threshold above 0"},
	} {
		if _, stderr := mustRun(t, tt.code, append([]string{"run", model, data, "--provider", "go"}, tt.flags...)...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: got %q, want %q in it", tt.flags, stderr, tt.want)
		}
	}
}

// What could never find anything is refused, and what finds nothing cannot fail.
func TestUnreachable(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	image := filepath.Join(data, "test", "b", "0.png")
	for _, tt := range []struct {
		code int
		args []string
		want string
	}{
		{exitUsage, []string{"run", model, image, "--threshold", "1"}, "no score can be above 1"},
		{0, []string{"run", model, image, "--threshold", "0.99"}, "1 image, 0 anomalous"},
		{exitFailure, []string{"calibrate", model, "--threshold", "1"}, "no score can be above 1"},
		{exitUsage, []string{"run", reconstructionModel(t), image, "--threshold", "2"}, "no score can be above 2"},
		{0, []string{"run", reconstructionModel(t), image, "--threshold", "2", "--map", "l1"}, "1 image, 0 anomalous"}, // its range is its own
		{exitUsage, []string{"run", reconstructionModel(t), image, "--fail-on-anomaly"}, "give --threshold"},
		{0, []string{"run", reconstructionModel(t), image, "--fail-on-anomaly", "--review-band", "0:2"}, "1 image"},
	} {
		args := append(tt.args, "--provider", "go")
		if tt.args[0] == "calibrate" {
			args = append(args, "--out", filepath.Join(t.TempDir(), "m.onnx"))
		}
		if _, stderr := mustRun(t, tt.code, args...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: got %s, want %q in it", tt.args, stderr, tt.want)
		}
	}
}
