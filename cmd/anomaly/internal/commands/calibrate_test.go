package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// calibrateJSON runs calibrate --json with a copy of a model, in place, and returns
// what it printed and the copy.
func calibrateJSON(t *testing.T, model string, args ...string) (calibration, string) {
	t.Helper()
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.onnx")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _ := mustRun(t, 0, append([]string{"calibrate", path, "--provider", "go", "--json"}, args...)...)
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	var cal calibration
	if err := d.Decode(&cal); err != nil || d.More() {
		t.Fatalf("%v in %s", err, stdout)
	}
	for _, key := range []string{"model", "rule", "threshold", "pixel_threshold", "review", "false_reject", "recall", "f1", "pixel_f1", "pixel_false_positive"} {
		if !strings.Contains(stdout, `"`+key+`":`) {
			t.Errorf("no key %q in %s", key, stdout)
		}
	}
	return cal, path
}

// thresholds returns those in a model's graph, NaN for none, and its metadata.
func thresholds(t *testing.T, model string) (image, pixel float32, metadata map[string]string) {
	t.Helper()
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Reopen(b)
	if err != nil {
		t.Fatal(err)
	}
	if image, pixel, err = m.Thresholds(); err != nil {
		t.Fatal(err)
	}
	return image, pixel, m.Metadata
}

// labelledScores returns the scores that run gives the test images of data.
func labelledScores(t *testing.T, model, data string, flags ...string) (good, bad []float64) {
	t.Helper()
	for _, d := range decide(t, 0, model, data, flags...) {
		if strings.Contains(d.Path, dataset.Good) {
			good = append(good, float64(d.Score))
		} else {
			bad = append(bad, float64(d.Score))
		}
	}
	return good, bad
}

func TestCalibrateRules(t *testing.T) {
	model, data := tinyModel(t), testSet(t, true)
	// One bad image looks good, so that the classes overlap.
	if err := writePNG(filepath.Join(data, "test", "b", "0.png"), goodImage(2)); err != nil {
		t.Fatal(err)
	}
	good, bad := labelledScores(t, model, data)
	must := func(threshold float32, err error) float32 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return threshold
	}
	byRate := func(rate float64, rule calibrate.Rule) float32 {
		c, err := calibrate.FromGood(good, rate, rule)
		return must(c.Threshold, err)
	}
	for _, c := range []struct {
		name string
		args []string
		rule rule
		want float32
	}{
		{"best F1 where there are both", []string{"--data", data}, ruleF1, must(calibrate.F1(good, bad))},
		{"F1", []string{"--data", data, "--f1"}, ruleF1, must(calibrate.F1(good, bad))},
		{"recall", []string{"--data", data, "--recall", "1", "--force"}, ruleRecall, must(calibrate.Recall(good, bad, 1))},
		{"part of the recall", []string{"--data", data, "--recall", "0.5"}, ruleRecall, must(calibrate.Recall(good, bad, .5))},
		{"rate", []string{"--data", data, "--false-reject", "0.2"}, ruleFalseReject, byRate(.2, calibrate.Rate)},
		{"good images alone", []string{"--good", filepath.Join(data, "test", "good")}, ruleFalseReject, byRate(calibrate.DefaultFalseReject, calibrate.Rate)},
		{"a folder of good images", []string{"--data", filepath.Join(data, "test", "good")}, ruleFalseReject, byRate(calibrate.DefaultFalseReject, calibrate.Rate)},
		{"largest", []string{"--data", data, "--threshold-rule", "max"}, ruleMax, byRate(0, calibrate.Max)},
		{"given", []string{"--threshold", "0.0625"}, ruleGiven, .0625},
		{"good and anomalous", []string{"--good", filepath.Join(data, "test", "good"),
			"--anomalous", "a=" + filepath.Join(data, "test", "a"), "--anomalous", "b=" + filepath.Join(data, "test", "b")}, ruleF1, must(calibrate.F1(good, bad))},
	} {
		t.Run(c.name, func(t *testing.T) {
			cal, path := calibrateJSON(t, model, c.args...)
			if cal.Rule != c.rule || cal.Threshold == nil || *cal.Threshold != c.want || cal.Model != path {
				t.Fatalf("got %+v with threshold %v, want %v by rule %s", cal, *cal.Threshold, c.want, c.rule)
			}
			// In the graph, in the metadata, and in what run does.
			image, pixel, metadata := thresholds(t, path)
			if image != c.want || pixel != c.want || metadata["anomaly.threshold"] != fmt.Sprint(c.want) || metadata["anomaly.pixel_threshold"] != fmt.Sprint(c.want) {
				t.Errorf("got %v, %v and %v", image, pixel, metadata)
			}
			var rejected, found int
			for _, d := range decide(t, 0, path, data) {
				switch {
				case *d.Threshold != c.want || *d.Anomalous != (d.Score > c.want):
					t.Errorf("run: got %+v", d)
				case !*d.Anomalous:
				case strings.Contains(d.Path, dataset.Good):
					rejected++
				default:
					found++
				}
			}
			if r := cal.FalseReject; (r == nil) != (c.rule == ruleGiven) || r != nil && (r.Above != rejected || r.Of != 4 || !(r.AtMost > r.Share)) {
				t.Errorf("got false rejects %+v, run says %d of 4", r, rejected)
			}
			labelled := slices.Contains(c.args, data) || slices.Contains(c.args, "--anomalous")
			if r := cal.Recall; (r != nil) != labelled || r != nil && (r.Above != found || r.Of != 6 || !(r.AtLeast < r.Share)) {
				t.Errorf("got a recall of %+v, run says %d of 6", r, found)
			}
			if labelled {
				if want := 2 * float64(found) / float64(found+rejected+6); math.Abs(*cal.F1-want) > 1e-12 { // one rounding more or less
					t.Errorf("got F1 %v, want %v", *cal.F1, want)
				}
			}
		})
	}
	t.Run("as run scores", func(t *testing.T) {
		flags := []string{"--min-area", "6", "--zones", zonesPNG(t, false), "--zone", "7=ignore"}
		good, bad := labelledScores(t, model, data, flags...)
		cal, _ := calibrateJSON(t, model, append(flags, "--data", data, "--f1")...)
		if want := must(calibrate.F1(good, bad)); *cal.Threshold != want {
			t.Errorf("got %v, want %v", *cal.Threshold, want)
		}
	})
}

