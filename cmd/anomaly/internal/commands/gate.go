package commands

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/metrics"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

var gateFlag = &cli.StringFlag{Name: "gate", Usage: "`DIR` of labelled images, in MVTec AD's or VisA's layout; a new model that does worse on them is refused"}

// gateHelp says what --gate refuses, in the description of each command that has it.
const gateHelp = `With --gate, DIR is a golden set: a data set's test images (test/good, test/KIND),
or a folder of good images. A new model is refused if it cannot compute one of them
that the model in use can, if it misses more of the anomalous images, if more of
its verdicts are wrong, or if its AUROC is lower by more than 0.01 (where there are
images of both classes).`

// A gate compares candidates with the model in use on a golden set.
type gate struct {
	dir     string
	samples []dataset.Sample
	notef   func(format string, args ...any)

	current goldenResult // of the model that was in use last
	hash    string       // of that model; "" for none
}

// openGate reads what is in a golden set.
func (c *console) openGate(dir string, maxPixels int) (*gate, error) {
	set, err := dataset.Open(dir, nil)
	if err != nil {
		return nil, fmt.Errorf("--gate: %w", err)
	}
	g := &gate{dir: dir, samples: set.Test, notef: c.notef}
	if len(g.samples) == 0 {
		g.samples = set.Train
	}
	limit(g.samples, maxPixels)
	return g, nil
}

// A goldenResult is what a model makes of a golden set.
type goldenResult struct {
	good, bad            int
	falseRejects, missed int
	judges               bool // whether there are verdicts
	failed               int
	auroc                float64 // NaN where there are no images of both classes
	err                  error   // of the first image that failed
}

func (r *goldenResult) wrong() int { return r.falseRejects + r.missed }

// measure has a model judge the golden set.
func (g *gate) measure(ctx context.Context, det *anrt.Detector) (goldenResult, error) {
	r := goldenResult{judges: det.Info().Judges}
	var scores []float64
	var anomalous []bool
	err := detect(ctx, det, g.samples, nil, func(o *outcome) error {
		switch {
		case o.sample.Anomalous:
			r.bad++
		default:
			r.good++
		}
		switch {
		case o.err != nil:
			if r.failed++; r.err == nil {
				r.err = fmt.Errorf("%s: %w", o.sample.Path, o.err)
			}
			return nil
		case !r.judges:
		case o.sample.Anomalous && !o.result.Anomalous:
			r.missed++
		case !o.sample.Anomalous && o.result.Anomalous:
			r.falseRejects++
		}
		scores, anomalous = append(scores, float64(o.result.Score)), append(anomalous, o.sample.Anomalous)
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.auroc, err = metrics.AUROC(scores, anomalous); err != nil {
		r.auroc = math.NaN() // one class only: nothing else can be wrong with them
	}
	return r, nil
}

// aurocTol is how much lower an AUROC may be: less is a few pairs of images.
const aurocTol = .01

// worse returns why a candidate does worse than the model in use, "" if it does not.
func (r *goldenResult) worse(candidate *goldenResult) string {
	switch n := candidate; {
	case n.failed > r.failed:
		return fmt.Sprintf("it cannot compute %s (%v), the model in use %d", plural(n.failed, "image"), n.err, r.failed)
	case r.judges && !n.judges:
		return "it does not say what is anomalous (it has no threshold), the model in use does"
	case n.missed > r.missed && r.judges:
		return fmt.Sprintf("it misses %d of %d anomalous images, the model in use %d", n.missed, n.bad, r.missed)
	case n.wrong() > r.wrong() && r.judges:
		return fmt.Sprintf("%d of %d verdicts are wrong, of the model in use %d", n.wrong(), n.good+n.bad, r.wrong())
	case n.auroc < r.auroc-aurocTol: // false for NaN
		return fmt.Sprintf("its AUROC is %.4f, of the model in use %.4f", n.auroc, r.auroc)
	}
	return ""
}

// check is the Gate of a Watch. Without a current model it only measures.
func (g *gate) check(ctx context.Context, current, candidate *anrt.Detector) error {
	if current != nil {
		if hash := current.Info().Hash; hash != g.hash {
			r, err := g.measure(ctx, current)
			if err != nil {
				return err
			}
			g.current, g.hash = r, hash
		}
	}
	r, err := g.measure(ctx, candidate)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := g.print(&b, current != nil, &r); err != nil {
		return err
	}
	g.notef("%s", strings.TrimSuffix(b.String(), "\n"))
	if current == nil {
		return nil
	}
	if why := g.current.worse(&r); why != "" {
		return fmt.Errorf("refused on the golden set %s: %s", g.dir, why)
	}
	return nil
}

// print writes the comparison, or the candidate's figures alone.
func (g *gate) print(w io.Writer, both bool, candidate *goldenResult) error {
	fmt.Fprintf(w, "golden set %s: %d good and %d anomalous images\n", printable(g.dir), candidate.good, candidate.bad)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(title string, figure func(*goldenResult) string) {
		fmt.Fprintf(t, "%s\t", title)
		if both {
			fmt.Fprintf(t, "%s\t", figure(&g.current))
		}
		fmt.Fprintf(t, "%s\t\n", figure(candidate))
	}
	count := func(n int, r *goldenResult) string {
		if !r.judges {
			return "-"
		}
		return fmt.Sprint(n)
	}
	row("", func(r *goldenResult) string {
		if r == candidate {
			return "new"
		}
		return "in use"
	})
	row("false rejects", func(r *goldenResult) string { return count(r.falseRejects, r) })
	row("missed", func(r *goldenResult) string { return count(r.missed, r) })
	row("failed", func(r *goldenResult) string { return fmt.Sprint(r.failed) })
	row("AUROC", func(r *goldenResult) string {
		if math.IsNaN(r.auroc) {
			return "-"
		}
		return fmt.Sprintf("%.4f", r.auroc)
	})
	return t.Flush()
}
