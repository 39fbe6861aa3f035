package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
)

// compare is `anomaly eval --compare`; o's model is a.
func (c *console) compare(ctx context.Context, o *evalOptions, b string) error {
	samples, err := o.samples()
	if err != nil {
		return err
	}
	spell, err := spelling(nil)
	if err != nil {
		return err
	}
	models := [2]judge.Judged{{Model: o.survey.model}, {Model: b}}
	var failed error
	said := map[string]bool{} // each image once, unless the models fail in different ways
	for i := range models {
		err := c.judgeWith(ctx, samples, &models[i], o, &judge.Options{Path: spell}, said)
		if errors.Is(err, errImages) {
			failed = cmp.Or(failed, fmt.Errorf("%s: %w", models[i].Model, err))
		} else if err != nil {
			return err
		}
	}
	result, err := judge.Compare(ctx, models[0], models[1], o.resolution, o.seed)
	if err != nil {
		return errors.Join(err, failed)
	}
	if o.json {
		err = json.NewEncoder(c.out).Encode(result)
	} else {
		err = printComparison(c.out, result)
	}
	return errors.Join(err, failed)
}

// judgeWith fills in what a model makes of the samples, and says what fails unless
// that was said.
func (c *console) judgeWith(ctx context.Context, samples []dataset.Sample, m *judge.Judged, o *evalOptions, look *judge.Options, said map[string]bool) error {
	options := o.survey.detector
	det, err := c.openDetector(ctx, m.Model, &options)
	if err != nil {
		return err
	}
	defer judge.Leave(ctx, func() { det.Close() })
	c.startBar(len(samples), "images")
	defer c.endBar()
	failed := 0
	err = judge.Run(ctx, det, samples, look, func(f *judge.Finding) error {
		c.stepBar()
		m.Findings = append(m.Findings, f)
		if f.Err == nil {
			return nil
		}
		failed++
		if line := failure(f); !said[line] {
			said[line] = true
			c.notef("%s", line)
		}
		return nil
	})
	c.noteUnmeasured(m.Findings)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d %w", failed, len(samples), errImages)
	}
	return err
}

// printComparison prints the metrics side by side and the images whose verdict changed.
func printComparison(w io.Writer, r *judge.Comparison) error {
	fmt.Fprintf(w, "a  %s\nb  %s\n%d good and %d anomalous images\n\n", printable(r.A.Model), printable(r.B.Model), r.A.N.Good, r.A.N.Anomalous)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\ta\tb\tb - a\t95 % interval\t\t")
	titles := map[string]string{"auroc": "AUROC", "ap": "AP", "f1max": "F1-max", "aupro30": "AU-PRO .3", "aupro05": "AU-PRO .05"}
	rows := func(of string, names []string, a, b []float64, d map[string]judge.Interval) {
		for i, name := range names {
			clear := "" // a difference that chance would seldom give
			if d[name].Low > 0 || d[name].High < 0 {
				clear = "*"
			}
			fmt.Fprintf(t, "%s %s\t%.4f\t%.4f\t%+.4f\t%+.4f to %+.4f\t%s\t\n", of, titles[name], a[i], b[i], d[name].Value, d[name].Low, d[name].High, clear)
		}
	}
	rows("images", judge.ImageNames(), r.A.Image.List(), r.B.Image.List(), r.Difference.Image)
	if r.Difference.Pixel != nil {
		rows("pixels", judge.PixelNames(), r.A.Pixel.List(), r.B.Pixel.List(), r.Difference.Pixel)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	changed := slices.IndexFunc(r.Images, func(i judge.ComparedImage) bool { return !i.Changed })
	if changed < 0 {
		changed = len(r.Images)
	}
	if len(r.Images) > 0 && (r.Images[0].A.Anomalous == nil || r.Images[0].B.Anomalous == nil) {
		_, err := fmt.Fprintln(w, "\nNo verdicts to compare: not both models have a threshold.")
		return err
	}
	fmt.Fprintf(w, "\nThe verdict changed on %d of %d images.\n", changed, len(r.Images))
	if changed == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%-9s  %10s  %-9s  %10s  %-14s  %s\n", "a", "score", "b", "score", "kind", "path")
	for _, i := range r.Images[:changed] {
		if _, err := fmt.Fprintf(w, "%-9s  %10s  %-9s  %10s  %-14s  %s\n", label(i.A.Anomalous), page.Short(i.A.Score), label(i.B.Anomalous), page.Short(i.B.Score), printable(i.Kind), printable(i.Path)); err != nil {
			return err
		}
	}
	return nil
}
