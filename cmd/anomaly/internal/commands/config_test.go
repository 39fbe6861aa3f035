package commands

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/google/go-cmp/cmp"
)

// notConfig are the flags of train that its result does not depend on.
var notConfig = []string{"out", "config", "report", "resume", "suspects", "threads", "max-pixels", "strict", "json"}

func TestConfigNamesTheFlags(t *testing.T) {
	var want []string
	for _, f := range trainCommand().Flags {
		if !slices.Contains(notConfig, f.Names()[0]) {
			want = append(want, f.Names()[0])
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys((&trainOptions{}).config())); !slices.Equal(got, want) {
		t.Errorf("got keys %v, want the flags %v", got, want)
	}
}

// A run's configuration, fed back, gives the same file; flags come before it.
func TestConfigGivesTheSameModel(t *testing.T) {
	tinyModel(t)
	data, dir := filepath.Join(scratch, "train"), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	mustRun(t, 0, append([]string{"train", "--data", data, "--out", path("a")}, append(tiny, "--lr", "0.0123", "--optimizer", "sgd", "--schedule", "cosine",
		"--clip", "0.7", "--ema", "0.9", "--patience", "2", "--epochs", "3", "--input", "float", "--false-reject", "0.1")...)...)
	mustRun(t, 0, "train", "--config", path("a"+page.ConfigSuffix), "--out", path("b"))
	if read("a") != read("b") || read("a"+page.ConfigSuffix) != read("b"+page.ConfigSuffix) {
		t.Error("the configuration gives another model or another configuration")
	}
	mustRun(t, 0, "train", "--config", path("a"+page.ConfigSuffix), "--out", path("c"), "--seed", "2")
	if read("a") == read("c") || !strings.Contains(read("c"+page.ConfigSuffix), `"seed": 2`) {
		t.Error("a flag beside the configuration is without effect")
	}
	model, err := onnxexport.Reopen([]byte(read("a")))
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal([]byte(read("a"+page.ConfigSuffix)), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(model.Metadata["anomaly.config"]), &got); err != nil {
		t.Fatal(err)
	}
	if want["provider"] != "go" || want["momentum"] != .9 || want["data"] != data {
		t.Errorf("got configuration %v", want)
	}
	for _, name := range []string{"data", "roi", "profile", "input"} {
		delete(want, name)
	}
	if !cmp.Equal(got, want) {
		t.Errorf("got metadata %v, want %v", got, want)
	}
}

// Earlier builds wrote the size as a number.
func TestConfigSize(t *testing.T) {
	tinyModel(t)
	dir := t.TempDir()
	config, out := filepath.Join(dir, "c.json"), filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(config, []byte(`{"size": 16}`), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, 0, append([]string{"train", "--data", filepath.Join(scratch, "train"), "--config", config, "--out", out}, tiny[2:]...)...)
	b, err := os.ReadFile(out + page.ConfigSuffix)
	if err != nil || !strings.Contains(string(b), `"size": "16x16"`) {
		t.Errorf("got %s, %v", b, err)
	}
}

// A configuration is read as editors write it.
func TestConfigText(t *testing.T) {
	tinyModel(t)
	path := filepath.Join(t.TempDir(), "c.json")
	for name, content := range map[string]string{
		"byte order mark": "\xef\xbb\xbf{\"epochs\": 0}\r\n",
		"UTF-16":          "\xff\xfe" + strings.Join(strings.Split("{\"epochs\": 0}", ""), "\x00") + "\x00",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr := mustRun(t, 2, "train", "--data", filepath.Join(scratch, "train"), "--config", path)
		if want := "--epochs: got 0"; !strings.Contains(stderr, want) {
			t.Errorf("%s: got %q, want %q in it", name, stderr, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	tinyModel(t)
	path := filepath.Join(t.TempDir(), "c.json")
	for content, want := range map[string]string{
		`{"epoch": 3}`:                         `unknown key "epoch"`,
		`{"out": "x"}`:                         `unknown key "out"`,
		`{"epochs": "3"}`:                      "epochs: got \"3\", want a value of type int",
		`{"epochs": 2.5}`:                      "epochs: got 2.5",
		`{"epochs": null}`:                     "epochs: got null",
		`{"loss": 3}`:                          "loss: got 3",
		`{"epochs": 0}`:                        "--epochs: got 0",
		`{"provider-option": ["a=1"]}`:         `there is no key "a"`,
		`{"optimizer": "lion"}`:                "lion",
		`{"schedule": "step"}`:                 "step",
		`{"optimizer": "sgd", "momentum": 1}`:  "momentum",
		`{"optimizer": "adam", "momentum": 1}`: "momentum",
		`{"weight-decay": 0.1}`:                "--weight-decay: got 0.1",
		`{"clip": -1}`:                         "clip",
		`{"ema": 1}`:                           "ema",
		`{"patience": -1}`:                     "patience",
		`{`:                                    "--config",
		`[]`:                                   "--config",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr := mustRun(t, 2, "train", "--data", filepath.Join(scratch, "train"), "--config", path)
		if !strings.Contains(stderr, want) {
			t.Errorf("%s: got %q, want %q in it", content, stderr, want)
		}
	}
	if _, stderr := mustRun(t, 2, "train", "--config", path+"x"); !strings.Contains(stderr, "no such file") {
		t.Errorf("no file: got %q", stderr)
	}
}