// A threshold that rejects more good images than asked for is refused, and nothing is
// stored then, nor with --dry-run; before and after are told.
func TestCalibrateCannotHurt(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	// One bad image looks good: to find it takes rejecting good ones.
	must(t, writePNG(filepath.Join(data, "test", "b", "0.png"), goodImage(2)))
	b, err := os.ReadFile(model)
	must(t, err)
	path := filepath.Join(t.TempDir(), "m.onnx")
	must(t, os.WriteFile(path, b, 0o600))
	args := []string{"calibrate", path, "--provider", "go", "--data", data, "--json"}
	unchanged := func(what string) {
		t.Helper()
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(b, after) {
			t.Errorf("%s changed the model (%v)", what, err)
		}
	}
	_, stderr := mustRun(t, exitFailure, append(args, "--recall", "1")...)
	if !strings.Contains(stderr, "m.onnx is left as it was: a threshold of ") || !strings.Contains(stderr, " rejects 2 of 4 good images, more than the 10 % asked for") {
		t.Errorf("got %s", stderr)
	}
	unchanged("a refused threshold")
	for _, flag := range []string{"--dry-run", "--force"} {
		if flag == "--force" {
			unchanged("--dry-run")
		}
		stdout, _ := mustRun(t, 0, append(args, "--recall", "1", "--force", flag)...)
		var cal calibration
		must(t, json.Unmarshal([]byte(stdout), &cal))
		now, was := cal, cal.Before
		if now.Stored != (flag == "--force") || now.FalseReject.Above != 2 || now.Recall.Above != 6 || was.FalseReject.Above != 0 || was.Recall.Above != 5 || was.F1 == nil || was.Threshold == nil {
			t.Errorf("%s: got %s", flag, stdout)
		}
		if cal.Appraisal == nil || cal.Appraisal.Statements == nil {
			t.Errorf("%s: got no verdict in %s", flag, stdout)
		}
	}
	if kept, err := filepath.Glob(path + ".0001-*"); err != nil || len(kept) != 1 {
		t.Errorf("got %v, %v, want the model that was there", kept, err)
	} else if was, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(was, b) {
		t.Errorf("the model that is kept is another (%v)", err)
	}
	// What is asked for by itself is no harm, and a share that was asked for neither.
	mustRun(t, 0, append(args, "--false-reject", "0.5")...)
	mustRun(t, exitPoor, append(args, "--threshold", "0.9", "--strict")...)
	stdout, _ := mustRun(t, 0, "calibrate", path, "--provider", "go", "--data", data, "--f1", "--dry-run")
	for _, want := range []string{"good images score up to ", "before: finds 0 of 6 anomalous images; with", "now: rejects ", "nothing is stored: --dry-run\n", ": it finds "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got\n%swant %q in it", stdout, want)
		}
	}
}

