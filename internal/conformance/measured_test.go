package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/runtime"
)

// measuredFile keeps what docs/interop.md is made of: a provider that has a
// process to itself changes its own column.
const measuredFile = "testdata/measured.json"

// measured is a column for each provider, in the order of runtime.Providers.
type measured []*column

// A column is what was seen of one provider.
type column struct {
	Provider               runtime.Provider
	Library, Machine, Date string

	Suites map[string]*outcome
}

// An outcome is what came of a suite.
type outcome struct {
	Passed int
	Failed map[string]int          // by the manifest's reason
	Models map[string]*measurement `json:",omitempty"` // of those with golden values
}

// A measurement is how far a model's outputs are from their golden values.
type measurement struct {
	Tolerance float64
	Fails     string      `json:",omitempty"` // the manifest's reason
	Outputs   differences `json:",omitempty"`
}

// add notes a test that came to what is known of it: nil where it passes.
func (o *outcome) add(c test, d differences, known *group) {
	fails := ""
	if known == nil {
		o.Passed++
	} else {
		fails = known.reason
		o.Failed[fails]++
	}
	if m, ok := c.(*modelTest); ok {
		o.Models[c.name()] = &measurement{m.tol.abs, fails, d}
	}
}

func readMeasured(t *testing.T) measured {
	t.Helper()
	b, err := os.ReadFile(measuredFile)
	if err != nil {
		t.Fatal(err)
	}
	var m measured
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", measuredFile, err)
	}
	return m
}

// library returns what a provider was measured with, "" if it was not.
func (m measured) library(provider runtime.Provider) string {
	for _, c := range m {
		if c.Provider == provider {
			return c.Library
		}
	}
	return ""
}

// again is the command that measures a provider again.
func again(provider runtime.Provider) string {
	if provider == runtime.Go || provider == runtime.CPU {
		return "make conformance UPDATE=1"
	}
	return "make conformance PROVIDER=" + string(provider) + " UPDATE=1"
}

// check holds what was measured before to what a run saw: the tests, and what of
// them fails. By how much outputs differ is up to the machine.
func (m measured) check(t *testing.T, c *column) {
	i := slices.IndexFunc(m, func(old *column) bool { return old.Provider == c.Provider })
	if i < 0 {
		t.Logf("docs/interop.md has nothing on %s: %s writes it", c.Provider, again(c.Provider))
		return
	}
	for name, o := range c.Suites {
		old := m[i].Suites[name]
		if old == nil || old.Passed != o.Passed || !maps.Equal(old.Failed, o.Failed) || !slices.Equal(rows(old), rows(o)) {
			t.Errorf("docs/interop.md is stale: suite %s has changed: run %s", name, again(c.Provider))
		}
	}
}

// rows lists a suite's models and their outputs.
func rows(o *outcome) [][2]string {
	var list [][2]string
	for _, model := range slices.Sorted(maps.Keys(o.Models)) {
		for _, output := range slices.Sorted(maps.Keys(o.Models[model].Outputs)) {
			list = append(list, [2]string{model, output})
		}
	}
	return list
}

// update replaces a provider's column; suites that were not run stay.
func (m *measured) update(c *column, r runtime.Report) {
	i := slices.IndexFunc(*m, func(old *column) bool { return old.Provider == c.Provider })
	if i < 0 {
		i, *m = len(*m), append(*m, &column{Provider: c.Provider, Suites: map[string]*outcome{}})
	}
	kept := (*m)[i]
	kept.Library, kept.Machine, kept.Date = library(c.Provider, r), machine(), time.Now().UTC().Format(time.DateOnly)
	maps.Copy(kept.Suites, c.Suites)
	order := runtime.Providers()
	slices.SortFunc(*m, func(a, b *column) int { return slices.Index(order, a.Provider) - slices.Index(order, b.Provider) })
}

// library says what computes.
func library(provider runtime.Provider, r runtime.Report) string {
	if provider == runtime.Go {
		return "none, " + goruntime.Version()
	}
	name := "ONNX Runtime " + r.Version
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(r.Library), "libopenvino.so.*")) // a good pattern
	if provider == runtime.OpenVINO && len(files) > 0 {
		_, version, _ := strings.Cut(filepath.Base(files[0]), ".so.") // 2541 is 2025.4.1
		if len(version) == 4 {
			version = fmt.Sprintf("20%s.%s.%s", version[:2], version[2:3], version[3:])
		}
		name += ", OpenVINO " + version
	}
	return name
}

// machine describes the processor where the system says what it is.
func machine() string {
	model := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if name, ok := strings.CutPrefix(s.Text(), "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, " \t:"))
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s", model, goruntime.NumCPU(), goruntime.GOOS, goruntime.GOARCH)
}

// publish writes what was measured, or holds docs/interop.md to it.
func (m measured) publish(t *testing.T) {
	path := filepath.Join(testenv.Root(), "docs", "interop.md")
	doc := m.document()
	if !*updateInterop {
		if b, err := os.ReadFile(path); err != nil || string(b) != doc {
			t.Errorf("docs/interop.md is not what %s makes of it (%v): run %s", measuredFile, err, again(runtime.Go))
		}
		return
	}
	if t.Failed() {
		return
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(measuredFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
		t.Fatal(err)
	}
}
