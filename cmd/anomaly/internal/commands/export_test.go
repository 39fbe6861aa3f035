package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// From each form of a model to each other one: the file that training exports.
func TestExportIsTrainings(t *testing.T) {
	tinyModel(t)
	dir := t.TempDir()
	type form struct{ profile, input string }
	forms := []form{{"detector", "uint8"}, {"detector", "float"}, {"reconstruction", "uint8"}, {"reconstruction", "float"}, {"anomalib", ""}}
	file := func(f form) string { return filepath.Join(dir, f.profile+f.input+".onnx") }
	flags := func(f form) []string {
		if f.input == "" {
			return []string{"--profile", f.profile}
		}
		return []string{"--profile", f.profile, "--input", f.input}
	}
	for _, f := range forms {
		args := slices.Concat([]string{"train", "--data", filepath.Join(scratch, "train"), "--out", file(f)}, flags(f), tiny)
		// A map other than the default must be found in the reconstruction too.
		mustRun(t, 0, append(args, "--map", "ssim", "--blur", "0.75")...)
	}
	threshold, _, _ := thresholds(t, file(forms[0]))
	given := func(path string) []byte { // with its threshold given, not set by training
		m, err := onnxexport.Reopen(mustRead(t, path))
		must(t, err)
		must(t, judge.Given(threshold, nil).Store(m.Metadata))
		b, err := onnxexport.Marshal(m)
		must(t, err)
		return b
	}
	out := filepath.Join(dir, "out.onnx")
	for _, from := range forms {
		for _, to := range forms {
			args := append([]string{"export", file(from), "--out", out}, flags(to)...)
			want := mustRead(t, file(to))
			if from.profile == "reconstruction" && to.profile != "reconstruction" {
				code, says := 0, "has no threshold to take over"
				if to.profile == "anomalib" {
					code, says = 1, "of which there is none"
				}
				_, stderr := mustRun(t, code, args...)
				if !strings.Contains(stderr, says) {
					t.Errorf("%v to %v: got %q", from, to, stderr)
				}
				args = append(args, "--threshold", fmt.Sprint(threshold))
				want = given(file(to))
			}
			os.Remove(out) // lest it be kept
			stdout, stderr := mustRun(t, 0, args...)
			if !bytes.Equal(mustRead(t, out), want) {
				t.Errorf("%v to %v: differs from what training exports", from, to)
			}
			if stderr != "" || !strings.HasPrefix(stdout, strings.TrimSuffix(out+"  profile "+to.profile+"  input "+to.input, "  input ")) || strings.Count(stdout, "\n") != 1 {
				t.Errorf("%v to %v: got %q, %q", from, to, stdout, stderr)
			}
		}
	}
	mustRun(t, 0, "export", file(forms[0]), "--out", out)
	if !bytes.Equal(mustRead(t, out), mustRead(t, file(forms[0]))) {
		t.Error("without flags the file differs")
	}
	mustRun(t, 0, "export", out, "--out", out, "--input", "float") // in place
	if !bytes.Equal(mustRead(t, out), mustRead(t, file(forms[1]))) {
		t.Error("in place: the file differs")
	}
}

