package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/urfave/cli/v2"
)

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "measure a model on labelled images",
		ArgsUsage: "model.onnx [other.onnx with --compare]",
		Description: `Either --data names a data set with test images (MVTec AD's, VisA's or MNIST's
layout), or --good and --anomalous name images as run takes them.

It says what the verdicts at the model's threshold come to: which images are
missed, and which good ones rejected, with bounds of 95 % confidence. Metrics are
of raw scores and residuals, whatever the threshold: AUROC, average
precision and the best F1, of images and of pixels, and AU-PRO up to a
false-positive rate of 0.3 and of 0.05. An AUROC whose interval holds 0.5 may be
chance; an F1 is to be held against that of calling every image anomalous. Pixels are measured where there are
masks, over good images and those with a mask, at the masks' own size or at
--resolution: maps are resized bilinearly, masks to the nearest pixel. A kind is
measured against all good images.

With --out, DIR gets what run writes, and the report the curves (ROC, precision
and recall, PRO), the scores by kind, a confusion matrix that follows the
threshold, and the worst misses and false alarms first.

With --json, standard output has one object:

  {"image": {"auroc", "ap", "f1max", "auroc_low", "auroc_high", "f1_all"},
   "pixel": {"auroc", "ap", "f1max", "aupro30", "aupro05"},
   "threshold": 0.7,
   "at_threshold": {"false_reject": {"above", "of", "share", "at_most", "at_least"},
                    "recall": {…}, "precision": 0.9, "f1": 0.8},
   "kinds": {NAME: {"image": {…}, "pixel": {…}, "at_threshold": {…}, "n": 20}, …},
   "n": {"good": 20, "anomalous": 63}, "resolution": 256}

pixel is null without masks, resolution is null for the masks' own, at_threshold
where the model gives no verdicts, precision where nothing is above. f1_all is the
F1 of calling every image anomalous. Images that could
not be read do not count: "failed" has a {"path", "error"} of each.

` + verdictHelp + `

--perturb measures again with the images brighter, darker, blurred, noisy and
shifted, at the model's resolution, and says what that costs. The object gets

  "perturb": {"threshold": 0.7, "results": [{"kind": "blur", "strength": 1,
     "image": {…}, "pixel": {…}, "false_rejects": 0.05, "recall": 0.9}, …]}

of which the first result, "none", is without perturbation. false_rejects and
recall, the shares of good and of anomalous images above the model's threshold,
are null without one.

--compare takes two models, a and b, and the images that both can judge. It
prints the metrics of both, the difference b - a with its 95 % interval, from
resampling the images, good and anomalous ones apart, the same for both models
(scores of pixels in bins for that), and the images whose verdict differs. With
--json:

  {"a": {"model": PATH, "threshold": 0.7, …as above…}, "b": {…},
   "difference": {"image": {"auroc": {"value": 0.01, "low": -0.01, "high": 0.04},
                            …}, "pixel": {…}},
   "images": [{"path", "kind", "changed": true, "a": {"score", "anomalous"},
               "b": {…}}, …]}

with the images whose verdict changed first, and of those the ones that became
wrong.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` of a data set with test images"},
			goodFlag, anomalousFlag,
			&cli.IntFlag{Name: "resolution", Usage: "`PIXELS` on each side at which pixels are compared", DefaultText: "the masks' size"},
			&cli.IntFlag{Name: "limit", Usage: "measure `N` images of each kind, evenly spaced, and N good ones", DefaultText: "all"},
			&cli.BoolFlag{Name: "compare", Usage: "compare two models", DisableDefaultText: true},
			&cli.BoolFlag{Name: "perturb", Usage: "measure what perturbations of the images cost", DisableDefaultText: true},
			&cli.Uint64Flag{Name: "seed", Usage: "`N` that --perturb's noise and --compare's resampling depend on", Value: 1},
			strictFlag, jsonFlag,
		}, surveyFlags...),
		Action: evalAction,
	}
}

