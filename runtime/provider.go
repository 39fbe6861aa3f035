package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
)

// Names of providers, for [Options].Provider.
const (
	Auto     = "auto"     // CPU, or Go where ONNX Runtime cannot be loaded; never an accelerator
	Go       = "go"       // pure Go, needs nothing
	CPU      = "cpu"      // ONNX Runtime's own kernels
	CUDA     = "cuda"     // ONNX Runtime on NVIDIA GPUs
	TensorRT = "tensorrt" // ONNX Runtime on NVIDIA GPUs, compiled by TensorRT
	OpenVINO = "openvino" // ONNX Runtime on Intel CPUs through OpenVINO
	CoreML   = "coreml"   // ONNX Runtime on Apple hardware
	DirectML = "directml" // ONNX Runtime on Windows GPUs
)

// Providers lists the providers there are, those that need least first. Which of
// them can be used here is [Diagnose]'s to say.
func Providers() []string {
	return []string{Go, CPU, CUDA, TensorRT, OpenVINO, CoreML, DirectML}
}

// Errors of this package wrap one of these.
var (
	ErrProvider = errors.New("runtime: provider") // it is unknown or cannot be used here
	ErrModel    = errors.New("runtime: model")    // it cannot be read, run or understood
	ErrInput    = errors.New("runtime: input")    // what was given does not fit the model
	ErrClosed   = errors.New("runtime: closed")   // Run, Detect or Swap after Close
)

// parseProviders splits a provider, or a list of them in the order of preference.
func parseProviders(s string) ([]string, error) {
	if s == "" || s == Auto {
		return []string{Auto}, nil
	}
	names := strings.Split(s, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !slices.Contains(Providers(), names[i]) {
			return nil, fmt.Errorf("%w: got %q, want %s, %s, or several of the latter separated by commas",
				ErrProvider, s, Auto, strings.Join(Providers(), ", "))
		}
	}
	return names, nil
}

// accelerator reports whether the provider leaves the work to something other
// than ONNX Runtime's own CPU kernels, on which no node may then be left.
func accelerator(name string) bool { return name != Go && name != CPU }

// elsewhere is an error for a provider that this operating system cannot have.
func elsewhere(provider string) error {
	want := map[string]string{CoreML: "darwin", DirectML: "windows"}[provider]
	if want == "" || goruntime.GOOS == want || want == "darwin" && goruntime.GOOS == "ios" {
		return nil
	}
	name := map[string]string{"darwin": "macOS", "windows": "Windows"}[want]
	return fmt.Errorf("exists on %s only, this is %s", name, goruntime.GOOS)
}

// withProvider calls open with each provider that o names until one can be used:
// open's errors that wrap ErrProvider let the next one try, others end the search.
func withProvider(o Options, open func(provider string) error) error {
	names, err := parseProviders(o.Provider)
	if err != nil {
		return err
	}
	auto := names[0] == Auto
	if auto {
		names = []string{CPU, Go}
	}
	var failed []error
	for _, name := range names {
		err := open(name)
		switch {
		case err == nil:
			if auto || len(names) > 1 {
				o.Logf("using provider %s", name)
			}
			return nil
		case !errors.Is(err, ErrProvider):
			return err
		case len(names) > 1:
			o.Logf("not using provider %s: %s", name, strings.TrimPrefix(err.Error(), fmt.Sprintf("%v %s: ", ErrProvider, name)))
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
