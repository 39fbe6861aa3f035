package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
)

// A Provider names what computes. In [SessionOptions] it may also be [Auto], or a
// list of names separated by commas.
type Provider string

// Providers.
const (
	Auto     Provider = "auto"     // CPU, or Go where ONNX Runtime cannot be loaded; never an accelerator
	Go       Provider = "go"       // pure Go, needs nothing
	CPU      Provider = "cpu"      // ONNX Runtime's own kernels
	CUDA     Provider = "cuda"     // ONNX Runtime on NVIDIA GPUs
	TensorRT Provider = "tensorrt" // ONNX Runtime on NVIDIA GPUs, compiled by TensorRT
	OpenVINO Provider = "openvino" // ONNX Runtime on Intel CPUs through OpenVINO
	CoreML   Provider = "coreml"   // ONNX Runtime on Apple hardware
	DirectML Provider = "directml" // ONNX Runtime on Windows GPUs
)

// Providers lists the providers there are, those that need least first. Which of
// them can be used here is [Diagnose]'s to say.
func Providers() []Provider {
	return []Provider{Go, CPU, CUDA, TensorRT, OpenVINO, CoreML, DirectML}
}

// Errors of this package wrap one of these.
var (
	ErrProvider = errors.New("runtime: provider") // it is unknown or cannot be used here
	ErrModel    = errors.New("runtime: model")    // it cannot be read, run or understood
	ErrInput    = errors.New("runtime: input")    // what was given does not fit the model
	ErrClosed   = errors.New("runtime: closed")   // Run, Detect or Swap after Close
)

// Check reports a name that is none of a provider, of Auto or of a list.
func (p Provider) Check() error {
	_, err := p.list()
	return err
}

// list splits a list of providers, which are in the order of preference.
func (p Provider) list() ([]Provider, error) {
	if p == "" || p == Auto {
		return []Provider{Auto}, nil
	}
	var names []Provider
	for name := range strings.SplitSeq(string(p), ",") {
		name := Provider(strings.TrimSpace(name))
		if !slices.Contains(Providers(), name) {
			return nil, fmt.Errorf("%w: got %q, want %s, %s, or several of the latter separated by commas",
				ErrProvider, p, Auto, joined(Providers(), ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// joined puts names into one string.
func joined(names []Provider, separator string) string {
	var list []string
	for _, n := range names {
		list = append(list, string(n))
	}
	return strings.Join(list, separator)
}

// SharesCores reports whether a provider computes on the processor's own cores, so
// that several sessions side by side, and batches beyond its caches, gain nothing
// by themselves.
func (p Provider) SharesCores() bool { return p == Go || p == CPU || p == OpenVINO }

// accelerator reports whether the provider leaves the work to something other
// than ONNX Runtime's own CPU kernels, on which no node may then be left.
func accelerator(name Provider) bool { return name != Go && name != CPU }

// elsewhere is an error for a provider that this operating system cannot have.
func elsewhere(provider Provider) error {
	want := map[Provider]string{CoreML: "darwin", DirectML: "windows"}[provider]
	if want == "" || goruntime.GOOS == want || want == "darwin" && goruntime.GOOS == "ios" {
		return nil
	}
	name := map[string]string{"darwin": "macOS", "windows": "Windows"}[want]
	return fmt.Errorf("exists on %s only, this is %s", name, goruntime.GOOS)
}

// withProvider calls open with each provider that o names until one can be used:
// open's errors that wrap ErrProvider let the next one try, others end the search.
func withProvider(o SessionOptions, open func(provider Provider) error) error {
	names, err := o.Provider.list()
	if err != nil {
		return err
	}
	auto := names[0] == Auto
	if auto {
		names = []Provider{CPU, Go}
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
