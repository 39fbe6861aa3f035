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

var gateFlag = &cli.StringFlag{Name: "gate", Usage: "`DIR` of labelled images, in MVTec AD's or VisA's layout; a new model that does worse on them is refused"}

// gateHelp says what --gate refuses, in the description of each command that has it.
const gateHelp = `With --gate, DIR is a golden set: a data set's test images (test/good, test/KIND),
or a folder of good images. A new model is refused if it cannot compute one of them
that the model in use can, if it misses more of the anomalous images, if more of
its verdicts are wrong, or if its AUROC is lower by more than 0.01 (where there are
images of both classes).`

// openGate opens a gate that says what it measures.
func (c *console) openGate(dir string, decoding *dataset.Decoding) (*judge.Gate, error) {
	g, err := judge.OpenGate(dir, decoding)
	if err != nil {
		return nil, fmt.Errorf("--gate: %w", err)
	}
	g.Measured = func(current, candidate *judge.GoldenResult) {
		var b strings.Builder
		printGolden(&b, dir, current, candidate)
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
