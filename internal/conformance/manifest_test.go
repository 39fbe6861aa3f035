package conformance

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/runtime"
)

const manifestFile = "testdata/manifest.txt"

// A manifest says what is tested and what is known to fail. Its text is made of
// lines of these forms, and of comments, which begin with #:
//
//	operators NAME…
//	PROVIDER: REASON
//		TEST
//
// Tests, one a line and indented, are known to fail on the provider above them
// with an error that holds the reason, in which … stands for anything.
type manifest struct {
	lines     []string // up to the last of the operators
	operators []string // that are in scope
	groups    []*group
}

// A group is tests that fail on one provider for one reason.
type group struct {
	comments []string // above it
	provider runtime.Provider
	reason   string
	tests    []string
}

// crashes begins the reason of tests that cannot be tried: they take the process
// down with them, or hang.
const crashes = "crashes: "

func (g *group) crashes() bool { return strings.HasPrefix(g.reason, crashes) }

// holds reports whether an error's text holds the reason.
func (g *group) holds(text string) bool {
	for part := range strings.SplitSeq(g.reason, "…") {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

func parseManifest(text string) (*manifest, error) {
	m := &manifest{}
	var pending []string
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		names, operators := strings.CutPrefix(line, "operators ")
		test, indented := strings.CutPrefix(line, "\t")
		provider, reason, heading := strings.Cut(line, ": ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			pending = append(pending, line)
		case operators && len(m.groups) == 0:
			m.operators = append(m.operators, strings.Fields(names)...)
			m.lines = append(append(m.lines, pending...), line)
			pending = nil
		case indented && len(m.groups) > 0 && len(pending) == 0:
			g := m.groups[len(m.groups)-1]
			if other := m.find(g.provider, test); other != nil {
				return nil, fmt.Errorf("line %d: %s is there already, under %q", i+1, test, other.reason)
			}
			g.tests = append(g.tests, test)
		case heading:
			pending = slices.DeleteFunc(pending, func(line string) bool { return line == "" })
			m.groups = append(m.groups, &group{comments: pending, provider: runtime.Provider(provider), reason: reason})
			pending = nil
		default:
			return nil, fmt.Errorf("line %d: got %q, want operators NAME…, PROVIDER: REASON, or a test below one", i+1, line)
		}
	}
	return m, nil
}

func (m *manifest) String() string {
	var b strings.Builder
	for _, line := range m.lines {
		fmt.Fprintln(&b, line)
	}
	for _, g := range m.groups {
		fmt.Fprintln(&b)
		for _, line := range g.comments {
			fmt.Fprintln(&b, line)
		}
		fmt.Fprintf(&b, "%s: %s\n", g.provider, g.reason)
		for _, test := range g.tests {
			fmt.Fprintf(&b, "\t%s\n", test)
		}
	}
	return b.String()
}

// find returns the group that a test is in, nil where it is to pass.
func (m *manifest) find(provider runtime.Provider, test string) *group {
	for _, g := range m.groups {
		if g.provider == provider && slices.Contains(g.tests, test) {
			return g
		}
	}
	return nil
}

// verdict compares what a test came to with what is expected of it: nil where
// they agree.
func (g *group) verdict(err error) error {
	switch {
	case g == nil:
		return err
	case err == nil:
		return fmt.Errorf("passes, and %s says that it fails: %q", manifestFile, g.reason)
	case !g.holds(err.Error()):
		return fmt.Errorf("got %q, want what %s says: %q", err, manifestFile, g.reason)
	}
	return nil
}

// update makes the manifest say of a provider's tests, those of the groups that
// crash apart, what they came to. New reasons want editing by hand: what an error
// says of its cause, and a comment where that does not explain it.
func (m *manifest) update(provider runtime.Provider, results map[string]error) {
	for _, g := range m.groups {
		g.tests = slices.DeleteFunc(g.tests, func(test string) bool {
			err, tried := results[test]
			return g.provider == provider && tried && g.verdict(err) != nil
		})
	}
	for _, test := range slices.Sorted(maps.Keys(results)) {
		err := results[test]
		if err == nil || m.find(provider, test) != nil {
			continue
		}
		i := slices.IndexFunc(m.groups, func(g *group) bool { return g.provider == provider && g.verdict(err) == nil })
		if i < 0 {
			i, m.groups = len(m.groups), append(m.groups, &group{provider: provider, reason: reason(err)})
		}
		m.groups[i].tests = append(m.groups[i].tests, test)
	}
	for _, g := range m.groups {
		slices.Sort(g.tests)
	}
	m.groups = slices.DeleteFunc(m.groups, func(g *group) bool { return len(g.tests) == 0 })
}

var (
	// where matches what comes before the cause in an error: whose it is and, of a
	// model, the node.
	where = regexp.MustCompile(`^(runtime: |model: |provider \w+: |onnxexport: |graph ".*?": |Error creating C session: |node \d+ \(.*?\): |graph: \w+\(.*?\): )*`)
	// sizes matches numbers and shapes.
	sizes = regexp.MustCompile(`\[[^\]"]*\]|\b\d[\d.e+-]*\b`)
)

// reason is an error without what differs from test to test.
func reason(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return sizes.ReplaceAllString(strings.TrimPrefix(line, where.FindString(line)), "…")
}

// strangers lists the tests of a suite that the manifest knows and nobody else does.
func (m *manifest) strangers(provider runtime.Provider, suite string, tests []test) []string {
	var unknown []string
	for _, g := range m.groups {
		for _, name := range g.tests {
			known := slices.ContainsFunc(tests, func(c test) bool { return c.name() == name })
			if g.provider == provider && strings.HasPrefix(name, suite+"/") && !known {
				unknown = append(unknown, fmt.Sprintf("%s: %s: there is no test %s", manifestFile, provider, name))
			}
		}
	}
	return unknown
}

func readManifest(t *testing.T) *manifest {
	t.Helper()
	b, err := os.ReadFile(manifestFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(string(b))
	if err != nil {
		t.Fatalf("%s: %v", manifestFile, err)
	}
	return m
}

func TestManifest(t *testing.T) {
	text := "# Scope.\noperators A B\n\n# Why.\ngo: not known\n\ts/1\n\ts/2\n\ncpu: crashes: signal\n\ts/1\n\nort: got …, want\n\ts/1\n"
	m, err := parseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.String(); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
	for _, tt := range []struct {
		provider runtime.Provider
		test     string
		err      error
		want     string // what the verdict holds
	}{
		{"go", "s/1", fmt.Errorf("A is not known"), ""},
		{"go", "s/1", nil, "passes, and"},
		{"go", "s/1", fmt.Errorf("differs"), `got "differs", want`},
		{"go", "s/3", nil, ""},
		{"go", "s/3", fmt.Errorf("differs"), "differs"},
		{"cpu", "s/2", nil, ""},
		{"ort", "s/1", fmt.Errorf("got 7, want 8"), ""},
		{"ort", "s/1", fmt.Errorf("want 8, got 7"), "got "},
	} {
		err := m.find(tt.provider, tt.test).verdict(tt.err)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s, %v: got %v, want %q", tt.provider, tt.test, tt.err, err, tt.want)
		}
	}
	m.update("go", map[string]error{"s/1": nil, "s/2": fmt.Errorf("B is not known"), "s/3": fmt.Errorf("C is not known"), "s/4": fmt.Errorf("runtime: new: 3")})
	want := "# Scope.\noperators A B\n\n# Why.\ngo: not known\n\ts/2\n\ts/3\n\ncpu: crashes: signal\n\ts/1\n\nort: got …, want\n\ts/1\n\ngo: new: …\n\ts/4\n"
	if got := m.String(); got != want {
		t.Errorf("updated: got %q, want %q", got, want)
	}
	if got := len(m.strangers("go", "s", []test{&onnxTest{}})); got != 3 {
		t.Errorf("strangers: got %d, want 3", got)
	}
	for _, bad := range []string{"\ts/1", "go: x\n\ts/1\n\ts/1", "go: x\noperators A", "what"} {
		if _, err := parseManifest(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
