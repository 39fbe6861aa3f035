package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/engine"
)

// TestLibraryChild is what TestLibrary runs in processes of their own, for ONNX
// Runtime is loaded once.
func TestLibraryChild(t *testing.T) {
	if os.Getenv("ANOMALY_TEST_CHILD") == "" {
		t.Skip("TestLibrary's")
	}
	providers := strings.Fields(os.Getenv("ANOMALY_TEST_PROVIDER"))
	for i, library := range filepath.SplitList(os.Getenv("ANOMALY_TEST_CHILD")) {
		s, err := OpenSession(affine(t), &SessionOptions{Provider: Provider(providers[min(i, len(providers)-1)]), Library: strings.TrimPrefix(library, "-"),
			Logf: func(format string, args ...any) { fmt.Printf("said: "+format+"\n", args...) }})
		if err != nil {
			fmt.Printf("error: %v %v\n", errors.Is(err, ErrProvider), err)
			continue
		}
		fmt.Println("provider:", s.Provider())
		s.Close()
	}
}

// withoutCUDA returns a library beside which lies a provider for CUDA that needs
// one of CUDA's libraries that is not there.
func withoutCUDA(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil || goruntime.GOOS != "linux" {
		t.Skip("needs Linux and a C compiler")
	}
	dir := t.TempDir()
	needed := filepath.Join(dir, "libcublasLt.so.99")
	for _, args := range [][]string{
		{"-Wl,-soname,libcublasLt.so.99", "-o", needed},
		{"-Wl,--no-as-needed", "-o", filepath.Join(dir, "libonnxruntime_providers_cuda.so"), "-x", "none", needed},
	} {
		c := exec.Command(cc, slices.Concat([]string{"-shared", "-nostdlib", "-x", "c", os.DevNull}, args)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	library := filepath.Join(dir, "libonnxruntime.so.1.31.1")
	if err := errors.Join(os.Remove(needed), os.WriteFile(library, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return library
}

func TestLibrary(t *testing.T) {
	needProvider(t, CPU)
	path, _, _, err := engine.LoadLibrary("", CPU.row())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text, other := filepath.Join(dir, "text.so"), filepath.Join(dir, "other.so")
	for _, f := range []string{text, other} {
		if err := os.WriteFile(f, []byte("no library"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link.so")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent.so")
	cuda := withoutCUDA(t)
	list := func(paths ...string) string { return strings.Join(paths, string(filepath.ListSeparator)) }
	tests := []struct {
		name, providers, libraries string
		want                       []string // in this order
	}{
		{"absent", "cpu", absent, []string{"error: true", "missing", "anomaly doctor gets it", "ANOMALY_ORT_LIB", "options: " + absent + ": no such file"}},
		{"no library", "cpu", text, []string{"error: true", "options: " + text + ": ", "too short"}},
		{"auto", "auto", absent, []string{"said: not using provider cpu", "missing", "said: using provider go", "provider: go"}},
		{"no cuda in it", "cuda", path, []string{"error: true runtime: provider cuda: an ONNX Runtime (1.24 or newer) that has cuda is missing: the command anomaly doctor gets it, or set ANOMALY_ORT_LIB to the library of the Python package onnxruntime-gpu",
			"has no cuda: there is no libonnxruntime_providers_cuda.so beside it"}},
		{"no cuda in the one loaded", "cpu cuda", list(path, path), []string{"provider: cpu", "error: true runtime: provider cuda: the process has already loaded", "has no cuda"}},
		{"no CUDA for it", "cuda", cuda, []string{"error: true runtime: provider cuda: libonnxruntime_providers_cuda.so needs libcublasLt.so.99",
			"python3 -m pip install nvidia-cublas~=99.0"}},
		{"another afterwards", "cpu", list(path, other, absent, path), []string{"provider: cpu",
			"error: true", "other.so is wanted, but the process has already loaded", "error: true", "absent.so is wanted", "provider: cpu"}},
		{"the same by a link", "cpu", list(link, path, "-"), []string{"provider: cpu", "provider: cpu", "provider: cpu"}},
		{"after a failure", "cpu", list(text, path), []string{"error: true", "provider: cpu"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run=^TestLibraryChild$")
			c.Env = append(os.Environ(), "ANOMALY_ORT_LIB=", "ANOMALY_TEST_CHILD="+tt.libraries, "ANOMALY_TEST_PROVIDER="+tt.providers)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			rest := string(out)
			for _, w := range tt.want {
				_, after, found := strings.Cut(rest, w)
				if !found {
					t.Fatalf("got\n%s\nwant %q in this order", out, tt.want)
				}
				rest = after
			}
		})
	}
}

// A provider that cannot be used is an error, and in a list makes way for the next.
func TestUnusableProvider(t *testing.T) {
	needProvider(t, CPU)
	if goruntime.GOOS == "windows" {
		t.Skip("DirectML may be there")
	}
	_, err := OpenSession(affine(t), &SessionOptions{Provider: DirectML})
	if !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), string(DirectML)) {
		t.Errorf("got %v, want ErrProvider of %s", err, DirectML)
	}
	var said []string
	o := &SessionOptions{Provider: "directml,cpu", Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	if s := openTest(t, affine(t), o); s.Provider() != CPU || len(said) != 2 {
		t.Errorf("got provider %s, said %q", s.Provider(), said)
	}
}

func TestDiagnose(t *testing.T) {
	r := Diagnose(nil)
	if len(r.Providers) != len(Providers()) {
		t.Fatalf("got %+v, want %v", r.Providers, Providers())
	}
	for i, a := range r.Providers {
		if a.Provider != Providers()[i] || a.Usable != (a.Problem == "") {
			t.Errorf("got %+v", a)
		}
		if a.Provider == Go && !a.Usable {
			t.Errorf("provider go: %s", a.Problem)
		}
		if a.Provider == CPU && a.Usable != (r.Library != "" && r.Version != "" && len(r.Places) > 0) {
			t.Errorf("provider cpu: got %+v of library %q, version %q, places %+v", a, r.Library, r.Version, r.Places)
		}
	}
}
