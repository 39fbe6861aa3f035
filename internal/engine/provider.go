package engine

import (
	"fmt"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/ortlib"
)

// A Provider is what is known of one.
type Provider struct {
	Name string

	// ORT says that ONNX Runtime computes. All rows of it but cpu's are for other
	// hardware or another library, and no node may be left to ONNX Runtime's own
	// kernels.
	ORT bool
	// SharesCores says that it computes on the processor's own cores: large batches
	// leave its caches, and sessions side by side share its threads.
	SharesCores bool
	// Searches says that it looks for the best way to compute, which takes up to a
	// second or more, for each shape that it has not seen yet.
	Searches bool

	sideBySide bool         // one session of ONNX Runtime computes several runs at once
	systems    []string     // GOOS that have it; nil: all
	system     string       // their name
	file       string       // beside ONNX Runtime's library that it is in; "" for one that is in the library itself
	besides    []string     // libraries that it loads when it first needs them, so that its file does not name them
	build      ortlib.Build // of ONNX Runtime that has it
}

var providers = []*Provider{
	{Name: "go", SharesCores: true},
	{Name: "cpu", ORT: true, SharesCores: true, sideBySide: true, build: ortlib.Plain},
	{Name: "cuda", ORT: true, Searches: true, file: sharedLibrary("cuda"), besides: []string{"libcudnn.so.9"}, build: ortlib.GPU}, // cuDNN searches
	{Name: "tensorrt", ORT: true, Searches: true, file: sharedLibrary("tensorrt"), build: ortlib.GPU},                             // building an engine
	{Name: "openvino", ORT: true, SharesCores: true, file: sharedLibrary("openvino"), build: ortlib.OpenVINO},
	{Name: "coreml", ORT: true, systems: []string{"darwin", "ios"}, system: "macOS", build: ortlib.Plain},
	{Name: "directml", ORT: true, systems: []string{"windows"}, system: "Windows", file: "DirectML.dll", build: ortlib.DirectML},
}

// Find returns the provider of a name, nil where there is none.
func Find(name string) *Provider {
	i := slices.IndexFunc(providers, func(p *Provider) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return providers[i]
}

// Providers lists the names there are, those that need least first.
func Providers() []string {
	var names []string
	for _, p := range providers {
		names = append(names, p.Name)
	}
	return names
}

// Accelerates reports whether the provider leaves the work to something other
// than Go and ONNX Runtime's own kernels.
func (p *Provider) Accelerates() bool { return p.ORT && p.Name != "cpu" }

// sharedLibrary is the file of a provider that is beside ONNX Runtime's.
func sharedLibrary(provider string) string {
	if goruntime.GOOS == "windows" {
		return "onnxruntime_providers_" + provider + ".dll"
	}
	return "libonnxruntime_providers_" + provider + ".so"
}

// fileOf is the provider's file beside a library, "" for one in the library itself.
func (p *Provider) fileOf(library string) string {
	if p.file == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(resolve(library)), p.file)
}

// fail is an error of a provider that cannot be used.
func (p *Provider) fail(err error) error { return fmt.Errorf("%w %s: %w", ErrProvider, p.Name, err) }

// Elsewhere is an error for a provider that this operating system cannot have.
func (p *Provider) Elsewhere() error {
	if p.systems == nil || slices.Contains(p.systems, goruntime.GOOS) {
		return nil
	}
	return p.fail(fmt.Errorf("exists on %s only, this is %s", p.system, goruntime.GOOS))
}

// Reason is what an error of a provider that cannot be used says, without its name.
func (p *Provider) Reason(err error) string {
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("%v %s: ", ErrProvider, p.Name))
}