// Nothing but the thresholds changes, and they change back.
func TestCalibrateChangesNothingElse(t *testing.T) {
	model := tinyModel(t)
	before, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	was, pixelWas, metadata := thresholds(t, model)
	if was != pixelWas || metadata["anomaly.review"] != "" {
		t.Fatalf("got a model with thresholds %v, %v and %v", was, pixelWas, metadata)
	}
	out := filepath.Join(t.TempDir(), "new.onnx")
	mustRun(t, 0, "calibrate", model, "--threshold", "0.5", "--pixel-threshold", "0.25", "--review-band", "0.375:0.75", "--out", out)
	if after, _ := os.ReadFile(model); !bytes.Equal(before, after) {
		t.Error("calibrate --out changed the model itself")
	}
	image, pixel, changed := thresholds(t, out)
	if image != .5 || pixel != .25 || changed["anomaly.review"] != "0.375:0.75" {
		t.Errorf("got %v, %v, %v", image, pixel, changed)
	}
	for key, value := range metadata {
		if key != "anomaly.threshold" && key != "anomaly.pixel_threshold" && changed[key] != value {
			t.Errorf("metadata %s: got %q, want %q", key, changed[key], value)
		}
	}
	for _, d := range decide(t, 0, out, testSet(t, false)) {
		if d.Verdict == "" || *d.Threshold != .5 {
			t.Errorf("run: got %+v, want the model's band", d)
		}
	}
	// A pixel threshold of its own stays, the band goes with the threshold it was about.
	_, stderr := mustRun(t, 0, "calibrate", out, "--threshold", "0.625")
	if image, pixel, changed = thresholds(t, out); image != .625 || pixel != .25 || changed["anomaly.review"] != "" || !strings.Contains(stderr, "review band 0.375:0.75") {
		t.Errorf("got %v, %v, %v, %q", image, pixel, changed, stderr)
	}
	mustRun(t, 0, "calibrate", out, "--review-band", "0.6:0.7")
	mustRun(t, 0, "calibrate", out, "--review-band", "none")
	mustRun(t, 0, "calibrate", out, "--threshold", fmt.Sprint(was), "--pixel-threshold", fmt.Sprint(was))
	if after, _ := os.ReadFile(out); !bytes.Equal(before, after) {
		t.Error("with its old thresholds the file differs")
	}
}

