package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func calibrateCommand() *cli.Command {
	return &cli.Command{
		Name:      "calibrate",
		Usage:     "set a model's thresholds anew, without training",
		ArgsUsage: "model.onnx",
		Description: `The images come from --data, a data set's test images (a folder: all good), or
from --good and --anomalous, which name images as run takes them. They must not be
those that the network trained on: it knows them too well.

With --feedback, what people marked as false alarms of the model joins the good
images, and what they marked as misses the anomalous ones; an image that is marked
counts so once, wherever else it is. Marks are no fair sample: good images that were
rejected are among them, those that passed are not, so that shares of good images
come out too high. Rules that weigh both kinds, --f1 and --recall, need them most.

The threshold of scores is set by one of

  --false-reject R       rejects the share R of good images, as training does
  --threshold-rule max   the largest score of a good image
  --f1                   for the best F1 of good and anomalous images
  --recall R             the highest that finds the share R of the anomalous images
  --threshold T          T; needs no images

and if there is none of them, and nothing else to set, --f1 where there are
anomalous images, or else --false-reject 0.1. --f1 and --recall take the middle
between two neighbouring scores. The threshold of pixels follows it, unless it has
been set apart:

  --pixel-f1                 for the best F1 of pixels, of good images and those
                             with masks
  --pixel-false-positive R   the lowest that at most the share R of good images'
                             pixels is above
  --pixel-threshold T        T

at the model's resolution, masks brought to it by the nearest pixel. --review-band
is stored for run; a new threshold removes the old band. --min-area and --zones
score as they do in run, which must then be given them as well; zones with a
threshold of their own are left out.

It says what the thresholds before and after do to the images. One that rejects
more of the good ones than --false-reject asks for (that of training, where another
rule sets it; one image is always free) is refused unless --force is given. --dry-run
stores nothing.

The file, one of profile detector, is rewritten in place, or to --out: its
thresholds, the metadata that says the same, what they were set from and what was
measured (anomaly.calibration), and nothing else. A model that another
tool exported stays as it is: what is printed is the threshold to give run with it,
as --threshold. With --json, standard output has one object:

  {"model": "m.onnx", "stored": true, "rule": "recall", "threshold": 0.3,
   "pixel_threshold": 0.3, "review": "0.25:0.35", "recall": {…}, "f1": 0.97,
   "false_reject": {"above", "of", "share", "at_most", "at_least"},
   "pixel_f1": 0.6, "pixel_false_positive": 0.001,
   "before": {"threshold": 0.7, "false_reject": {…}, "recall": {…}, "f1": 0.1},
   "verdict": {…}}

stored is false with --dry-run. What there is nothing to measure on is null. at_most and at_least are bounds with
95 % confidence each (Clopper and Pearson).

` + verdictHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` of a data set with test images, or of good images"},
			goodFlag, anomalousFlag,
			&cli.Float64Flag{Name: "false-reject", Usage: "`SHARE` of good images that the threshold may reject", DefaultText: "0.1"},
			&cli.StringFlag{Name: "threshold-rule", Usage: "`RULE` of the threshold: rate (for --false-reject) or max (largest score of a good image)", DefaultText: "rate"},
			&cli.BoolFlag{Name: "f1", Usage: "threshold with the best F1", DisableDefaultText: true},
			&cli.Float64Flag{Name: "recall", Usage: "`SHARE` of anomalous images that the threshold finds", DefaultText: "none"},
			&cli.Float64Flag{Name: "threshold", Usage: "`SCORE` that is the threshold", DefaultText: "none"},
			&cli.BoolFlag{Name: "pixel-f1", Usage: "pixel threshold with the best F1", DisableDefaultText: true},
			&cli.Float64Flag{Name: "pixel-false-positive", Usage: "`SHARE` of good images' pixels above the pixel threshold", DefaultText: "none"},
			&cli.Float64Flag{Name: "pixel-threshold", Usage: "`RESIDUAL` that is the pixel threshold", DefaultText: "the threshold"},
			&cli.StringFlag{Name: "review-band", Usage: "`LOW:HIGH`, scores between which an image is to be looked at again, or none", DefaultText: "none"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` to write to", DefaultText: "the model itself"},
			&cli.BoolFlag{Name: "dry-run", Usage: "store nothing", DisableDefaultText: true},
			&cli.BoolFlag{Name: "force", Usage: "store a threshold that rejects more good images than asked for, too", DisableDefaultText: true},
			strictFlag, jsonFlag,
		}, slices.Concat(feedbackFlags, scoringFlags)...),
		Action: calibrateAction,
	}
}

