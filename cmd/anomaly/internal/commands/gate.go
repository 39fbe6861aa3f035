package commands

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/urfave/cli/v2"
)

// gateFlags are flags of the commands that put other models in use.
var gateFlags = []cli.Flag{
	&cli.StringFlag{Name: "gate", Usage: "`DIR` of labelled images (good/, and others of any names); a new model that does worse on them is refused"},
	&cli.Float64Flag{Name: "gate-false-reject", Usage: "`SHARE` of the good images of --gate that a new model may reject", DefaultText: "no more than the model in use"},
	&cli.Float64Flag{Name: "gate-recall", Usage: "`SHARE` of the anomalous images of --gate that it must find", DefaultText: "no fewer than the model in use"},
}

// gateOptions say what a new model must do; the zero value asks for nothing.
type gateOptions struct {
	dir                 string
	falseReject, recall *float64
}

// parseGate reads gateFlags.
func parseGate(c *cli.Context) (gateOptions, error) {
	o := gateOptions{c.String("gate"), given(c, "gate-false-reject"), given(c, "gate-recall")}
	for _, name := range []string{"gate-false-reject", "gate-recall"} {
		switch share := c.Float64(name); {
		case !c.IsSet(name):
		case o.dir == "":
			return o, usagef("--%s needs --gate", name)
		case !(share >= 0 && share <= 1):
			return o, usagef("--%s: got %v, want 0 to 1", name, share)
		}
	}
	return o, nil
}

// gateHelp says what --gate refuses, in the description of each command that has it.
const gateHelp = `With --gate, DIR is a golden set: a folder good/ and others of any names, with
anomalous images; a data set's test images (test/good, test/KIND); or good images. A new model is refused if it cannot compute one of them
that the model in use can, if it misses more of the anomalous images, if more of
its verdicts are wrong, or if its AUROC is lower by more than 0.01 (where there are
images of both classes). --gate-false-reject and --gate-recall are limits that hold
whatever the model in use does, also where there is none.`

// openGate opens a gate that says what it measures.
func (c *console) openGate(o *gateOptions, decoding *dataset.Decoding) (*judge.Gate, error) {
	g, err := judge.OpenGate(o.dir, decoding)
	if err != nil {
		return nil, fmt.Errorf("--gate: %w", err)
	}
	g.MostFalseReject, g.LeastRecall = o.falseReject, o.recall
	g.Measured = func(current, candidate *judge.GoldenResult) {
		var b strings.Builder
		printGolden(&b, o.dir, current, candidate)
		c.notef("%s", strings.TrimSuffix(b.String(), "\n"))
		c.noteFresh(decoding)
	}
	return g, nil
}

// printGolden writes the comparison on a golden set, or the candidate's figures alone.
func printGolden(w io.Writer, dir string, current, candidate *judge.GoldenResult) error {
	fmt.Fprintf(w, "golden set %s: %d good and %d anomalous images\n", printable(dir), candidate.Good, candidate.Anomalous)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(title string, figure func(*judge.GoldenResult) string) {
		fmt.Fprintf(t, "%s\t", title)
		if current != nil {
			fmt.Fprintf(t, "%s\t", figure(current))
		}
		fmt.Fprintf(t, "%s\t\n", figure(candidate))
	}
	count := func(n int, r *judge.GoldenResult) string {
		if !r.Judges {
			return "-"
		}
		return fmt.Sprint(n)
	}
	row("", func(r *judge.GoldenResult) string {
		if r == candidate {
			return "new"
		}
		return "in use"
	})
	row("false rejects", func(r *judge.GoldenResult) string { return count(r.FalseRejects, r) })
	row("missed", func(r *judge.GoldenResult) string { return count(r.Missed, r) })
	row("failed", func(r *judge.GoldenResult) string { return fmt.Sprint(r.Failed) })
	row("AUROC", func(r *judge.GoldenResult) string {
		if math.IsNaN(r.AUROC) {
			return "-"
		}
		return fmt.Sprintf("%.4f", r.AUROC)
	})
	return t.Flush()
}
