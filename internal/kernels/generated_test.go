package kernels

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated: what is committed is what the generators write.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the generators")
	}
	out := t.TempDir()
	file := func(name string) string { return filepath.Join(out, name) }
	run := func(args ...string) []byte {
		t.Helper()
		c := exec.Command("go", append([]string{"run", "-mod=readonly"}, args...)...)
		c.Dir = "_asm"
		c.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOOS=", "GOARCH=")
		var stderr bytes.Buffer
		c.Stderr = &stderr
		b, err := c.Output()
		if err != nil && bytes.Contains(stderr.Bytes(), []byte("GOPROXY=off")) {
			t.Skip("avo is not in the module cache: go generate ./internal/kernels gets it")
		}
		if err != nil {
			t.Fatalf("go run %q: %v\n%s", args, err, &stderr)
		}
		return b
	}
	if err := os.WriteFile(file("simd_arm64.s"), run("./neon"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(".", "-out", file("simd_amd64.s"), "-stubs", file("stubs_amd64.go"), "-pkg", "kernels")
	for _, name := range []string{"simd_arm64.s", "simd_amd64.s", "stubs_amd64.go"} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "stubs_amd64.go" || name == "simd_amd64.s" { // the first line holds the command
			_, got, _ = bytes.Cut(got, []byte("\n"))
			_, want, _ = bytes.Cut(want, []byte("\n"))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: differs from what its generator writes: go generate ./internal/kernels", name)
		}
	}
}
