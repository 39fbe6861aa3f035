package commands

import (
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/urfave/cli/v2"
)

// TestDockerfiles holds that what the images run exists, with its flags.
func TestDockerfiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Root(), "docker", "*.Dockerfile"))
	must(t, err)
	if len(files) != 3 {
		t.Errorf("got %v, want one for each of go, cpu and cuda", files)
	}
	for _, file := range files {
		var commands [][]string
		for line := range strings.Lines(string(mustRead(t, file))) {
			instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case instruction == "CMD":
				var args []string
				must(t, json.Unmarshal([]byte(rest), &args))
				commands = append(commands, args)
			case instruction == "RUN" && strings.HasPrefix(rest, "anomaly "):
				rest, _, _ = strings.Cut(rest, " &&")
				commands = append(commands, strings.Fields(rest)[1:])
			}
		}
		if len(commands) == 0 {
			t.Errorf("%s: got no commands", file)
		}
		for _, args := range commands {
			checkCommand(t, filepath.Base(file), args)
		}
	}
}

// TestService holds the same of what the service runs, with no flags and with those that its settings suggest.
func TestService(t *testing.T) {
	unit := mustRead(t, filepath.Join(testenv.Root(), "packaging", "anomaly.service"))
	settings := mustRead(t, filepath.Join(testenv.Root(), "packaging", "default"))
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/anomaly (.*)$`).FindSubmatch(unit)
	if command == nil {
		t.Fatal("got no ExecStart of /usr/bin/anomaly")
	}
	flags := regexp.MustCompile(`(?m)^#?ANOMALY_SERVE_FLAGS=(.*)$`).FindAllSubmatch(settings, -1)
	if len(flags) != 2 {
		t.Fatalf("got %q, want what is set, and a suggestion", flags)
	}
	for _, f := range flags {
		checkCommand(t, "anomaly.service", strings.Fields(strings.Replace(string(command[1]), "$ANOMALY_SERVE_FLAGS", string(f[1]), 1)))
	}
}

// checkCommand checks arguments of anomaly, and what serve makes of its own, without running them.
func checkCommand(t *testing.T, what string, args []string) {
	t.Helper()
	app := newApp("dev", io.Discard, io.Discard)
	for _, c := range app.Commands {
		c.Action = func(*cli.Context) error { return nil }
	}
	app.Command("serve").Action = func(c *cli.Context) error {
		_, err := parseServe(c)
		return err
	}
	args, err := flagsFirst(app, append([]string{"anomaly"}, args...))
	if err == nil {
		err = app.RunContext(t.Context(), args)
	}
	if err != nil {
		t.Errorf("%s: %q: %v", what, args, err)
	}
}