func TestCalibratePixels(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, true), t.TempDir()
	was, _, _ := thresholds(t, model)
	mustRun(t, 0, "run", model, filepath.Join(data, "test"), "--provider", "go", "--out", out, "--save", "map")
	_, truth := badImage(0)
	var mask []bool // at the map's 16x16
	for i := range 256 {
		mask = append(mask, truth.GrayAt((2*(i%16)+1)*40/32, (2*(i/16)+1)*30/32).Y > 0)
	}
	var set metrics.Pixels
	var good []float32
	for _, name := range []string{"good/0", "good/1", "good/2", "good/3", "a/0", "a/1", "a/2", "b/0", "b/1", "b/2"} {
		_, residuals, err := npy.Load[float32](filepath.Join(out, name+".png.map.npy"))
		if err != nil {
			t.Fatal(err)
		}
		of := mask
		if strings.HasPrefix(name, "good") {
			good, of = append(good, residuals...), nil
		}
		if err := set.Add(residuals, of, 16, 16); err != nil {
			t.Fatal(err)
		}
	}
	f1, lowest, err := set.F1Max()
	if err != nil {
		t.Fatal(err)
	}
	above := func(threshold float32) int {
		return len(slices.DeleteFunc(slices.Clone(good), func(v float32) bool { return v <= threshold }))
	}

	cal, path := calibrateJSON(t, model, "--data", data, "--pixel-f1")
	if *cal.PixelF1 != f1 || !(*cal.PixelThreshold < float32(lowest)) || *cal.Threshold != was || cal.Rule != ruleKept {
		t.Errorf("got %+v, pixel threshold %v, F1 %v, want just below %v, F1 %v and threshold %v", cal, *cal.PixelThreshold, *cal.PixelF1, lowest, f1, was)
	}
	if want := float64(above(*cal.PixelThreshold)) / 1024; *cal.PixelFalsePositive != want {
		t.Errorf("got a share of %v, want %v", *cal.PixelFalsePositive, want)
	}
	if image, pixel, _ := thresholds(t, path); image != was || pixel != *cal.PixelThreshold {
		t.Errorf("got %v, %v in the file", image, pixel)
	}
	for _, rate := range []float64{0, .01, .5} {
		cal, _ := calibrateJSON(t, model, "--data", data, "--f1", "--pixel-false-positive", fmt.Sprint(rate))
		allowed := int(rate * 1024)
		if n := above(*cal.PixelThreshold); n > allowed || above(math.Nextafter32(*cal.PixelThreshold, -1)) <= allowed || cal.Rule != ruleF1 {
			t.Errorf("rate %v: %d of 1024 pixels are above %v", rate, n, *cal.PixelThreshold)
		}
	}
	t.Run("ignored zones have no pixels", func(t *testing.T) {
		zones := filepath.Join(t.TempDir(), "zones.png")
		left := image.NewGray(image.Rect(0, 0, 2, 1))
		left.Pix[0] = 255
		if err := writePNG(zones, left); err != nil {
			t.Fatal(err)
		}
		var right []float32
		for i, v := range good {
			if i%16 >= 8 {
				right = append(right, v)
			}
		}
		cal, _ := calibrateJSON(t, model, "--data", data, "--pixel-false-positive", "0.25", "--zones", zones)
		slices.Sort(right)
		if want := right[len(right)-1-len(right)/4]; *cal.PixelThreshold != want {
			t.Errorf("got %v, want %v", *cal.PixelThreshold, want)
		}
		left.Pix[0], left.Pix[1] = 0, 255 // where all defects are
		if err := writePNG(zones, left); err != nil {
			t.Fatal(err)
		}
		_, stderr := mustRun(t, 1, "calibrate", model, "--provider", "go", "--data", data, "--pixel-f1", "--zones", zones)
		if !strings.Contains(stderr, "0 anomalous pixels") {
			t.Errorf("got %q", stderr)
		}
	})
}

func TestCalibrateSays(t *testing.T) {
	model, data := tinyModel(t), testSet(t, true)
	out := filepath.Join(t.TempDir(), "new.onnx")
	stdout, _ := mustRun(t, 0, "calibrate", model, "--data", data, "--provider", "go", "--out", out, "--review-band", "-1:9", "--f1", "--pixel-f1")
	for _, want := range []string{
		out + "  threshold ", "for the best F1\n", "rejects 0 of 4 good images; with 95 % confidence at most 52.7 % of all\n",
		"finds 6 of 6 anomalous images; with 95 % confidence at least 60.7 % of all; F1 1.0000\n",
		"expect somewhat less", "of pixels, ", "6 masks", "review band -1:9\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got\n%swant %q in it", stdout, want)
		}
	}
	// What the network trained on is no measure.
	_, stderr := mustRun(t, 0, "calibrate", model, "--data", filepath.Join(scratch, "train"), "--provider", "go", "--out", out)
	if !strings.Contains(stderr, "the network trained on these images") {
		t.Errorf("got %q", stderr)
	}
	if _, stderr = mustRun(t, 0, "calibrate", model, "--data", data, "--provider", "go", "--out", out); strings.Contains(stderr, "trained on these") {
		t.Errorf("got %q", stderr)
	}
}

