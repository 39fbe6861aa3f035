package lint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// mayImport says what the files of each package, tests apart, may import
// besides the standard library: packages of ours by their folder, those of
// others by a prefix of their path. A trailing /* stands for every package in
// a folder, a lone * for any package.
var mayImport = map[string][]string{
	"graph":          nil,
	"graph/gorgonia": {"graph", "gorgonia.org/tensor"},
	"residual":       {"graph"},
	"models":         {"graph", "residual", "internal/normality"},
	"onnxexport":     {"graph", "residual", "models", "internal/onnx"},
	"runtime": {
		"graph", "residual", "onnxexport", "heatmap", "internal/appearance", "internal/engine", "internal/onnx", "internal/imageio", "internal/atomicfile", "internal/foreground", "internal/regular", "internal/room", "internal/settle", "internal/tile",
		"github.com/klauspost/cpuid", "github.com/pbnjay/memory",
	},
	"fleet": {
		"runtime", "judge", "dataset", "drift", "internal/atomicfile",
		"github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2/server", "github.com/nats-io/nuid", "golang.org/x/sync",
	},
	"drift":    {"runtime", "internal/onnx"},
	"feedback": {"internal/atomicfile", "modernc.org/sqlite"},
	"outputs": {
		"drift", "judge", "runtime", "internal/atomicfile", "internal/text",
		"github.com/cenkalti/backoff/v5", "github.com/dustin/go-humanize", "github.com/eclipse/paho.mqtt.golang", "github.com/google/uuid", "github.com/gopcua/opcua",
		"github.com/prometheus/client_golang/prometheus", "github.com/standard-webhooks/standard-webhooks/libraries/go",
	},
	"heatmap":   {"internal/imageio", "internal/label", "internal/room", "golang.org/x/image"},
	"train":     {"graph", "models", "augment", "corrupt", "residual", "onnxexport", "runtime", "calibrate", "metrics", "internal/appearance", "internal/lower", "internal/atomicfile", "internal/backbone", "internal/foreground", "internal/parallel", "internal/tile", "internal/regular", "internal/ortlib", "internal/statedict"},
	"judge":     {"runtime", "onnxexport", "dataset", "heatmap", "metrics", "calibrate", "internal/imageio", "internal/onnx", "internal/settle", "golang.org/x/sync"},
	"calibrate": {"metrics", "gonum.org/v1/gonum"},
	"augment":   {"internal/mirror", "internal/parallel"},
	"corrupt":   {"augment", "internal/foreground", "internal/mirror", "internal/parallel"},
	"metrics":   {"internal/label"},
	"dataset":   {"internal/imageio", "internal/npy", "internal/parallel", "internal/room", "internal/text"},
	"serve": {
		"runtime", "judge", "dataset", "drift", "feedback", "heatmap", "internal/imageio", "internal/atomicfile", "internal/oippb", "internal/text",
		"google.golang.org/grpc", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel", "golang.org/x/net/netutil", "golang.org/x/sync", "golang.org/x/time/rate",
	},

	"cmd/anomaly":                   {"cmd/anomaly/internal/commands"},
	"cmd/anomaly/internal/commands": {"*"},
	"cmd/anomaly/internal/page": {
		"judge", "train", "runtime", "heatmap", "dataset", "metrics", "internal/atomicfile", "internal/jpeg", "internal/npy", "internal/onnx", "internal/regular", "internal/text", "golang.org/x/sync",
	},
	"cmd/anomaly/internal/parts": nil,

	"examples/camera":  {"dataset", "heatmap", "runtime"},
	"examples/embed":   {"dataset", "runtime"},
	"examples/hotswap": {"dataset", "runtime"},
	"examples/wasm":    {"dataset", "heatmap", "runtime"},

	"internal/article":          {"dataset", "heatmap", "runtime", "internal/atomicfile"},
	"internal/appearance":       {"github.com/klauspost/cpuid"},
	"internal/benchpeers":       {"dataset", "graph", "judge", "models", "onnxexport", "runtime", "train", "internal/atomicfile", "internal/npy", "internal/parallel", "gonum.org/v1/plot"},
	"internal/backbone":         {"graph", "internal/onnx", "internal/regular"},
	"internal/atomicfile":       {"internal/regular", "github.com/gofrs/flock"},
	"internal/conformance":      nil,
	"internal/engine":           {"graph", "internal/kernels", "internal/onnx", "internal/ortlib", "internal/ref", binding},
	"internal/foreground":       nil,
	"internal/imageio":          {"internal/jpeg", "internal/png", "internal/room", "internal/tiff", "github.com/klauspost/cpuid", "golang.org/x/image"},
	"internal/kernels":          {"graph", "internal/ref", "github.com/klauspost/cpuid"},
	"internal/jpeg":             {"internal/room", "github.com/klauspost/cpuid"},
	"internal/label":            nil,
	"internal/lint":             nil,
	"internal/loadserve":        {"models", "onnxexport"},
	"internal/lower":            {"graph"},
	"internal/normality":        {"gonum.org/v1/gonum", "internal/parallel"},
	"internal/npy":              nil,
	"internal/ortlib":           nil,
	"internal/onnx":             {"graph", "internal/onnxpb", "internal/ref", "internal/regular", "google.golang.org/protobuf"},
	"internal/oippb":            {"google.golang.org/grpc", "google.golang.org/protobuf"},
	"internal/onnxpb":           {"google.golang.org/protobuf"},
	"internal/randgraph":        {"graph"},
	"internal/ref":              {"graph", "gonum.org/v1/gonum"},
	"internal/png":              {"internal/room", "github.com/klauspost/cpuid"},
	"internal/regular":          nil,
	"internal/room":             nil,
	"internal/statedict":        {"graph", "github.com/nlpodyssey/gopickle"},
	"internal/soak":             {"runtime", "models", "onnxexport", "internal/atomicfile", "gonum.org/v1/plot"},
	"internal/settle":           nil,
	"internal/mirror":           nil,
	"internal/parallel":         nil,
	"internal/testenv":          nil,
	"internal/testenv/chromium": {"github.com/chromedp/chromedp"},
	"internal/text":             {"internal/regular"},
	"internal/tile":             {"internal/imageio", "internal/mirror"},
	"internal/tiff":             {"internal/jpeg", "golang.org/x/image"},
	"internal/testsum":          nil,
}

