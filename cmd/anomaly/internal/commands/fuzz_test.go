package commands

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// FuzzFlags parses command lines, an argument a line, without acting on them:
// flagsFirst finds nothing to move in its own result, and what it takes for the
// arguments behind the flags is what the command gets.
func FuzzFlags(f *testing.F) {
	for _, line := range []string{
		"", "help", "run --help", "--version", "nosuch", "run model.onnx images --provider cuda,cpu --json",
		"run --threshold=-1 model.onnx -- -odd.png", "run m i --out o --save map,mask --batch 3 --min-area 2 --threads 1",
		"train --data good --out m.onnx --size 64 --lr 1e-3 --resume", "eval m --good g --anomalous a=b --anomalous c=d --limit 3",
		"inspect -json m", "demo -o x --seed 2", "doctor --json", "run m i --provider cuda,cpu --provider-option cuda.device_id=1 --provider-option use_tf32=1", "run m i --batch", "run m i - --json -", "run --out -- m i",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		args := append([]string{"anomaly"}, strings.Split(lines, "\n")...)
		app := newApp("dev", io.Discard, io.Discard)
		var rest []string
		acted := false
		for _, command := range app.Commands {
			command.Action = func(c *cli.Context) error {
				acted, rest = true, c.Args().Slice()
				parseEngine(c)
				parseSurvey(c, "model.onnx")
				return nil
			}
		}
		moved, err := flagsFirst(app, args)
		if err != nil {
			return
		}
		again, err := flagsFirst(app, moved)
		if err != nil || !slices.Equal(again, moved) {
			t.Fatalf("%q became %q, and that %q, %v", args, moved, again, err)
		}
		if err := app.RunContext(context.Background(), moved); err != nil || !acted {
			return
		}
		if tail := moved[len(moved)-len(rest):]; !slices.Equal(tail, rest) {
			t.Errorf("%q became %q: the command got %q", args, moved, rest)
		}
	})
}