// A rule says how a threshold is set.
type rule string

const (
	ruleKept        rule = "kept"
	ruleGiven       rule = judge.RuleGiven
	ruleFalseReject rule = judge.RuleFalseReject
	ruleMax         rule = judge.RuleMax
	ruleF1          rule = judge.RuleF1
	ruleRecall      rule = judge.RuleRecall
	rulePixels      rule = "false-positive"
)

// calibrateOptions are the arguments and flags of `anomaly calibrate`.
type calibrateOptions struct {
	images evalOptions // data, or good and anomalous
	out    string
	json   bool

	dryRun, force, strict bool

	feedback feedbackOptions

	rule      rule // "" is for the images to say
	target    float64
	pixelRule rule
	pixel     float64
	band      *anrt.Band // the zero Band is none, nil what becomes of the file's
	survey    surveyOptions
}

func calibrateAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("calibrate takes one model, got %q; --data or --good name images", c.Args().Slice())
	}
	if err := checkModel("calibrate", c.Args().First(), c.String("data"), c.String("good")); err != nil {
		return err
	}
	o := &calibrateOptions{
		images: evalOptions{data: c.String("data"), good: c.String("good"), anomalous: c.StringSlice("anomalous")},
		out:    c.String("out"), json: c.Bool("json"), pixelRule: ruleKept,
		dryRun: c.Bool("dry-run"), force: c.Bool("force"), strict: c.Bool("strict"),
	}
	if o.out == "" {
		o.out = c.Args().First()
	}
	given := func(flag string, r rule, into *rule, target *float64, least, most float64) error {
		if !c.IsSet(flag) {
			return nil
		}
		if *into != "" && *into != ruleKept {
			return usagef("--%s: there is another rule for the same threshold", flag)
		}
		*into = r
		if target != nil {
			if *target = c.Float64(flag); !(*target >= least && *target <= most) {
				return usagef("--%s: got %v, want a number from %v to %v", flag, *target, least, most)
			}
		}
		return nil
	}
	switch c.String("threshold-rule") {
	case "", string(calibrate.Rate):
	case string(calibrate.Max):
		o.rule = ruleMax
	default:
		return usagef("--threshold-rule: got %q, want %s or %s", c.String("threshold-rule"), calibrate.Rate, calibrate.Max)
	}
	const least, most = 1e-9, 1 - 1e-9 // shares
	if err := cmp.Or(
		given("false-reject", ruleFalseReject, &o.rule, &o.target, least, most),
		given("f1", ruleF1, &o.rule, nil, 0, 0),
		given("recall", ruleRecall, &o.rule, &o.target, least, 1),
		given("threshold", ruleGiven, &o.rule, &o.target, -math.MaxFloat32, math.MaxFloat32),
		given("pixel-f1", ruleF1, &o.pixelRule, nil, 0, 0),
		given("pixel-false-positive", rulePixels, &o.pixelRule, &o.pixel, 0, most),
		given("pixel-threshold", ruleGiven, &o.pixelRule, &o.pixel, -math.MaxFloat32, math.MaxFloat32),
	); err != nil {
		return err
	}
	var err error
	if o.band, err = parseBand(c); err != nil {
		return err
	}
	if o.rule == "" && (o.pixelRule != ruleKept || o.band != nil) {
		o.rule = ruleKept
	}
	if o.feedback, err = parseFeedback(c, c.Args().First()); err != nil {
		return err
	}
	hasImages := o.images.data != "" || o.images.good != ""
	switch {
	case o.images.data != "" && (o.images.good != "" || len(o.images.anomalous) > 0):
		return usagef("--data goes without --good and --anomalous")
	case o.images.good == "" && len(o.images.anomalous) > 0:
		return usagef("--anomalous needs --good")
	case !hasImages && o.feedback.dir != "":
		return usagef("--feedback goes with --data or --good: marks are no fair sample of good images")
	case !hasImages && (o.rule != ruleKept && o.rule != ruleGiven || o.pixelRule != ruleKept && o.pixelRule != ruleGiven):
		return usagef("calibrate needs images: --data, or --good")
	}
	if o.survey, err = parseScoring(c, c.Args().First()); err != nil {
		return err
	}
	o.survey.scoresOnly = true
	o.survey.detector.Threshold = new(float32)  // the old one may be what is wrong
	if z := o.survey.detector.Zones; z != nil { // their own thresholds do not depend on the one to be set
		for n := range z.Rules {
			z.Rules[n] = heatmap.ZoneRule{Ignore: true}
		}
	}
	return newConsole(c).calibrate(c.Context, o)
}

