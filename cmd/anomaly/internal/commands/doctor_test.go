package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

func TestDoctor(t *testing.T) {
	t.Setenv("ANOMALY_ORT_LIB", filepath.Join(t.TempDir(), "absent.so"))
	stdout, _ := mustRun(t, 0, "doctor", "--json")
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	if d.CPUs < 1 || len(d.Providers) < 2 || d.Providers[0].Provider != "go" || !d.Providers[0].Usable {
		t.Errorf("got %s", stdout)
	}
	if d.CPU == "" && d.Memory == 0 {
		t.Errorf("got no CPU and no memory: %s", stdout)
	}
	stdout, _ = mustRun(t, 0, "doctor")
	looked := "absent.so: no such file"
	if strings.Contains(stdout, "built without cgo") {
		looked = "" // it did not
	}
	for _, want := range []string{"CPU ", "memory ", "GPU ", "ONNX Runtime", looked, "\n\nproviders\n  go ", "usable", "\n  cuda "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got %s, want %q in it", stdout, want)
		}
	}
	for line := range strings.Lines(stdout) {
		if trimmed := strings.TrimRight(line, " \n"); trimmed+"\n" != line {
			t.Errorf("got %q, with blanks at its end", line)
		}
	}
	// One provider alone, and what is wrong calls.
	if stdout, _ = mustRun(t, 0, "doctor", "--provider", "go"); !strings.HasSuffix(stdout, "\n\nproviders\n  go          usable\n") {
		t.Errorf("got %s", stdout)
	}
	if _, stderr := mustRun(t, 1, "doctor", "--provider", "cuda", "--provider-option", "device_id=1"); !strings.Contains(stderr, "no provider can be used") {
		t.Errorf("got %s", stderr)
	}
}

// doctor --install copies the pinned build out of the Python environment, keeps
// what is there, and says what to do where it cannot be had.
func TestDoctorInstall(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the cache folder is moved by Linux's variable")
	}
	cache := t.TempDir()
	for _, name := range []string{"PATH", "HOME", "CONDA_PREFIX"} {
		t.Setenv(name, t.TempDir())
	}
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("VIRTUAL_ENV", "")
	_, stderr := mustRun(t, 1, "doctor", "--install", "--gpu")
	if !strings.Contains(stderr, "there is no pip") || !strings.Contains(stderr, "By hand") || !strings.Contains(stderr, "onnxruntime-gpu==") {
		t.Errorf("got %s", stderr)
	}
	if left, err := os.ReadDir(filepath.Join(cache, "anomaly")); len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}

	t.Setenv("VIRTUAL_ENV", filepath.Dir(filepath.Dir(testenv.Python(t))))
	first, _ := mustRun(t, 0, "doctor", "--install")
	t.Setenv("VIRTUAL_ENV", "")
	again, _ := mustRun(t, 0, "doctor", "--install")
	if first != again || !strings.HasPrefix(first, cache) {
		t.Errorf("got %s, then %s, want a file in %s", first, again, cache)
	}
	if _, err := os.Stat(strings.TrimSpace(first)); err != nil {
		t.Error(err)
	}
}

// Options of providers go before and after the rest, and to a list of providers.
func TestProviderOption(t *testing.T) {
	model := tinyModel(t)
	image := filepath.Join(scratch, "train", "00.png")
	option := []string{"--provider-option", "cpu.intra_op_num_threads=1", "--provider-option", "allow_spinning=0"}
	for _, args := range [][]string{
		slices.Concat([]string{"run", "--json", "--provider", "go,cpu"}, option, []string{model, image}),
		slices.Concat([]string{"run", model, image, "--json"}, option, []string{"--provider", "go,cpu"}),
	} {
		if stdout, stderr := mustRun(t, 0, args...); !strings.Contains(stdout, `"score"`) || !strings.Contains(stderr, "using provider go") {
			t.Errorf("%v: got\n%s%s", args, stdout, stderr)
		}
	}
}
