package conformance

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/runtime"
)

// An onnxTest is one of ONNX's own: a model, often of one operator, and the
// outputs that it has for given inputs, to a tolerance of its own.
type onnxTest struct {
	Kind, Name string
	Operators  []string // of nodes, functions and subgraphs
	Rtol, Atol float64
	Sets       int // of inputs and outputs

	folder string
}

// onnxTests lists those of ONNX's tests whose operators the manifest names and
// whose inputs and outputs are of types that tensors have; with -short not the
// whole networks.
func onnxTests(t *testing.T, m *manifest) []test {
	folder := onnxFolder(t)
	b, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index []*onnxTest
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	var tests []test
	for _, c := range index {
		outside := slices.ContainsFunc(c.Operators, func(op string) bool { return !slices.Contains(m.operators, op) })
		if outside || c.Sets == 0 || testing.Short() && c.Kind == "real" {
			continue
		}
		c.folder = filepath.Join(folder, c.Kind, c.Name)
		tests = append(tests, c)
	}
	return tests
}

// onnxFolder returns the folder of ONNX's tests in the user's cache folder, into
// which a script writes them when they are first needed.
func onnxFolder(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("testdata/onnx_tests.py")
	if err != nil {
		t.Fatal(err)
	}
	requirements, err := os.ReadFile(filepath.Join(testenv.Root(), "scripts", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	pin := regexp.MustCompile(`(?m)^onnx==(\S+)$`).FindSubmatch(requirements)
	if pin == nil {
		t.Fatal("scripts/requirements.txt pins no onnx")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place for ONNX's tests: %v", err)
	}
	folder := filepath.Join(cache, "anomaly", fmt.Sprintf("onnx-tests-%s-%.4x", pin[1], sha256.Sum256(script)))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	python := testenv.Python(t)
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import onnx; print(onnx.__version__)").Output(); err != nil || strings.TrimSpace(string(out)) != string(pin[1]) {
		t.Skipf("%s has no onnx %s: run make setup", python, pin[1])
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), ".onnx-tests-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	t.Logf("writing ONNX's tests to %s", folder)
	if out, err := exec.CommandContext(t.Context(), python, "testdata/onnx_tests.py", fresh, string(pin[1])).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", python, err, out)
	}
	if err := os.Rename(fresh, folder); err != nil {
		if _, err := os.Stat(folder); err != nil { // nor has another process put it there
			t.Fatal(err)
		}
	}
	return folder
}

func (c *onnxTest) name() string { return "onnx/" + c.Kind + "/" + c.Name }

func (c *onnxTest) try(t *testing.T, provider runtime.Provider) (d differences, err error) {
	defer recovered(&err)
	model, err := os.ReadFile(filepath.Join(c.folder, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := runtime.OpenSession(model, &runtime.SessionOptions{Provider: provider, Threads: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for i := range c.Sets {
		arrays, err := readArrays(filepath.Join(c.folder, fmt.Sprint(i, ".npz")))
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]*graph.Tensor{}
		for j, x := range numbered(arrays, "input") {
			in[s.Inputs()[j].Name] = x
		}
		out, err := s.Run(t.Context(), in)
		if err != nil {
			return nil, err
		}
		for j, want := range numbered(arrays, "output") {
			name := s.Outputs()[j].Name
			if _, err := compare(out[name], want, tolerance{c.Atol, c.Rtol}); err != nil {
				return nil, fmt.Errorf("output %q: %w", name, err)
			}
		}
		if c.Kind == "real" { // takes seconds
			continue
		}
		if err := runsAgain(t.Context(), s, in, out); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
