//go:build cgo && linux

package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Libraries are found beside the one that needs them, where pip puts NVIDIA's,
// in whatever order they need each other, and those that are not are named.
func TestPreload(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "venv"))
	pip := filepath.Join(dir, "venv", "lib", "python3.99", "site-packages", "nvidia", "test", "lib")
	ort := filepath.Join(dir, "ort")
	for _, d := range []string{pip, ort} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// compile makes a library that needs others, which it is linked with.
	compile := func(dir, name string, args ...string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		c := exec.Command(cc, append([]string{"-shared", "-fPIC", "-nostdlib", "-Wl,-soname," + name, "-Wl,--no-as-needed", "-o", path, "-x", "c", os.DevNull, "-x", "none"}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return path
	}
	base := compile(pip, "libanomalybase.so.13")
	top := compile(pip, "libanomalytop.so.13", base)
	absent := compile(dir, "libanomalyabsent.so.1")
	needy := compile(pip, "libanomalyneedy.so.1", absent)
	beside := compile(ort, "libanomalybeside.so.1")
	alone := compile(dir, "libanomalybeside2.so.1")
	provider := compile(ort, "provider.so", "-Wl,-rpath,$ORIGIN", top, base, beside, absent, needy, alone)
	for _, path := range []string{absent, alone} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := preload(provider, []string{"libanomalybesides.so.9", "libc.so.6"})
	want := []string{"libanomalyabsent.so.1", "libanomalybeside2.so.1", "libanomalybesides.so.9"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := preload(os.DevNull, nil); err == nil {
		t.Error("a file that is no library: got no error")
	}
}
