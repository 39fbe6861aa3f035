package commands

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/urfave/cli/v2"
)

// TestDocumentedCommands holds that the commands in the documents' shell blocks
// exist, with their flags.
func TestDocumentedCommands(t *testing.T) {
	root := testenv.Root()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shell := false
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				shell = line == "```sh"
				continue
			}
			line = strings.TrimPrefix(strings.Replace(line, "go run ./cmd/anomaly ", "anomaly ", 1), "bin/")
			if !shell || !strings.HasPrefix(line, "anomaly ") {
				continue
			}
			line, _, _ = strings.Cut(line, " #")
			n++
			app := newApp("dev", io.Discard, io.Discard)
			for _, c := range app.Commands {
				c.Action = func(*cli.Context) error { return nil }
			}
			args, err := flagsFirst(app, strings.Fields(line))
			if err == nil {
				err = app.RunContext(t.Context(), args)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), line, err)
			}
		}
	}
	if n < 20 {
		t.Errorf("got %d commands, want those of the README", n)
	}
}