// calibrate is `anomaly calibrate`.
func (c *console) calibrate(ctx context.Context, o *calibrateOptions) error {
	b, err := regular.Read(o.survey.model)
	if err != nil {
		return err
	}
	m, err := onnxexport.Reopen(b)
	if d := foreign(o.survey.model); err != nil && d != nil {
		return c.calibrateForeign(ctx, o, d)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.survey.model, err)
	}
	if m.Metadata[onnx.KeyProfile] == onnxexport.Anomalib.String() {
		return fmt.Errorf("%s: got profile %v, whose scores tell where its threshold is: calibrate the file that it was exported from (or what anomaly export --profile %v makes of it), then export that", o.survey.model, onnxexport.Anomalib, onnxexport.Detector)
	}
	cal := &calibration{Model: o.out, Stored: !o.dryRun, Rule: o.rule, ours: true}
	if cal.was, cal.pixelWas, err = m.Thresholds(); err != nil {
		return fmt.Errorf("%s: %w", o.survey.model, err)
	}
	if cal.trained, err = trainedThreshold(m); err != nil {
		return fmt.Errorf("%s: %w", o.survey.model, err)
	}
	if err := atomicfile.Writable(o.out); err != nil {
		return err
	}
	if err := replaceable(o.out); err != nil {
		return err
	}
	release, err := atomicfile.Lock(o.out)
	if err != nil {
		return err
	}
	defer release()
	scored, err := c.score(ctx, o, m.Metadata[onnx.KeyDataHash])
	if err != nil {
		return err
	}
	threshold, err := cal.chooseThreshold(o, scored)
	if err != nil {
		return err
	}
	if err := reachable(threshold, m.Metadata[onnx.KeyMap], len(scored.Good)); err != nil {
		return fmt.Errorf("%s is left as it was: %w", o.out, err)
	}
	pixel, err := cal.choosePixelThreshold(o, scored, threshold)
	if err != nil {
		return err
	}
	cal.known = *evidence(m.Metadata, finite(threshold), &o.survey)
	if err := cal.harmless(o, threshold, scored); err != nil {
		return fmt.Errorf("%s is left as it was: %w", o.out, err)
	}
	if err := m.SetThresholds(threshold, pixel); err != nil {
		return err
	}
	if err := c.setReview(m.Metadata, o.band, cal.was, threshold); err != nil {
		return err
	}
	cal.Threshold, cal.PixelThreshold = finite(threshold), finite(pixel)
	if err := cal.measure(o, scored); err != nil {
		return err
	}
	if cal.Rule != ruleKept {
		if err := cal.known.Calibration.Store(m.Metadata); err != nil {
			return err
		}
	}
	if !o.dryRun {
		if err := c.writeModel(o.out, m); err != nil {
			return err
		}
	}
	if review, ok := m.Metadata[onnx.KeyReview]; ok {
		cal.Review = &review
	}
	return c.printCalibration(o, cal, scored)
}