func TestCalibrateErrors(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	before, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.onnx")
	if err := os.WriteFile(foreign, append(bytes.Clone(before), 0x12, 1, 'x'), 0o644); err != nil { // another producer_name
		t.Fatal(err)
	}
	broken := testSet(t, false)
	if err := os.WriteFile(filepath.Join(broken, "test", "a", "1.png"), []byte("\x89PNG\r\n\x1a\nbroken"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code  int
		model string
		flags string
		want  string
	}{
		{2, model, "", "calibrate needs images"},
		{2, model, "--f1 --pixel-threshold 1", "calibrate needs images"},
		{2, model, "--threshold 1 --pixel-f1", "calibrate needs images"},
		{2, model, "--data DATA --good DATA", "--data goes without"},
		{2, model, "--anomalous a=DATA --f1", "--anomalous needs --good"},
		{2, model, "--data DATA --f1 --recall 0.5", "--recall: there is another rule"},
		{2, model, "--data DATA --threshold-rule max --false-reject 0.1", "--false-reject: there is another rule"},
		{2, model, "--data DATA --pixel-f1 --pixel-threshold 1", "--pixel-threshold: there is another rule"},
		{2, model, "--data DATA --threshold-rule p95", `"p95"`},
		{2, model, "--data DATA --false-reject 0", "--false-reject: got 0"},
		{2, model, "--data DATA --recall 1.5", "--recall: got 1.5"},
		{2, model, "--threshold NaN", "--threshold: got NaN"},
		{2, model, "--data DATA --pixel-false-positive 1", "--pixel-false-positive: got 1"},
		{2, model, "--threshold 0.5 --review-band 0.1:0.2", "holds the threshold 0.5"},
		{2, model, "--threshold 0.5 --review-band x", "--review-band"},
		{2, model, "--data DATA --batch 0", "--batch"},
		{1, model, "--data DATA --pixel-f1", "no image has a mask"},
		{1, model, "--data DATA/test/good --f1", "0 anomalous"},
		{1, model, "--data DATA/test/good --recall 0.5", "no anomalous images"},
		{1, model, "--good DATA/test/good/0.png", "got 1 of good images, want two or more"},
		{1, model, "--data BROKEN", "is left as it was: 1 of 10 images failed"},
		{1, model, "--threshold 1 --out nosuch/x.onnx", "nosuch"},
		{1, reconstructionModel(t), "--threshold 1", `want one of profile detector`},
		{1, foreign, "--threshold 1", "no file that anomaly wrote"},
		{1, filepath.Join(data, "test", "good", "0.png"), "--threshold 1", "it is an image"},
		{1, "nosuch.onnx", "--threshold 1", "nosuch.onnx"},
	} {
		args := append([]string{"calibrate", tt.model, "--provider", "go"}, strings.Fields(strings.NewReplacer("DATA", data, "BROKEN", broken).Replace(tt.flags))...)
		if _, stderr := mustRun(t, tt.code, args...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.flags, stderr, tt.want)
		}
	}
	if after, err := os.ReadFile(model); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the model has changed (%v)", err)
	}
}