const (
	// binding is imported by one file, so that another binding is a day's work.
	binding     = "github.com/yalue/onnxruntime_go"
	bindingFile = "internal/engine/ort.go"
	// testOnly is for tests, whatever mayImport says.
	testOnly = "internal/testenv"
)

// imports checks mayImport, testOnly and bindingFile.
func imports(files []goFile) []string {
	var complaints []string
	unknown := map[string]bool{}
	for _, f := range files {
		may, known := mayImport[f.dir()]
		if !known && !unknown[f.dir()] {
			unknown[f.dir()] = true
			complaints = append(complaints, fmt.Sprintf("%s: unknown package: add it and what it may import to mayImport in internal/lint", f.dir()))
		}
		for _, imported := range f.imports() {
			name, ours := strings.CutPrefix(imported, module+"/")
			switch {
			case imported == binding && f.path != bindingFile:
				complaints = append(complaints, fmt.Sprintf("%s: imports %s, which only %s may", f.path, binding, bindingFile))
			case f.test():
			case name == testOnly || strings.HasPrefix(name, testOnly+"/"):
				complaints = append(complaints, fmt.Sprintf("%s: imports %s, which only tests may", f.path, name))
			case known && (ours || !standard(imported)) && !permits(may, name):
				complaints = append(complaints, fmt.Sprintf("%s: imports %s, want only the standard library and %q", f.path, name, may))
			}
		}
	}
	return complaints
}

// stale checks that each package of mayImport is there, and imports what it may,
// a lone * apart.
func stale(files []goFile) []string {
	var complaints []string
	for dir, may := range mayImport {
		there := false
		used := map[string]bool{}
		for _, f := range files {
			if f.dir() != dir {
				continue
			}
			there = true
			for _, imported := range f.imports() {
				name, _ := strings.CutPrefix(imported, module+"/")
				for _, entry := range may {
					if !f.test() && permits([]string{entry}, name) {
						used[entry] = true
					}
				}
			}
		}
		if !there {
			complaints = append(complaints, fmt.Sprintf("%s: no such package: mayImport in internal/lint has a row for it", dir))
			continue
		}
		for _, entry := range may {
			if entry != "*" && !used[entry] {
				complaints = append(complaints, fmt.Sprintf("%s: imports nothing of %s, which mayImport in internal/lint allows", dir, entry))
			}
		}
	}
	slices.Sort(complaints)
	return complaints
}

