package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A Provider names what computes. In [SessionOptions] it may also be [Auto], or a
// list of names separated by commas.
type Provider string

// Providers lists the providers there are, those that need least first. Which of
// them can be used here is [Diagnose]'s to say.
func Providers() []Provider {
	var list []Provider
	for _, name := range engine.Providers() {
		list = append(list, Provider(name))
	}
	return list
}

// Errors of this package wrap one of these.
var (
	ErrProvider = engine.ErrProvider            // it is unknown or cannot be used here
	ErrModel    = engine.ErrModel               // it cannot be read, run or understood
	ErrInput    = engine.ErrInput               // what was given does not fit the model
	ErrClosed   = errors.New("runtime: closed") // Run, Detect or Swap after Close

	ErrSignature = fmt.Errorf("%w: signature", ErrModel) // it is not signed as Options.Signers want it
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

// row is what is known of a provider.
func (p Provider) row() *engine.Provider { return engine.Find(string(p)) }

// SharesCores reports whether a provider computes on the processor's own cores, so
// that several sessions side by side, and batches beyond its caches, gain nothing
// by themselves.
func (p Provider) SharesCores() bool {
	row := p.row()
	return row != nil && row.SharesCores
}

// withProvider calls open with each provider that o names until one can be used:
// open's errors that wrap ErrProvider let the next one try, others end the search.
// What Auto stands for depends on the model and the outputs that are wanted of it.
func withProvider(m *onnx.File, outputs []string, o SessionOptions, open func(provider Provider) error) error {
	names, err := o.Provider.list()
	if err != nil {
		return err
	}
	auto, why := names[0] == Auto, ""
	if auto {
		names, why = automatic(m, outputs, o)
	}
	var failed []error
	for _, name := range names {
		err := open(name)
		switch {
		case err == nil:
			if auto || len(names) > 1 {
				o.Logf("using provider %s%s", name, why)
			}
			return nil
		case !errors.Is(err, ErrProvider):
			return err
		case len(names) > 1:
			o.Logf("not using provider %s: %s", name, name.row().Reason(err))
		}
		failed, why = append(failed, err), ""
	}
	return errors.Join(failed...)
}

// automatic returns what Auto stands for, the best first, and why that is Go where it
// is. Who has options for CPU, or a library, wants it.
func automatic(m *onnx.File, outputs []string, o SessionOptions) (names []Provider, why string) {
	if o.CPU == nil && o.Library == "" {
		if share, faster := engine.Faster(m, outputs, o.Threads); faster {
			return []Provider{Go, CPU}, fmt.Sprintf(": by its operators this model takes about %.2g of the time that it does on %s", share, CPU)
		}
	}
	return []Provider{CPU, Go}, ""
}
