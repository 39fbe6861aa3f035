package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// events writes go test -json: quadruples of action, package, test and output.
func events(t *testing.T, fields ...string) string {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(fields); i += 4 {
		if err := json.NewEncoder(&b).Encode(event{fields[i], fields[i+1], fields[i+2], fields[i+3]}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestReport(t *testing.T) {
	const a, b = "m/a", "m/b"
	r := &report{skipped: map[test]string{}, ran: map[test]bool{}}
	var live strings.Builder
	for _, stream := range []string{
		events(t,
			"output", a, "TestGood", "=== RUN   TestGood\n",
			"output", a, "TestGood", "    a_test.go:3: said in passing\n",
			"pass", a, "TestGood", "",
			"output", a, "TestBrowser", "    a_test.go:9: no chromium\n",
			"output", a, "TestBrowser", "--- SKIP: TestBrowser (0.00s)\n",
			"skip", a, "TestBrowser", "",
			"output", a, "TestElsewhere", "    a_test.go:12: -short\n",
			"skip", a, "TestElsewhere", "",
			"output", a, "TestParts/two", "    a_test.go:20: no chromium\n",
			"skip", a, "TestParts/two", "",
			"pass", a, "TestParts", "",
			"output", a, "TestSilent", "--- SKIP: TestSilent (0.00s)\n",
			"skip", a, "TestSilent", "",
			"output", a, "", "PASS\n",
			"output", a, "", "ok  \tm/a\t0.1s\n",
			"pass", a, "", "",
		),
		events(t,
			"pass", a, "TestElsewhere", "",
			"build-output", "", "", "c.go:1: no such thing\n",
			"output", b, "TestBad", "=== RUN   TestBad\n",
			"output", b, "TestBad/sub", "    b_test.go:7: got 1, want 2\n",
			"fail", b, "TestBad/sub", "",
			"output", b, "TestBad", "--- FAIL: TestBad (0.00s)\n",
			"fail", b, "TestBad", "",
			"output", b, "", "FAIL\n",
			"output", b, "", "FAIL\tm/b\t0.2s\n",
			"fail", b, "", "",
			"output", "m/d", "TestCrash", "=== RUN   TestCrash\n",
			"output", "m/d", "TestCrash", "fatal error: stack overflow\n",
			"output", "m/d", "", "FAIL\tm/d\t0.1s\n",
			"fail", "m/d", "", "",
			"output", "m/c", "", "?   \tm/c\t[no test files]\n",
			"skip", "m/c", "", "",
		) + "not JSON\n",
	} {
		if err := r.read(strings.NewReader(stream), &live); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := live.String(), "ok  \tm/a\t0.1s\n"+
		"c.go:1: no such thing\n=== RUN   TestBad\n    b_test.go:7: got 1, want 2\n--- FAIL: TestBad (0.00s)\n"+
		"FAIL\nFAIL\tm/b\t0.2s\nFAIL\tm/d\t0.1s\n=== RUN   TestCrash\nfatal error: stack overflow\n?   \tm/c\t[no test files]\nnot JSON\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var end strings.Builder
	r.print(&end)
	if got, want := end.String(), `
skipped tests, and why:
  it does not say why
    m/a TestSilent
  no chromium
    m/a TestBrowser
    m/a TestParts/two

ok  	m/a	0.1s
FAIL	m/b	0.2s
FAIL	m/d	0.1s
?   	m/c	[no test files]
`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRunChecksCommands(t *testing.T) {
	r := &report{}
	for _, command := range []string{"", "A=b", "go vet", "go"} {
		if err := r.run([]string{command}); err == nil || !strings.Contains(err.Error(), "want a go test") {
			t.Errorf("%q: got %v", command, err)
		}
	}
}