func TestExportMap(t *testing.T) {
	model, out := tinyModel(t), filepath.Join(t.TempDir(), "out.onnx")
	reviewed := filepath.Join(t.TempDir(), "reviewed.onnx")
	mustRun(t, 0, "calibrate", model, "--threshold", "0.25", "--pixel-threshold", "0.125", "--review-band", "0.2:0.3", "--out", reviewed)
	// What an export with the map gives.
	fresh := func(o onnxexport.Options, changed map[string]string) []byte {
		t.Helper()
		m, err := onnxexport.Reopen(mustRead(t, model))
		if err != nil {
			t.Fatal(err)
		}
		was, err := m.Options()
		if err != nil {
			t.Fatal(err)
		}
		o.Metadata = was.Metadata
		for key, value := range changed {
			if o.Metadata[key] = value; value == "" {
				delete(o.Metadata, key)
			}
		}
		net, weights, err := m.Network()
		if err != nil {
			t.Fatal(err)
		}
		if m, err = onnxexport.Build(net, weights, &o); err != nil {
			t.Fatal(err)
		}
		if err := selfTested(m); err != nil {
			t.Fatal(err)
		}
		b, err := onnxexport.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, _, metadata := thresholds(t, model)
	var quantiles struct {
		Brightness json.RawMessage `json:"brightness"`
		Error      json.RawMessage `json:"error"`
		Levels     json.RawMessage `json:"levels"`
		Sharpness  json.RawMessage `json:"sharpness"`
	}
	if err := json.Unmarshal([]byte(metadata["anomaly.normal.quantiles"]), &quantiles); err != nil || quantiles.Levels == nil {
		t.Fatalf("%v in %v", err, metadata)
	}
	kept, err := json.Marshal(quantiles)
	if err != nil {
		t.Fatal(err)
	}
	trained, _, _ := thresholds(t, model)
	mark := func(trained *float32) string { // of a threshold that was given
		b, err := json.Marshal(judge.Given(.25, trained))
		must(t, err)
		return string(b)
	}
	otherMap := map[string]string{"normal.score.min": "", "normal.score.max": "", "normal.count": "", "normal.quantiles": string(kept), "pseudo.scores": "", "pseudo.auroc": ""}
	with := func(m map[string]string, key, value string) map[string]string {
		m = maps.Clone(m)
		m[key] = value
		return m
	}
	l2 := residual.Options{Kind: residual.L2Map} // as tiny has it
	for _, c := range []struct {
		name    string
		args    []string
		o       onnxexport.Options
		changed map[string]string
		warns   bool
	}{
		{"nothing", nil, onnxexport.Options{Map: l2, Threshold: .25, PixelThreshold: .125}, map[string]string{"review": "0.2:0.3", "calibration": mark(&trained)}, false},
		{"the same map", []string{"--map", "l2", "--blur", "0"}, onnxexport.Options{Map: l2, Threshold: .25, PixelThreshold: .125}, map[string]string{"review": "0.2:0.3", "calibration": mark(&trained)}, false},
		{"threshold", []string{"--threshold", "0.5"}, onnxexport.Options{Map: l2, Threshold: .5}, map[string]string{"calibration": mark(&trained)}, false},
		{"map", []string{"--map", "ssim"}, onnxexport.Options{}, otherMap, true},
		{"blur", []string{"--blur", "1.5"}, onnxexport.Options{Map: residual.Options{Kind: residual.L2Map, Blur: 1.5}}, otherMap, true},
		{"map, blur, input and threshold", []string{"--map", "l1", "--blur", "2", "--input", "float", "--threshold", "0.75"},
			onnxexport.Options{Input: onnxexport.FloatNCHW, Map: residual.Options{Kind: residual.L1Map, Blur: 2}, Threshold: .75}, with(otherMap, "calibration", mark(nil)), false},
	} {
		_, stderr := mustRun(t, 0, append([]string{"export", reviewed, "--out", out}, c.args...)...)
		if !bytes.Equal(mustRead(t, out), fresh(c.o, c.changed)) {
			t.Errorf("%s: differs from an export with it", c.name)
		}
		if strings.Contains(stderr, "warning: the threshold was that of another map") != c.warns {
			t.Errorf("%s: got %q", c.name, stderr)
		}
	}
	// It runs.
	for _, d := range decide(t, 0, out, testSet(t, false)) {
		if *d.Threshold != .75 || d.Verdict != "" {
			t.Errorf("got %+v", d)
		}
	}
}

// With --aegrad the file has the same weights, another map and so no threshold;
// with 0 it is what it was without.
func TestExportAEGrad(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	moved, back, plain := filepath.Join(dir, "moved.onnx"), filepath.Join(dir, "back.onnx"), filepath.Join(dir, "plain.onnx")
	stdout, stderr := mustRun(t, 0, "export", model, "--aegrad", "3", "--out", moved)
	if !strings.Contains(stdout, "threshold none") || !strings.Contains(stderr, "another map") {
		t.Errorf("got %q, %q, want no threshold, and why", stdout, stderr)
	}
	var normal struct{ Levels, Error []float64 }
	var spec models.Spec
	for key, v := range map[string]any{"anomaly.normal.quantiles": &normal, "anomaly.model": &spec} {
		m, err := onnxexport.Reopen(mustRead(t, moved))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(m.Metadata[key]), v); err != nil {
			t.Fatal(err)
		}
	}
	if at := slices.Index(normal.Levels, stopLevel); at < 0 || len(normal.Error) <= at || spec.AEGradStop != normal.Error[at] || spec.AEGradStop <= 0 {
		t.Errorf("got a stop at %v, want the %v quantile of %+v", spec.AEGradStop, stopLevel, normal)
	}
	mustRun(t, 0, "export", moved, "--aegrad", "0", "--threshold", "0.25", "--out", back)
	mustRun(t, 0, "export", model, "--threshold", "0.25", "--out", plain)
	was, err := onnxexport.Reopen(mustRead(t, plain))
	if err != nil {
		t.Fatal(err)
	}
	is, err := onnxexport.Reopen(mustRead(t, back))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := is.Metadata["anomaly.model"], was.Metadata["anomaly.model"]; got != want {
		t.Errorf("got network %s, want %s", got, want)
	}
	image := filepath.Join(testSet(t, false), "test", "good", "0.png")
	maps := func(model string) string {
		stdout, _ := mustRun(t, 0, "run", "--provider", "go", "--json", model, image)
		return stdout
	}
	if maps(back) != maps(plain) {
		t.Error("taken back, the model judges otherwise")
	}
	if maps(moved) == maps(plain) {
		t.Error("moving the image changes nothing")
	}
}