// printCalibration prints what was measured.
func (c *console) printCalibration(o *calibrateOptions, cal *calibration, scored *judge.Scores) error {
	var err error
	if o.json {
		err = json.NewEncoder(c.out).Encode(cal)
	} else {
		err = cal.print(c.out, scored)
	}
	return cmp.Or(err, strictly(o.strict, cal.Appraisal))
}

// calibrateForeign finds the threshold for a model that has no room for it.
func (c *console) calibrateForeign(ctx context.Context, o *calibrateOptions, d *anrt.Description) error {
	if o.out != o.survey.model || o.pixelRule != ruleKept || o.band != nil || o.rule == ruleGiven {
		return usagef("%s was not exported by anomaly (%s): nothing can be stored in it, so that calibrate only finds the threshold to give run as --threshold; leave out --out, --threshold, --review-band and rules for pixels",
			o.survey.model, cmp.Or(d.Producer, "it does not say by what"))
	}
	cal := &calibration{Model: o.survey.model, Rule: o.rule, was: float32(math.NaN()), pixelWas: float32(math.NaN())}
	if d.Threshold != nil {
		cal.was = *d.Threshold
	}
	scored, err := c.score(ctx, o, "")
	if err != nil {
		return err
	}
	threshold, err := cal.chooseThreshold(o, scored)
	if err != nil {
		return err
	}
	cal.Threshold = finite(threshold)
	if err := cal.measure(o, scored); err != nil {
		return err
	}
	return c.printCalibration(o, cal, scored)
}

// score scores the images; hash is that of the images the network trained on.
func (c *console) score(ctx context.Context, o *calibrateOptions, hash string) (*judge.Scores, error) {
	s := &judge.Scores{}
	samples, err := o.samples()
	if err != nil || len(samples) == 0 {
		return s, err
	}
	defer c.noteImages(o.survey.decoding)
	good := slices.DeleteFunc(slices.Clone(samples), func(s dataset.Sample) bool { return s.Anomalous })
	if of, err := dataset.Fingerprint(good); err != nil {
		return nil, err
	} else if of == hash {
		c.notef("warning: the network trained on these images: it scores them lower than others, and the threshold comes out too low")
	}
	if o.feedback.dir != "" {
		m, err := c.marked(ctx, o.feedback, o.survey.decoding)
		if err != nil {
			return nil, err
		}
		others, err := m.others(samples)
		if err != nil {
			return nil, err
		}
		c.notef("feedback on %s: %s and %s join the %s, of which %d were marked and count once",
			o.feedback.model, plural(len(m.falseAlarms), "false alarm"), plural(len(m.misses), "missed image"), plural(len(samples), "image"), len(samples)-len(others))
		samples = slices.Concat(others, m.falseAlarms, m.misses)
	}
	spell, err := spelling(nil)
	if err != nil {
		return nil, err
	}
	wantPixels := o.pixelRule == ruleF1 || o.pixelRule == rulePixels
	_, err = c.survey(ctx, samples, spell, &o.survey, func(f *judge.Finding) error {
		if f.Err != nil {
			return nil
		}
		s.Add(f)
		if !wantPixels {
			return nil
		}
		return s.AddPixels(f, o.survey.detector.Zones)
	})
	if err != nil {
		return nil, fmt.Errorf("%s is left as it was: %w", o.out, err)
	}
	return s, nil
}

// samples returns the images to score, none where none are named.
func (o *calibrateOptions) samples() ([]dataset.Sample, error) {
	switch i := &o.images; {
	case i.data == "" && i.good == "":
		return nil, nil
	case i.data != "":
		set, err := dataset.Open(i.data, &dataset.Options{Decoding: o.survey.decoding})
		if err != nil {
			return nil, err
		}
		if len(set.Test) > 0 {
			return set.Test, nil
		}
		return set.Train, nil
	case len(i.anomalous) > 0:
		i.survey.decoding = o.survey.decoding
		return i.samples()
	default:
		return (&dataset.Options{Decoding: o.survey.decoding}).Find(i.good)
	}
}
