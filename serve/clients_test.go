//go:build !edge

package serve

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// clientsPython returns the Python that has scripts/requirements-clients.txt, which
// make testclients names.
func clientsPython(t *testing.T) string {
	python := os.Getenv("ANOMALY_CLIENTS_PYTHON")
	if python == "" {
		t.Skip("ANOMALY_CLIENTS_PYTHON names no Python with tritonclient and schemathesis: make testclients does")
	}
	return python
}

// TestTritonClient asks with NVIDIA's client, over both transports.
func TestTritonClient(t *testing.T) {
	python := clientsPython(t)
	s, _, dir := newServer(t, testOptions(), nil)
	web, rpc := serving(t, s)
	put(t, pngBytes(t, testImage(0, 50, 40)), dir, "part.png")
	out, err := exec.CommandContext(t.Context(), python, filepath.Join(testenv.Root(), "serve", "testdata", "triton.py"),
		web, rpc, "part", filepath.Join(dir, "part.png")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestSchema holds answers against what /openapi.json says of them, for requests
// that schemathesis makes up from it. It cannot know what fits a model, so what it
// thinks is right may be refused; an unloaded model would refuse all the rest, and
// 503 is what a model that is not ready is to answer.
func TestSchema(t *testing.T) {
	python := clientsPython(t)
	o, _ := withFeedback(t, nil)
	s, _, _ := newServer(t, o, func(dir string) {
		put(t, modelBytes(t, 1), dir, "part", "1", modelFile)
		put(t, modelBytes(t, 2), dir, "part", "2", modelFile)
	})
	web, _ := serving(t, s)
	dir := t.TempDir()
	put(t, []byte("[parameters]\nmodel = \"part\"\nversion = \"2\"\n"), dir, "schemathesis.toml")
	command := exec.CommandContext(t.Context(), python, "-m", "schemathesis.cli", "run", "http://"+web+"/openapi.json",
		"--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1", "--no-color",
		"--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", "/(unload|ready)$")
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
