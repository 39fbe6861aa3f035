package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/ortlib"
)

const (
	// ortOldest is the oldest version of ONNX Runtime that the binding can use.
	ortOldest = "1.24"
	// libraryVariable is the environment variable that names its shared library.
	libraryVariable = "ANOMALY_ORT_LIB"
)

// A Place is where ONNX Runtime's shared library was looked for, as package runtime
// describes it.
type Place struct {
	Source, Path, Problem string
	Missing               []Missing
}

// named reports whether somebody wants this library and no other.
func (p Place) named() bool { return p.Source == "options" || p.Source == libraryVariable }

const notThere = "no such file"

// libraryPlaces lists where the library is looked for, best first; named is
// Options.Library. One that somebody named is the only one. A place whose
// library was built without the provider has that as its problem.
func libraryPlaces(named string, provider *Provider) []Place {
	var places []Place
	if env := os.Getenv(libraryVariable); named != "" {
		places = []Place{statPlace("options", named)}
	} else if env != "" {
		places = []Place{statPlace(libraryVariable, env)}
	} else {
		if cache := ortlib.Cache(); cache != "" {
			dirs := ortlib.CacheFolders(cache)
			if len(dirs) == 0 {
				dirs = []string{filepath.Join(cache, "onnxruntime-*")}
			}
			for _, dir := range dirs {
				places = append(places, globPlaces("cache", dir)...)
			}
		}
		for _, dir := range systemFolders() {
			places = append(places, globPlaces("system", dir)...)
		}
		for _, dir := range ortlib.SitePackages() {
			places = append(places, globPlaces("python", filepath.Join(dir, "onnxruntime", "capi"))...)
		}
	}
	for i := range places {
		if p := &places[i]; p.Problem == "" {
			p.Problem = lacks(p.Path, provider)
		}
	}
	return places
}

// lacks says what a library is without, "" where it may have the provider.
func lacks(library string, provider *Provider) string {
	file := provider.fileOf(library)
	if _, err := os.Stat(file); file == "" || err == nil {
		return ""
	}
	return fmt.Sprintf("has no %s: there is no %s beside it", provider.Name, filepath.Base(file))
}

func resolve(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		path = r
	}
	if r, err := filepath.Abs(path); err == nil {
		path = r
	}
	return path
}

func statPlace(source, path string) Place {
	p := Place{Source: source, Path: path}
	if info, err := os.Stat(path); err != nil {
		p.Problem = notThere
	} else if info.IsDir() {
		p.Problem = "is a folder, want the shared library in it"
	}
	return p
}

// globPlaces returns the libraries in a folder, the newest first.
func globPlaces(source, dir string) []Place {
	pattern := filepath.Join(dir, libraryFile("*"))
	files, _ := filepath.Glob(pattern) // fails for a malformed folder name alone
	if unversioned := filepath.Join(dir, libraryFile("")); len(files) == 0 {
		files, _ = filepath.Glob(unversioned)
	}
	if len(files) == 0 {
		return []Place{{Source: source, Path: pattern, Problem: notThere}}
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(b, a)) })
	var places []Place
	for _, f := range files {
		places = append(places, Place{Source: source, Path: f})
	}
	return places
}

// libraryFile is the name of the shared library's file on this system.
func libraryFile(version string) string {
	switch goruntime.GOOS {
	case "windows":
		return "onnxruntime.dll"
	case "darwin", "ios":
		return strings.TrimSuffix("libonnxruntime."+version, ".") + ".dylib"
	}
	return strings.TrimSuffix("libonnxruntime.so."+version, ".")
}

func systemFolders() []string {
	switch goruntime.GOOS {
	case "windows":
		return filepath.SplitList(os.Getenv("PATH"))
	case "darwin", "ios":
		return append(filepath.SplitList(os.Getenv("DYLD_LIBRARY_PATH")), "/usr/local/lib", "/opt/homebrew/lib", "/opt/onnxruntime/lib")
	}
	multiarch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[goruntime.GOARCH]
	return append(filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")),
		"/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/"+cmp.Or(multiarch, goruntime.GOARCH)+"-linux-gnu", "/opt/onnxruntime/lib")
}

// errNoLibrary says why no library can be used, and how to get one.
func errNoLibrary(provider *Provider, places []Place) error {
	for _, p := range places {
		if p.Missing != nil {
			return errors.New(p.Problem)
		}
	}
	what := "ONNX Runtime's shared library (" + ortOldest + " or newer)"
	if provider.Accelerates() {
		what = "an ONNX Runtime (" + ortOldest + " or newer) that has " + provider.Name
	}
	var looked strings.Builder
	for _, p := range places {
		fmt.Fprintf(&looked, "\n\t%s: %s: %s", p.Source, p.Path, p.Problem)
	}
	return fmt.Errorf("%s is missing: the command anomaly doctor gets it, or set %s to the library of the Python package %s; looked at%s",
		what, libraryVariable, provider.build, &looked)
}
