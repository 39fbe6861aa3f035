package runtime

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
)

const (
	// ortOldest is the oldest version of ONNX Runtime that the binding can use.
	ortOldest = "1.24"
	// libraryVariable is the environment variable that names its shared library.
	libraryVariable = "ANOMALY_ORT_LIB"
)

// A Place is where ONNX Runtime's shared library was looked for.
type Place struct {
	Source  string `json:"source"`            // who names it: "options", "ANOMALY_ORT_LIB", "cache", "system" or "python"
	Path    string `json:"path"`              // a file, or the pattern that files would have to match
	Problem string `json:"problem,omitempty"` // why it is not the one used
}

// named reports whether somebody wants this library and no other.
func (p Place) named() bool { return p.Source == "options" || p.Source == libraryVariable }

const notThere = "no such file"

// libraryPlaces lists where the library is looked for, best first; named is
// Options.Library. One that somebody named is the only one.
func libraryPlaces(named string) []Place {
	if named != "" {
		return []Place{statPlace("options", named)}
	}
	if path := os.Getenv(libraryVariable); path != "" {
		return []Place{statPlace(libraryVariable, path)}
	}
	var places []Place
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, globPlaces("cache", filepath.Join(cache, "anomaly", "onnxruntime-*"))...)
	}
	for _, dir := range systemFolders() {
		places = append(places, globPlaces("system", dir)...)
	}
	for _, dir := range pythonFolders() {
		places = append(places, globPlaces("python", filepath.Join(dir, "onnxruntime", "capi"))...)
	}
	return places
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
		return []Place{{source, pattern, notThere}}
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

// pythonFolders returns patterns of the folders in which Python packages lie.
func pythonFolders() []string {
	var dirs []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if prefix := os.Getenv(variable); prefix != "" {
			dirs = append(dirs, filepath.Join(prefix, "lib", "python3*", "site-packages"), filepath.Join(prefix, "Lib", "site-packages"))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".local", "lib", "python3*", "site-packages"))
	}
	if goruntime.GOOS == "windows" {
		return dirs
	}
	return append(dirs, "/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages", "/usr/lib/python3/dist-packages")
}

// errNoLibrary says where the library was looked for and how to get one.
func errNoLibrary(places []Place) error {
	var b strings.Builder
	for _, p := range places {
		fmt.Fprintf(&b, "\n\t%s: %s: %s", p.Source, p.Path, p.Problem)
	}
	return fmt.Errorf("ONNX Runtime's shared library (%s or newer) is missing: run scripts/get-onnxruntime --cache or set %s; looked at%s",
		ortOldest, libraryVariable, &b)
}
