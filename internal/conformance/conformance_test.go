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
	updateInterop  = flag.Bool("update-interop", false, "write what is measured to "+measuredFile+" and docs/interop.md")
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
	try(t *testing.T, provider runtime.Provider) (differences, error)
}

var suites = []suite{
	{"own", ownTests},
	{"foreign", foreignTests},
	{"onnx", onnxTests},
}

func TestConformance(t *testing.T) {
	providers := []runtime.Provider{runtime.Go, runtime.CPU}
	if *providerFlag != "" {
		providers = []runtime.Provider{runtime.Provider(*providerFlag)}
	}
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = string(p)
	}
	report := runtime.Diagnose(&runtime.SessionOptions{Provider: runtime.Provider(strings.Join(names, ","))})
	problems := map[runtime.Provider]string{}
	for _, a := range report.Providers {
		problems[a.Provider] = a.Problem
	}
	m, measured := readManifest(t), readMeasured(t)
	for _, p := range providers {
		t.Run(string(p), func(t *testing.T) {
			switch problem := problems[p]; {
			case problem != "" && *providerFlag != "":
				t.Fatalf("%s cannot be used: %s", p, problem)
			case problem != "":
				t.Skipf("%s cannot be used: %s", p, problem)
			}
			if other := measured.library(p); p != runtime.Go && *providerFlag == "" && other != "" && other != library(p, report) {
				t.Skipf("what fails is known of %s, this is %s: -provider %s tries it", other, library(p, report), p)
			}
			c := &column{Provider: p, Suites: map[string]*outcome{}}
			for _, s := range suites {
				t.Run(s.name, func(t *testing.T) { s.run(t, m, c) })
			}
			if *updateInterop {
				measured.update(c, report)
			} else {
				measured.check(t, c)
			}
		})
	}
	if *updateManifest {
		if err := os.WriteFile(manifestFile, []byte(m.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	measured.publish(t)
}

// run tries the suite's tests on a provider and notes in its column what came of
// them, unless -run has left some out.
func (s suite) run(t *testing.T, m *manifest, column *column) {
	provider, tests := column.Provider, s.tests(t, m)
	if len(tests) == 0 {
		t.Fatal("got no tests")
	}
	results, seen := map[string]error{}, map[string]differences{}
	untried := 0
	for _, c := range tests {
		known := m.find(provider, c.name())
		if known != nil && known.crashes() {
			continue
		}
		untried++
		t.Run(strings.TrimPrefix(c.name(), s.name+"/"), func(t *testing.T) {
			untried--
			d, err := c.try(t, provider)
			seen[c.name()], results[c.name()] = d, err
			if err := known.verdict(err); err != nil && !*updateManifest {
				t.Error(err)
			}
			if known != nil {
				t.Skip(known.reason)
			}
		})
	}
	if *updateManifest {
		m.update(provider, results)
	}
	if testing.Short() {
		return
	}
	for _, complaint := range m.strangers(provider, s.name, tests) {
		t.Error(complaint)
	}
	if untried > 0 {
		return
	}
	o := &outcome{Failed: map[string]int{}, Models: map[string]*measurement{}}
	for _, c := range tests {
		o.add(c, seen[c.name()], m.find(provider, c.name()))
	}
	column.Suites[s.name] = o
}

// recovered turns a panic into an error: the other tests go on.
func recovered(err *error) {
	if e := recover(); e != nil {
		*err = fmt.Errorf("panics: %v", e)
	}
}

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
