package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

func main() {
	r := &report{skipped: map[test]string{}, ran: map[test]bool{}}
	err := r.run(os.Args[1:])
	r.print(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
}

// A test is one of a package; the package's own lines have no name.
type test struct{ pkg, name string }

// An event is one line of go test -json (see go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// A report is what all commands said.
type report struct {
	skipped map[test]string // and why
	ran     map[test]bool
	closing []string
}

func (r *report) run(commands []string) error {
	for _, command := range commands {
		env, args := os.Environ(), strings.Fields(command)
		for len(args) > 0 && strings.Contains(args[0], "=") {
			env, args = append(env, args[0]), args[1:]
		}
		if len(args) < 2 || args[1] != "test" {
			return fmt.Errorf("got %q, want a go test", command)
		}
		cmd := exec.Command(args[0], slices.Insert(args[1:], 1, "-json")...)
		cmd.Env, cmd.Stderr = env, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		fmt.Println(command)
		r.closing = append(r.closing, command)
		if err := cmd.Start(); err != nil {
			return err
		}
		readErr := r.read(out, os.Stdout)
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		if readErr != nil {
			return readErr
		}
	}
	return nil
}

// read passes on what go test prints without -json.
func (r *report) read(events io.Reader, w io.Writer) error {
	said := map[test][]string{}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil { // not of a test
			fmt.Fprintln(w, lines.Text())
			continue
		}
		t := test{e.Package, e.Test}
		top, _, _ := strings.Cut(e.Test, "/")
		whole := test{e.Package, top}
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			switch {
			case e.Test != "":
				said[t] = append(said[t], e.Output)
				if t != whole {
					said[whole] = append(said[whole], e.Output)
				}
			case closes.MatchString(e.Output):
				r.closing = append(r.closing, strings.TrimRight(e.Output, "\n"))
				fmt.Fprint(w, e.Output)
			case e.Output != "PASS\n":
				fmt.Fprint(w, e.Output)
			}
		case "pass", "fail":
			r.ran[t] = true
			if e.Action == "fail" && t == whole {
				fmt.Fprint(w, strings.Join(said[t], ""))
			}
			delete(said, t)
			if e.Action == "fail" && e.Test == "" { // a crash: its tests end without a result
				for t, lines := range said {
					if t.pkg == e.Package && !strings.Contains(t.name, "/") {
						fmt.Fprint(w, strings.Join(lines, ""))
					}
				}
			}
		case "skip":
			if e.Test != "" {
				r.skipped[t] = reason(said[t])
			}
			delete(said, t)
		}
	}
	return lines.Err()
}

var (
	closes = regexp.MustCompile(`^(ok  |FAIL|\?   )\t`)
	// logged is a line that a test logged, with its place.
	logged = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)
)

// reason returns the last line that a skipped test logged.
func reason(said []string) string {
	for _, line := range slices.Backward(said) {
		if m := logged.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return "it does not say why"
}

// print lists what no command ran, by reason, and the closing lines.
func (r *report) print(w io.Writer) {
	byReason := map[string][]string{}
	for t, why := range r.skipped {
		if !r.ran[t] {
			byReason[why] = append(byReason[why], t.pkg+" "+t.name)
		}
	}
	fmt.Fprintf(w, "\nskipped tests, and why:\n")
	if len(byReason) == 0 {
		fmt.Fprintln(w, "  none")
	}
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		fmt.Fprintf(w, "  %s\n", why)
		for _, t := range slices.Sorted(slices.Values(byReason[why])) {
			fmt.Fprintf(w, "    %s\n", t)
		}
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(r.closing, "\n"))
}
