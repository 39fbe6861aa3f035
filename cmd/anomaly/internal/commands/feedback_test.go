//go:build !edge

package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/feedback"
)

// feedbackLines runs anomaly feedback --json and returns what it printed.
func feedbackLines(t *testing.T, args ...string) []feedback.Entry {
	t.Helper()
	stdout, _ := mustRun(t, 0, append([]string{"feedback", "--json"}, args...)...)
	var entries []feedback.Entry
	for d := json.NewDecoder(strings.NewReader(stdout)); d.More(); {
		var e feedback.Entry
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		entries = append(entries, e)
	}
	return entries
}

// images writes n images, the bad ones of a kind that the tiny model finds, and returns
// their paths.
func images(t *testing.T, dir string, n int, bad bool) []string {
	t.Helper()
	var paths []string
	for i := range n {
		img := goodImage(100 + i)
		if bad {
			img, _ = badImage(100 + i)
		}
		img.Pix[0] = uint8(i) // no two are the same
		path := filepath.Join(dir, fmt.Sprintf("%v-%02d.png", bad, i))
		if err := writePNG(path, img); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestFeedback(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "said")
	parts := images(t, t.TempDir(), 2, false)
	marked := feedbackLines(t, dir, parts[0], "--mark", "false-alarm", "--model", "line/bottle.onnx", "--by", "eva")
	if len(marked) != 1 || marked[0].Model != "bottle" || marked[0].Mark != feedback.FalseAlarm || marked[0].By != "eva" || marked[0].Name != filepath.Base(parts[0]) {
		t.Fatalf("got %+v", marked)
	}
	_, stderr := mustRun(t, 0, "feedback", dir, parts[0], "--mark", "false-alarm", "--model", "bottle")
	if !strings.Contains(stderr, "is marked so already") {
		t.Errorf("said again: got %s", stderr)
	}
	feedbackLines(t, dir, parts[0], parts[1], "--mark", "miss", "--model", "cap")
	if all, bottle := feedbackLines(t, dir), feedbackLines(t, dir, "--model", "bottle"); len(all) != 3 || len(bottle) != 1 {
		t.Errorf("got %d marks, %d of them of one model, want 3 and 1", len(all), len(bottle))
	}
	stdout, _ := mustRun(t, 0, "feedback", dir)
	if !strings.Contains(stdout, marked[0].Image[:12]+"  bottle  false-alarm") {
		t.Errorf("got the table\n%s", stdout)
	}
	if removed := feedbackLines(t, dir, "--remove", marked[0].Image[:8], "--model", "cap"); len(removed) != 1 || removed[0].Model != "cap" {
		t.Errorf("removed %+v", removed)
	}
	if left := feedbackLines(t, dir); len(left) != 2 {
		t.Errorf("got %d marks left, want 2", len(left))
	}

	broken := filepath.Join(t.TempDir(), "broken.png")
	b, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, b[:len(b)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr := mustRun(t, exitFailure, "feedback", dir, broken, parts[1], "--mark", "miss", "--model", "third"); !strings.Contains(stderr, "1 of 2 images could not be marked") {
		t.Errorf("half an image: got %s", stderr)
	}
	if third := feedbackLines(t, dir, "--model", "third"); len(third) != 1 {
		t.Errorf("the other image has %d marks, want 1", len(third))
	}
	absent := filepath.Join(t.TempDir(), "absent")
	mustRun(t, exitFailure, "feedback", absent)
	mustRun(t, exitFailure, "feedback", absent, "no.png", "--mark", "miss", "--model", "cap")
	if isThere(absent) {
		t.Error("a folder was made for nothing")
	}
}

func TestModelName(t *testing.T) {
	for file, want := range map[string]string{
		"a/bottle.onnx": "bottle", "a/cap/12/model.onnx": "cap", "a/cap/old/model.onnx": "model", "a/cap/12/other.onnx": "other", "x.y.onnx": "x.y", "B.ONNX": "B", "models/line.2": "line.2",
	} {
		if got := modelName(file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

func TestCalibrateFeedback(t *testing.T) {
	model, dir, good := tinyModel(t), t.TempDir(), t.TempDir()
	parts, alarms, misses := images(t, good, 12, false), images(t, t.TempDir(), 14, false)[12:], images(t, t.TempDir(), 3, true)
	feedbackLines(t, append([]string{dir, "--mark", "false-alarm", "--model", "detector", parts[0]}, alarms...)...)
	feedbackLines(t, append([]string{dir, "--mark", "miss", "--model", "detector", parts[1]}, misses...)...)
	feedbackLines(t, dir, "--mark", "miss", "--model", "other", parts[2])
	// 12 good ones, of which one is a false alarm and one a miss; and 2 and 3 more.
	cal, _ := calibrateJSON(t, model, "--good", good, "--feedback", dir, "--feedback-model", "detector", "--recall", "0.6", "--force")
	if cal.FalseReject == nil || cal.FalseReject.Of != 13 || cal.Recall == nil || cal.Recall.Of != 4 {
		t.Fatalf("got %+v and %+v, want 13 good images and 4 anomalous ones", cal.FalseReject, cal.Recall)
	}
	if cal.Recall.Above < 3 {
		t.Errorf("it finds %d of the misses, want the 60 %% that were asked for", cal.Recall.Above)
	}
	data := testSet(t, false)
	before, _ := calibrateJSON(t, model, "--data", data, "--f1", "--force")
	cal, _ = calibrateJSON(t, model, "--data", data, "--feedback", dir, "--feedback-model", "detector", "--f1", "--force")
	if cal.FalseReject.Of != before.FalseReject.Of+3 || cal.Recall.Of != before.Recall.Of+4 {
		t.Errorf("with --data: got %d good and %d anomalous images, want 3 and 4 more than %d and %d", cal.FalseReject.Of, cal.Recall.Of, before.FalseReject.Of, before.Recall.Of)
	}
	_, stderr := mustRun(t, exitFailure, "calibrate", model, "--good", good, "--feedback", dir, "--feedback-model", "bottle", "--dry-run")
	if !strings.Contains(stderr, "says nothing of the model bottle, and something of detector, other") {
		t.Errorf("of another model: got %s", stderr)
	}
	mustRun(t, exitUsage, "calibrate", model, "--feedback", dir)
	mustRun(t, exitUsage, "calibrate", model, "--good", good, "--feedback-model", "detector")
}

func TestTrainFeedback(t *testing.T) {
	dir, data, out := t.TempDir(), t.TempDir(), t.TempDir()
	parts, alarms := images(t, data, 20, false), images(t, t.TempDir(), 23, false)[20:]
	feedbackLines(t, append([]string{dir, "--mark", "false-alarm", "--model", "part"}, alarms...)...)
	feedbackLines(t, dir, "--mark", "miss", "--model", "part", parts[3], parts[4])
	path := func(name string) string { return filepath.Join(out, name) }
	_, stderr := mustRun(t, 0, append([]string{"train", "--data", data, "--out", path("part.onnx"), "--feedback", dir}, tiny...)...)
	for _, want := range []string{"3 false alarms, which it learns as good, 2 missed images; 2 of the 20 training images", "21 images of"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q: %s", want, stderr)
		}
	}
	// The same images under the same names, so the same model, by the configuration.
	mustRun(t, 0, "train", "--config", path("part.onnx"+page.ConfigSuffix), "--out", path("again.onnx"))
	a, err := os.ReadFile(path("part.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path("again.onnx"))
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the configuration gives another model (%v)", err)
	}
	mustRun(t, 0, append([]string{"train", "--data", data, "--out", path("without.onnx")}, tiny...)...)
	if b, err = os.ReadFile(path("without.onnx")); err != nil || bytes.Equal(a, b) {
		t.Errorf("feedback makes no difference (%v)", err)
	}
}

func TestServeFeedback(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	file, err := os.ReadFile(images(t, t.TempDir(), 1, true)[0])
	if err != nil {
		t.Fatal(err)
	}
	s := startService(t, model, "--feedback", dir)
	a, err := http.Post(s.url+"/v1/models/detector/feedback?mark=false-alarm", "image/png", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if during := feedbackLines(t, dir); a.StatusCode != 200 || len(during) != 1 || during[0].Score == nil || during[0].Model != "detector" {
		t.Errorf("got %d, and while it serves %+v", a.StatusCode, during)
	}
	s.end(t)
	if strings.Contains(s.out.String(), dir) {
		t.Errorf("the log tells where images lie: %s", s.out.String())
	}
	for want, args := range map[string][]string{
		"--feedback-budget needs --feedback": {"serve", model, "--feedback-budget", "10"},
		"--feedback-budget: got 0":           {"serve", model, "--feedback", dir, "--feedback-budget", "0"},
	} {
		if _, stderr := mustRun(t, exitUsage, args...); !strings.Contains(stderr, want) {
			t.Errorf("%q: got %s, want %q", args, stderr, want)
		}
	}
}
