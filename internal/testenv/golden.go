package testenv

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var regenerate = flag.Bool("regenerate", false, "run the scripts again that wrote the goldens in testdata")

var regenerated sync.Map // by script, to what it did

// Regenerate runs testdata/<script> with [Python], once, where the flag
// -regenerate asks for it. Scripts write their goldens beside themselves.
func Regenerate(t testing.TB, script string) {
	t.Helper()
	if !*regenerate {
		return
	}
	python := Python(t)
	run, _ := regenerated.LoadOrStore(script, sync.OnceValue(func() error {
		cmd := exec.Command(python, filepath.Join("testdata", script))
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		return cmd.Run()
	}))
	if err := run.(func() error)(); err != nil {
		t.Fatalf("%s: %v (ANOMALY_PYTHON names a Python that has what it needs)", script, err)
	}
}

// Golden reads testdata/<file>, JSON that testdata/<script> wrote, into v; the
// flag -regenerate runs the script first.
func Golden(t testing.TB, script, file string, v any) {
	t.Helper()
	Regenerate(t, script)
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("testdata/%s: %v", file, err)
	}
}