func evalAction(c *cli.Context) error {
	switch compare := c.Bool("compare"); {
	case !compare && c.NArg() != 1:
		return usagef("eval takes one model, got %q; --data, or --good and --anomalous, name images", c.Args().Slice())
	case compare && c.NArg() != 2:
		return usagef("eval --compare takes two models, got %q", c.Args().Slice())
	case compare && (c.Bool("perturb") || c.IsSet("out") || c.Bool("strict")):
		return usagef("--compare goes without --perturb, --out and --strict")
	}
	for _, model := range c.Args().Slice() {
		if err := checkModel("eval", model, c.String("data"), c.String("good")); err != nil {
			return err
		}
	}
	o := &evalOptions{
		data: c.String("data"), good: c.String("good"), anomalous: c.StringSlice("anomalous"),
		resolution: c.Int("resolution"), limit: c.Int("limit"), json: c.Bool("json"),
		perturb: c.Bool("perturb"), strict: c.Bool("strict"), seed: c.Uint64("seed"),
	}
	switch {
	case o.data == "" && (o.good == "" || len(o.anomalous) == 0):
		return usagef("eval needs --data, or --good and --anomalous")
	case o.data != "" && (o.good != "" || len(o.anomalous) > 0):
		return usagef("--data goes without --good and --anomalous")
	case c.IsSet("resolution") && (o.resolution < 1 || o.resolution > 1<<14):
		return usagef("--resolution: got %d, want 1 to %d", o.resolution, 1<<14)
	case c.IsSet("limit") && o.limit < 1:
		return usagef("--limit: got %d, want 1 or more", o.limit)
	}
	var err error
	if o.survey, err = parseSurvey(c, c.Args().First()); err != nil {
		return err
	}
	if c.Bool("compare") {
		return newConsole(c).compare(c.Context, o, c.Args().Get(1))
	}
	return newConsole(c).eval(c.Context, o)
}

// evalOptions are the arguments and flags of `anomaly eval`.
type evalOptions struct {
	data, good string   // one of them
	anomalous  []string // beside good: NAME=PATH
	resolution int      // 0 is the masks'
	limit      int      // 0 is all
	json       bool
	perturb    bool
	strict     bool
	seed       uint64 // of perturb, and of resampling when models are compared
	survey     surveyOptions
}

// eval is `anomaly eval`.
func (c *console) eval(ctx context.Context, o *evalOptions) error {
	samples, err := o.samples()
	if err != nil {
		return err
	}
	defer c.noteImages(o.survey.decoding)
	hasMasks := slices.ContainsFunc(samples, func(s dataset.Sample) bool { return s.HasMask() })
	spell, err := spelling(nil)
	if err != nil {
		return err
	}
	var findings []*judge.Finding
	report, failed := c.survey(ctx, samples, spell, &o.survey, func(f *judge.Finding) error {
		kept := *f
		kept.Image, kept.Result.Reconstruction = nil, nil // of all images they would be too much
		if m := kept.Result.Map; !hasMasks {
			kept.Result.Map = nil
		} else if m != nil && o.resolution > 0 && m.Height*m.Width > o.resolution*o.resolution {
			kept.Result.Map = m.Resize(o.resolution, o.resolution) // as it will be compared: those of large images are large
		}
		findings = append(findings, &kept)
		return nil
	})
	if failed != nil && !errors.Is(failed, errImages) {
		return failed
	}
	c.noteUnmeasured(findings)
	e, err := judge.Evaluate(ctx, findings, o.resolution)
	if err != nil {
		return errors.Join(err, failed)
	}
	report.Evidence.Evaluation = e
	e.Appraisal = judge.Appraise(report.Evidence)
	if o.survey.dir != "" { // survey's report has no truth and no figures
		report.Appraisal = e.Appraisal
		report.Evaluate(e)
		if err := report.Write(o.survey.dir); err != nil {
			return errors.Join(err, failed)
		}
	}
	if o.perturb {
		if e.Perturb, err = c.perturb(ctx, samples, o); err != nil {
			return errors.Join(err, failed)
		}
	}
	if o.json {
		err = json.NewEncoder(c.out).Encode(e)
	} else if err = printEvaluation(c.out, e); err == nil && o.perturb {
		err = printPerturbations(c.out, e.Perturb)
	}
	if err == nil && failed == nil {
		return strictly(o.strict, e.Appraisal)
	}
	return errors.Join(err, failed)
}

// perturb measures the model on perturbed images; which images fail was said before.
func (c *console) perturb(ctx context.Context, samples []dataset.Sample, o *evalOptions) (*judge.Perturbations, error) {
	options := o.survey.detector
	options.Reconstruction = false
	det, err := c.openDetector(ctx, o.survey.model, &options)
	if err != nil {
		return nil, err
	}
	defer judge.Leave(ctx, func() { det.Close() })
	defer c.endBar()
	return judge.Perturb(ctx, det, samples, &judge.PerturbOptions{Resolution: o.resolution, Seed: o.seed, Progress: func(done, of int) {
		if done == 1 {
			c.startBar(of, "images")
		}
		c.stepBar()
	}})
}

