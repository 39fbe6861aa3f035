package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/runtime"
)

var (
	providerFlag   = flag.String("provider", "", "the provider to test, which must be usable; default go and cpu, where they are")
	updateManifest = flag.Bool("update-manifest", false, "write what fails to "+manifestFile)
)

// A suite is a group of tests.
type suite struct {
	name  string
	tests func(*testing.T, *manifest) []test // skips where what it needs is absent
}

// A test is tried on each provider.
type test interface {
	name() string // SUITE/…
	// try returns what is wrong with the provider's outputs, and by how much
	// those that have golden values differ from them.
	try(t *testing.T, provider string) (differences, error)
}

var suites = []suite{
	{"own", ownTests},
	{"foreign", foreignTests},
	{"onnx", onnxTests},
}

func TestConformance(t *testing.T) {
	providers := []string{runtime.Go, runtime.CPU}
	if *providerFlag != "" {
		providers = []string{*providerFlag}
	}
	problems := map[string]string{}
	for _, a := range runtime.Diagnose(&runtime.Options{Provider: strings.Join(providers, ",")}).Providers {
		problems[a.Provider] = a.Problem
	}
	m := readManifest(t)
	for _, p := range providers {
		t.Run(p, func(t *testing.T) {
			switch problem := problems[p]; {
			case problem != "" && *providerFlag != "":
				t.Fatalf("%s cannot be used: %s", p, problem)
			case problem != "":
				t.Skipf("%s cannot be used: %s", p, problem)
			}
			for _, s := range suites {
				t.Run(s.name, func(t *testing.T) { s.run(t, m, p) })
			}
		})
	}
	if *updateManifest {
		if err := os.WriteFile(manifestFile, []byte(m.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (s suite) run(t *testing.T, m *manifest, provider string) {
	tests, results := s.tests(t, m), map[string]error{}
	for _, c := range tests {
		t.Run(strings.TrimPrefix(c.name(), s.name+"/"), func(t *testing.T) {
			known := m.find(provider, c.name())
			if known != nil && known.crashes() {
				t.Skip(known.reason)
			}
			_, err := c.try(t, provider)
			results[c.name()] = err
			if err := known.verdict(err); err != nil && !*updateManifest {
				t.Error(err)
			} else if known != nil {
				t.Skip(known.reason)
			}
		})
	}
	if *updateManifest {
		m.update(provider, results)
	}
	for _, complaint := range m.strangers(provider, s.name, tests) {
		t.Error(complaint)
	}
}

// recovered turns a panic into an error: the other tests go on.
func recovered(err *error) {
	if e := recover(); e != nil {
		*err = fmt.Errorf("panics: %v", e)
	}
}

// differences are the largest differences of outputs to their golden values, by name.
type differences map[string]float64

// runsAgain holds RunInto, into the tensors of another run, to give just what Run gave.
func runsAgain(ctx context.Context, s *runtime.Session, in, out map[string]*graph.Tensor) error {
	into := map[string]*graph.Tensor{}
	for name, t := range out {
		into[name] = graph.Zeros(t.DType(), t.Shape()...)
	}
	if err := s.RunInto(ctx, in, into); err != nil {
		return fmt.Errorf("RunInto: %w", err)
	}
	for name, t := range out {
		if _, err := compare(into[name], t, exact); err != nil {
			return fmt.Errorf("RunInto, output %q: %w", name, err)
		}
	}
	return nil
}