// A file for anomalib is one of ours: it is run, looked at and taken back.
func TestExportAnomalib(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	calibrated, file, back := filepath.Join(dir, "c.onnx"), filepath.Join(dir, "a.onnx"), filepath.Join(dir, "b.onnx")
	data := testSet(t, false)
	scores := ranked(t, model, data)
	middle := (scores[len(scores)/2-1] + scores[len(scores)/2]) / 2
	mustRun(t, 0, "calibrate", model, "--out", calibrated, "--threshold", fmt.Sprint(middle), "--pixel-threshold", "0.125", "--review-band", fmt.Sprintf("0:%v", middle*1.5))
	mustRun(t, 0, "export", calibrated, "--profile", "anomalib", "--out", file)
	want, got := decide(t, 0, calibrated, data), decide(t, 0, file, data)
	m, err := onnxexport.Reopen(mustRead(t, calibrated))
	if err != nil {
		t.Fatal(err)
	}
	o, err := m.Options()
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]int{}
	for i, d := range got {
		score := onnxexport.Normalize(want[i].Score, middle, &o.Map)
		if math.Abs(float64(d.Score-score)) > 1e-5 || *d.Threshold != .5 || *d.Anomalous != *want[i].Anomalous || d.Verdict != want[i].Verdict {
			t.Errorf("image %d: got %+v, want %+v, normalised %v", i, d, want[i], score)
		}
		verdicts[string(d.Verdict)]++
	}
	if len(verdicts) < 2 {
		t.Errorf("got verdicts %v, want several", verdicts)
	}
	if stdout, _ := mustRun(t, 0, "inspect", file); !strings.Contains(stdout, "kind") || !strings.Contains(stdout, "anomalib") {
		t.Errorf("inspect: got %q", stdout)
	}
	mustRun(t, 0, "eval", file, "--data", data)
	if _, stderr := mustRun(t, 1, "calibrate", file, "--threshold", "0.3"); !strings.Contains(stderr, "export --profile detector") {
		t.Errorf("calibrate: got %q", stderr)
	}
	mustRun(t, 0, "export", file, "--profile", "detector", "--out", back)
	if !bytes.Equal(mustRead(t, back), mustRead(t, calibrated)) {
		t.Error("taken back, the file differs")
	}
}

func TestExportErrors(t *testing.T) {
	model := tinyModel(t)
	// A file of ours whose metadata does not tell how it was made.
	m, err := onnxexport.Reopen(mustRead(t, model))
	if err != nil {
		t.Fatal(err)
	}
	odd := func(key, value string) string {
		t.Helper()
		was := m.Metadata[key]
		m.Metadata[key] = value
		defer func() { m.Metadata[key] = was }()
		path := filepath.Join(t.TempDir(), "odd.onnx")
		if err := new(console).writeModel(path, m); err != nil {
			t.Fatal(err)
		}
		return path
	}
	image := filepath.Join(testSet(t, false), "test", "good", "0.png")
	out := filepath.Join(t.TempDir(), "out.onnx")
	for _, tt := range []struct {
		code  int
		model string
		flags string
		want  string
	}{
		{2, model, "", "--out is missing"},
		{2, model, "--out OUT x", "one model"},
		{2, model, "--out OUT --profile classifier", "classifier"},
		{2, model, "--out OUT --input float16", "float16"},
		{2, model, "--out OUT --map l3", "l3"},
		{2, model, "--out OUT --blur -1", "blur: got -1"},
		{2, model, "--out OUT --aegrad -1", "aegrad: got -1"},
		{2, model, "--out OUT --threshold Inf", "--threshold"},
		{2, model, "--out OUT --profile anomalib --input uint8", "--input: profile anomalib has its own"},
		{1, model, "--out OUT --profile anomalib --threshold 0", "threshold: got 0, want another"},
		{1, model, "--out OUT --profile anomalib --map l1", "none for this map: --threshold gives one"},
		{2, model, "--out OUT --profile reconstruction --map l2", "are of profiles detector and anomalib"},
		{2, reconstructionModel(t), "--out OUT --threshold 1", "are of profiles detector and anomalib"},
		{1, model, "--out OUT/nosuch/x.onnx", "nosuch"},
		{1, "nosuch.onnx", "--out OUT", "nosuch.onnx"},
		{1, image, "--out OUT", "it is an image"},
		{1, odd("anomaly.schema", "9"), "--out OUT", `got "9", want "1"`},
		{1, odd("anomaly.model", "{}"), "--out OUT", "weight"},
		{1, odd("anomaly.model", `{"model":"dcae","wings":2}`), "--out OUT", "wings"},
		{1, odd("anomaly.model", `{"model":"resnet"}`), "--out OUT", "resnet"},
		{1, odd("anomaly.settings", "x"), "--out OUT", "metadata anomaly.settings"},
		{1, odd("anomaly.normal.quantiles", "x"), "--out OUT --map l1", "metadata anomaly.normal.quantiles"},
	} {
		args := append([]string{"export", tt.model}, strings.Fields(strings.ReplaceAll(tt.flags, "OUT", out))...)
		if _, stderr := mustRun(t, tt.code, args...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.flags, stderr, tt.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was written in spite of an error")
	}
}