// noteUnmeasured says that pixels are not measured though there are masks.
func (c *console) noteUnmeasured(findings []*judge.Finding) {
	if slices.ContainsFunc(findings, func(f *judge.Finding) bool { return f.Err == nil && f.Sample.HasMask() && f.Result.Map == nil }) {
		c.notef("the model gives no maps: pixels are not measured")
	}
}

// samples returns the images to measure on, the good ones first and those of
// each kind together.
func (o *evalOptions) samples() ([]dataset.Sample, error) {
	kinds := map[string][]dataset.Sample{}
	if o.data != "" {
		set, err := dataset.Open(o.data, &dataset.Options{Decoding: o.survey.decoding})
		if err != nil {
			return nil, err
		}
		for _, s := range set.Test {
			kinds[s.Kind] = append(kinds[s.Kind], s)
		}
	} else {
		paths := map[string][]string{dataset.Good: {o.good}}
		for _, arg := range o.anomalous {
			kind, path, _ := strings.Cut(arg, "=")
			if kind == "" || kind == dataset.Good || path == "" {
				return nil, usagef("--anomalous: got %q, want NAME=PATH, with a name other than %s", arg, dataset.Good)
			}
			paths[kind] = append(paths[kind], path)
		}
		for kind, paths := range paths {
			found, err := (&dataset.Options{Decoding: o.survey.decoding}).Find(paths...)
			if err != nil {
				return nil, err
			}
			for _, s := range found {
				s.Kind, s.Anomalous = kind, kind != dataset.Good
				s.Name = kind + "/" + s.Name // unlike those of other kinds
				kinds[kind] = append(kinds[kind], s)
			}
		}
	}
	samples := spaced(kinds[dataset.Good], o.limit)
	good := len(samples)
	delete(kinds, dataset.Good)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		samples = append(samples, spaced(kinds[kind], o.limit)...)
	}
	if good == 0 || good == len(samples) {
		return nil, fmt.Errorf("got %d good and %d anomalous images to measure on: %w", good, len(samples)-good, metrics.ErrOneClass)
	}
	return samples, nil
}

// spaced returns limit of all samples, evenly spaced; 0 is no limit.
func spaced(all []dataset.Sample, limit int) []dataset.Sample {
	if limit == 0 || len(all) <= limit {
		return all
	}
	some := make([]dataset.Sample, limit)
	for i := range some {
		some[i] = all[i*len(all)/limit]
	}
	return some
}

// printEvaluation prints for people how good the model is, what its verdicts do, and
// the metrics.
func printEvaluation(w io.Writer, e *judge.Evaluation) error {
	if err := printAppraisal(w, e.Appraisal); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printDecided(w, e); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	against := fmt.Sprintf("against %d good images", e.N.Good)
	if e.Pixel == nil {
		fmt.Fprintln(t, "any threshold:\timages\tAUROC\tAP\tF1-max\t")
	} else {
		fmt.Fprintln(t, "\t\t\t\t\tpixels:\t\t\t\t\t")
		fmt.Fprintln(t, "any threshold:\timages\tAUROC\tAP\tF1-max\tAUROC\tAP\tF1-max\tAU-PRO .3\tAU-PRO .05\t")
		if e.Resolution == nil {
			against += "; pixels at the masks' size"
		} else {
			against += fmt.Sprintf("; pixels at %[1]dx%[1]d", *e.Resolution)
		}
	}
	printRows(t, page.MetricsTable(e, 4))
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s; AUROC of all %.4f to %.4f with 95 %% confidence; calling every image anomalous has an F1 of %.4f\n",
		against, e.Image.AUROCLow, e.Image.AUROCHigh, e.Image.F1OfAll)
	return err
}

// printRows prints rows of figures into a table.
func printRows(w io.Writer, rows []page.TableRow) {
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%s\t\n", r.Name, r.N, strings.Join(r.Figures, "\t"))
	}
}

// printDecided prints what the verdicts do, nothing where there are none.
func printDecided(w io.Writer, e *judge.Evaluation) error {
	if e.Decided == nil {
		return nil
	}
	head := "by its own label:"
	if e.Threshold != nil {
		head = fmt.Sprintf("threshold %s:", page.Short(*e.Threshold))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\timages\tmissed\tfound\trecall\tat least\tprecision\tF1\t\n", head)
	printRows(t, page.DecidedTable(e, 4))
	if err := t.Flush(); err != nil {
		return err
	}
	r := e.Decided.FalseReject
	_, err := fmt.Fprintf(w, "rejects %d of %d good images (%.4f; with 95 %% confidence at most %.4f)\n\n", r.Above, r.Of, r.Share, r.AtMost)
	return err
}
