package commands

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// TestNothingIsLost holds that commands which write a model keep the one that was
// there, and leave what is no model.
func TestNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "m.onnx")
	first := mustRead(t, tinyModel(t))
	data := filepath.Join(scratch, "train")
	commands := [][]string{
		append([]string{"train", "--data", data, "--out", out, "--seed", "7"}, tiny...),
		{"export", tinyModel(t), "--input", "float", "--out", out},
		{"calibrate", out, "--threshold", "0.25"},
	}
	must(t, os.WriteFile(out, nil, 0o644)) // a name that was reserved
	mustRun(t, 0, "calibrate", tinyModel(t), "--threshold", "0.5", "--out", out)
	if got := folderOf(t, dir); got != "m.onnx" {
		t.Errorf("an empty file: got files %s, want it replaced", got)
	}
	must(t, os.WriteFile(out, first, 0o644))
	for _, args := range commands {
		before := mustRead(t, out)
		_, stderr := mustRun(t, 0, args...)
		versions, err := anrt.Versions(out)
		must(t, err)
		last := versions[len(versions)-1]
		if !bytes.Equal(mustRead(t, last.Path), before) || bytes.Equal(mustRead(t, out), before) {
			t.Errorf("%s: the model that was there is not kept", args[0])
		}
		if want := "is kept as " + last.Path + " (anomaly rollback " + out + " goes back)"; !strings.Contains(stderr, want) {
			t.Errorf("%s: got %q, want %q in it", args[0], stderr, want)
		}
		n := len(versions)
		_, stderr = mustRun(t, 0, args...) // the same once more
		if versions, _ = anrt.Versions(out); len(versions) != n || strings.Contains(stderr, "is kept as") {
			t.Errorf("%s again: got %d versions and %q, want %d and nothing said", args[0], len(versions), stderr, n)
		}
	}
	for range 3 {
		mustRun(t, 0, "rollback", out)
	}
	if !bytes.Equal(mustRead(t, out), first) {
		t.Error("rolled back three times: the model is not the first")
	}
	for i, threshold := range []string{"0.1", "0.2", "0.3", "0.4", "0.5", "0.6"} {
		_, stderr := mustRun(t, 0, "calibrate", out, "--threshold", threshold)
		versions, _ := anrt.Versions(out)
		if want := min(i+1, anrt.DefaultKeep); len(versions) != want || strings.Contains(stderr, ".undone is kept no more") != (i == 0) {
			t.Errorf("got %d versions and %q, want %d", len(versions), stderr, want)
		}
	}

	other := filepath.Join(dir, "photo.png")
	must(t, writePNG(other, goodImage(0)))
	photo := mustRead(t, other)
	for _, args := range commands {
		args = append(args, "--out", other)
		if _, stderr := mustRun(t, 2, args...); !strings.Contains(stderr, "--out: "+other+" is there and is no model: it is not replaced") {
			t.Errorf("%s: got %q", args[0], stderr)
		}
	}
	if !bytes.Equal(mustRead(t, other), photo) {
		t.Error("the photo is lost")
	}
}

func TestResumeNeedsCheckpoint(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.onnx")
	tinyModel(t) // whose images are used
	args := append([]string{"train", "--data", filepath.Join(scratch, "train"), "--out", out, "--resume"}, tiny...)
	if _, stderr := mustRun(t, 1, args...); !strings.Contains(stderr, "there is no checkpoint "+out+checkpointSuffix) {
		t.Errorf("got %q", stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a model was trained")
	}
}

func TestVersionsOf(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.onnx")
	mustRun(t, 1, "versions", live)
	if _, stderr := mustRun(t, 1, "versions", dir); !strings.Contains(stderr, "it is a folder") {
		t.Errorf("a folder: got %q", stderr)
	}
	place(t, live, tinyModel(t))
	must(t, os.WriteFile(live+".0001-0123456789ab", []byte("rubbish"), 0o644))
	must(t, os.WriteFile(live+".notes", nil, 0o644))
	stdout, _ := mustRun(t, 0, "versions", live)
	if strings.Count(stdout, "\n") != 3 || !strings.Contains(stdout, "no ONNX model") {
		t.Errorf("got %s", stdout)
	}
	must(t, os.Remove(live))
	if stdout, _ = mustRun(t, 0, "versions", live); strings.Count(stdout, "\n") != 2 {
		t.Errorf("without a live model: got %s", stdout)
	}
}