// A threshold that was set anew is said to rest on what it was set from, by calibrate and
// by inspect alike, not on what training held back.
func TestCalibrateSaysSource(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), filepath.Join(t.TempDir(), "m.onnx")
	good := filepath.Join(data, "test", "good")
	verdict := func(args ...string) *judge.Appraisal {
		t.Helper()
		stdout, _ := mustRun(t, 0, append(args, "--json")...)
		var got struct {
			Verdict *judge.Appraisal `json:"verdict"`
		}
		must(t, json.Unmarshal([]byte(stdout), &got))
		return got.Verdict
	}
	for _, tt := range []struct {
		args string
		want string // of inspect
	}{
		{"--threshold 0", "threshold 0 given by hand"},
		{"--good GOOD --false-reject 0.3", "calibrated from 4 good images, to reject 30 % of them"},
		{"--good GOOD --threshold-rule max", "calibrated, the largest score of 4 good images"},
		{"--data DATA --recall 1 --force", "calibrated to find 100 % of 6 anomalous images"},
		{"--data DATA --f1", "calibrated for the best F1 of 4 good and 6 anomalous images"},
	} {
		args := append([]string{"calibrate", model, "--provider", "go", "--out", out}, strings.Fields(strings.NewReplacer("DATA", data, "GOOD", good).Replace(tt.args))...)
		stdout, _ := mustRun(t, 0, args...)
		inspected, _ := mustRun(t, 0, "inspect", out)
		if !strings.Contains(strings.Join(strings.Fields(inspected), " "), tt.want) || strings.Contains(stdout+inspected, "its threshold rests on 5 ") || strings.Contains(stdout, "than the 10 % that it was set for") {
			t.Errorf("%s: got\n%s%swant %q", tt.args, stdout, inspected, tt.want)
		}
		said, kept := verdict(args...), verdict("inspect", out)
		if said.Severity != kept.Severity || len(said.Statements) != len(kept.Statements) {
			t.Errorf("%s: calibrate says %+v, inspect %+v", tt.args, said, kept)
			continue
		}
		for i, s := range said.Statements {
			if k := kept.Statements[i]; s.Severity != k.Severity || s.Code != k.Code || s.Do != k.Do {
				t.Errorf("%s: calibrate says %+v, inspect %+v", tt.args, s, k)
			}
		}
	}
	if stdout, _ := mustRun(t, 0, "calibrate", model, "--threshold", "0", "--dry-run"); !strings.Contains(stdout, "good images that were held back, more than 10 %\n    -> the threshold was given: ") {
		t.Errorf("--threshold 0: got\n%s", stdout)
	}
	// What is measured with other flags is not what the file was told.
	_, _, metadata := thresholds(t, out)
	for _, tt := range []struct {
		o    surveyOptions
		want bool
	}{
		{surveyOptions{minArea: 1}, true},
		{surveyOptions{minArea: 3}, false},
		{surveyOptions{minArea: 1, detector: anrt.Options{Threshold: new(float32)}}, false},
		{surveyOptions{minArea: 1, detector: anrt.Options{Zones: &heatmap.Zones{}}}, false},
	} {
		if c := evidence(metadata, new(float32), &tt.o).Calibration; (c.Measured != nil) != tt.want {
			t.Errorf("%+v: got %+v", tt.o, c)
		}
	}
	mustRun(t, 0, "export", out, "--map", "ssim", "--out", out)
	if inspected, _ := mustRun(t, 0, "inspect", "--all", out); strings.Contains(inspected, "anomaly.calibration") || strings.Contains(inspected, "calibrated") {
		t.Errorf("of another map's threshold: got\n%s", inspected)
	}
	mustRun(t, 0, "export", model, "--threshold", "0.5", "--out", out)
	if inspected, _ := mustRun(t, 0, "inspect", out); !strings.Contains(inspected, "given by hand") {
		t.Errorf("exported with a threshold: got\n%s", inspected)
	}
}

// Images of another product are no good ones to set a threshold from.
func TestCalibrateSaysUnlike(t *testing.T) {
	model, other := tinyModel(t), t.TempDir()
	for i := range 6 {
		img := image.NewGray(image.Rect(0, 0, 40, 30))
		for j := range img.Pix {
			img.Pix[j] = uint8(i)
		}
		must(t, writePNG(filepath.Join(other, fmt.Sprintf("%d.png", i)), img))
	}
	stdout, stderr := mustRun(t, 0, "calibrate", model, "--provider", "go", "--good", other, "--threshold-rule", "max", "--dry-run")
	if !strings.Contains(stdout, "oubtful: 6 of 6 images are unlike those it was trained on") || !strings.Contains(stderr, "0.png: darker than the training images") {
		t.Errorf("got\n%s%s", stdout, stderr)
	}
	stdout, stderr = mustRun(t, 0, "calibrate", model, "--provider", "go", "--good", filepath.Join(testSet(t, false), "test", "good"), "--threshold-rule", "max", "--dry-run")
	if strings.Contains(stdout+stderr, "unlike") {
		t.Errorf("of the product: got\n%s%s", stdout, stderr)
	}
	// run says it too.
	if _, stderr := mustRun(t, 0, "run", "--provider", "go", model, other); !strings.Contains(stderr, "6 of 6 images are unlike those it was trained on: of another camera, lamp, lens or product; see in what they are") {
		t.Errorf("run: got %s", stderr)
	}
}