// standard reports whether the path is one of the standard library's, whose
// first element alone has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func permits(may []string, name string) bool {
	return slices.ContainsFunc(may, func(entry string) bool {
		folder, all := strings.CutSuffix(entry, "*")
		switch {
		case all:
			return strings.HasPrefix(name, folder)
		case standard(entry): // one of ours
			return name == entry
		default:
			return name == entry || strings.HasPrefix(name, entry+"/")
		}
	})
}

func TestImports(t *testing.T) {
	files, err := goFiles(os.DirFS(testenv.Root()))
	if err != nil {
		t.Fatal(err)
	}
	report(t, imports(files))
	report(t, stale(files))
}

func TestStaleComplains(t *testing.T) {
	files, err := goFiles(source("residual/a.go", "package residual"))
	if err != nil {
		t.Fatal(err)
	}
	complaints := stale(files)
	for _, want := range []string{
		"residual: imports nothing of graph, which mayImport in internal/lint allows",
		"graph: no such package: mayImport in internal/lint has a row for it",
	} {
		if !slices.Contains(complaints, want) {
			t.Errorf("got %q, want among them %q", complaints, want)
		}
	}
}

func TestImportsComplains(t *testing.T) {
	tests := []struct {
		name, path, source, want string
	}{
		{"standard library", "metrics/a.go", `package metrics; import "math"`, ""},
		{"allowed arrow", "residual/a.go", `package residual; import "` + module + `/graph"`, ""},
		{"allowed folder", "runtime/a.go", `package runtime; import "` + module + `/internal/imageio"`, ""},
		{"allowed third party", "heatmap/a.go", `package heatmap; import "golang.org/x/image/draw"`, ""},
		{"any", "cmd/anomaly/internal/commands/a.go", `package commands; import "github.com/urfave/cli/v2"`, ""},
		{"tests are free", "graph/a_test.go", `package graph; import "` + module + `/internal/ref"`, ""},
		{"generator", "graph/gen.go", "//go:build ignore\n\npackage main; import \"" + module + `/runtime"`, ""},
		{"testdata", "graph/testdata/a.go", `package a; import "` + module + `/runtime"`, ""},
		{"forbidden arrow", "graph/a.go", `package graph; import "` + module + `/runtime"`,
			`graph/a.go: imports runtime, want only the standard library and []`},
		{"behind a build tag", "graph/a.go", "//go:build plan9\n\npackage graph; import \"" + module + `/runtime"`,
			`graph/a.go: imports runtime, want only the standard library and []`},
		{"name that begins alike", "residual/a.go", `package residual; import "` + module + `/graph/sub"`,
			`residual/a.go: imports graph/sub, want only the standard library and ["graph"]`},
		{"forbidden third party", "internal/npy/a.go", `package npy; import "gonum.org/v1/gonum/stat"`,
			`internal/npy/a.go: imports gonum.org/v1/gonum/stat, want only the standard library and []`},
		{"unknown package", "report/a.go", `package report; import "` + module + `/graph"`,
			`report: unknown package: add it and what it may import to mayImport in internal/lint`},
		{"test environment", "cmd/anomaly/a.go", `package main; import "` + module + `/internal/testenv"`,
			`cmd/anomaly/a.go: imports internal/testenv, which only tests may`},
		{"binding", "internal/engine/ort.go", `package runtime; import ort "` + binding + `"`, ""},
		{"binding elsewhere", "runtime/session.go", `package runtime; import ort "` + binding + `"`,
			`runtime/session.go: imports ` + binding + `, which only internal/engine/ort.go may`},
		{"binding in a test", "runtime/ort_test.go", `package runtime; import ort "` + binding + `"`,
			`runtime/ort_test.go: imports ` + binding + `, which only internal/engine/ort.go may`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := goFiles(source(tt.path, tt.source))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, imports(files), tt.want)
		})
	}
}
