package commands

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// failures returns the errors in lines of --json by the names of their images; every
// such line has "path" and "error" and nothing else.
func failures(t *testing.T, stdout string) map[string]string {
	t.Helper()
	failed := map[string]string{}
	for line := range strings.Lines(stdout) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, ok := object["error"]; !ok {
			continue
		}
		path, _ := object["path"].(string)
		text, _ := object["error"].(string)
		if len(object) != 2 || path == "" || text == "" {
			t.Errorf("got %q, want path and error alone", line)
		}
		failed[filepath.Base(path)] = text
	}
	return failed
}

// TestFailedImagesHaveLines holds that a script that reads --json hears of every image.
func TestFailedImagesHaveLines(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	kinds := map[string]string{"1.png": "but text", "2.png": "an ONNX model"}
	must(t, os.WriteFile(filepath.Join(data, "test", "a", "1.png"), []byte("no image"), 0o644))
	must(t, os.WriteFile(filepath.Join(data, "test", "a", "2.png"), mustRead(t, model), 0o644))
	check := func(command string, failed map[string]string) {
		t.Helper()
		if names := slices.Sorted(maps.Keys(failed)); !slices.Equal(names, []string{"1.png", "2.png"}) {
			t.Errorf("%s: got errors of %q", command, names)
		}
		for name, text := range failed {
			if !strings.Contains(text, kinds[name]) {
				t.Errorf("%s: %s: got %q, want %q in it", command, name, text, kinds[name])
			}
		}
	}

	stdout, _ := mustRun(t, 1, "run", model, data, "--provider", "go", "--json")
	check("run", failures(t, stdout))
	if n := strings.Count(stdout, "\n"); n != 10 {
		t.Errorf("run: got %d lines, want one of each of the 10 images", n)
	}

	stdout, _ = mustRun(t, 1, "eval", model, "--data", data, "--provider", "go", "--json")
	var e struct {
		N      struct{ Anomalous int }
		Failed []struct{ Path, Error string }
		A, B   struct {
			Failed []struct{ Path, Error string }
		}
	}
	evaluated := func(list []struct{ Path, Error string }) map[string]string {
		failed := map[string]string{}
		for _, f := range list {
			failed[filepath.Base(f.Path)] = f.Error
		}
		return failed
	}
	must(t, json.Unmarshal([]byte(stdout), &e))
	check("eval", evaluated(e.Failed))
	if e.N.Anomalous != 4 {
		t.Errorf("eval: got %d anomalous images, want the 4 that could be read", e.N.Anomalous)
	}
	stdout, _ = mustRun(t, 1, "eval", "--compare", model, withThreshold(t, ".9"), "--data", data, "--provider", "go", "--json")
	must(t, json.Unmarshal([]byte(stdout), &e))
	check("eval --compare, a", evaluated(e.A.Failed))
	check("eval --compare, b", evaluated(e.B.Failed))

	w := startWatching(t, "--json", model, filepath.Join(data, "test", "a"), "--threshold", ".99")
	w.awaitLines(3)
	check("run --watch", failures(t, w.out.String()))
	must(t, writePNG(filepath.Join(data, "test", "a", "1.png"), goodImage(1))) // whole now
	w.awaitLines(4)
	if code := w.end(); code != 1 || len(failures(t, w.out.String())) != 2 {
		t.Errorf("got exit code %d, want 1 and no more errors: %s%s", code, &w.out, &w.log)
	}
}

// TestSwapped holds what is said of arguments in the wrong order or place.
func TestSwapped(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	image := filepath.Join(data, "test", "good", "0.png")
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"run DATA MODEL", 2, "DATA, which is a folder, and behind it MODEL, which is a model; swap them"},
		{"run IMAGE MODEL", 2, "IMAGE, which is an image, and behind it MODEL, which is a model; swap them"},
		{"run --watch DATA MODEL", 2, "swap them"},
		{"run DATA IMAGE", 1, "DATA: runtime: model: it is a folder, want a model's file"},
		{"run IMAGE DATA", 1, "IMAGE: runtime: model: it is an image, want a model's file"},
		{"bench DATA MODEL", 2, "swap them"},
		{"inspect DATA", 1, "it is a folder"},
		{"inspect IMAGE", 1, "it is an image"},
		{"export IMAGE --out new.onnx", 1, "it is an image"},
		{"deploy IMAGE new.onnx", 1, "it is an image"},
		{"calibrate IMAGE --threshold 1", 1, "it is an image"},
		{"calibrate DATA --good MODEL", 2, "swap them"},
		{"eval --data MODEL DATA", 2, "swap them"},
		{"eval MODEL DATA", 2, "--data, or --good and --anomalous, name images"},
		{"train DATA", 2, "--data names the images"},
		{"train --data MODEL", 1, "it is a file, want one of"},
	} {
		replace := strings.NewReplacer("MODEL", model, "DATA", data, "IMAGE", image)
		if _, stderr := mustRun(t, test.code, strings.Fields(replace.Replace(test.args))...); !strings.Contains(stderr, replace.Replace(test.want)) {
			t.Errorf("%s: got %q, want %q in it", test.args, stderr, test.want)
		}
	}
	// What is fine stays so: a folder of models to watch, a model among the images.
	folder := t.TempDir()
	place(t, filepath.Join(folder, "1.onnx"), model)
	w := startWatching(t, folder, filepath.Dir(image), "--threshold", ".99")
	w.awaitLines(5)
	if code := w.end(); code != 0 {
		t.Errorf("a folder of models: got exit code %d: %s", code, &w.log)
	}
	stdout, stderr := mustRun(t, 1, "run", "--provider", "go", model, image, model)
	if strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "an ONNX model") {
		t.Errorf("a model among the images: got %s%s", stdout, stderr)
	}
}
