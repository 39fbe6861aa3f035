package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

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

The threshold of scores is set by one of

  --false-reject R       rejects the share R of good images, as training does
  --threshold-rule max   the largest score of a good image
  --f1                   for the best F1 of good and anomalous images
  --recall R             the highest that finds the share R of the anomalous images
  --threshold T          T; needs no images

and if there is none of them, and nothing else to set, --f1 where there are
anomalous images, or else --false-reject 0.01. --f1 and --recall take the middle
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

The file, one of profile detector, is rewritten in place, or to --out: its
thresholds, the metadata that says the same, and nothing else. A model that another
tool exported stays as it is: what is printed is the threshold to give run with it,
as --threshold. With --json, standard output has one object:

  {"model": "m.onnx", "stored": true, "rule": "recall", "threshold": 0.3,
   "pixel_threshold": 0.3, "review": "0.25:0.35", "recall": {…}, "f1": 0.97,
   "false_reject": {"above", "of", "share", "at_most", "at_least"},
   "pixel_f1": 0.6, "pixel_false_positive": 0.001}

What there is nothing to measure on is null. at_most and at_least are bounds with
95 % confidence each (Clopper and Pearson).`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` of a data set with test images, or of good images"},
			goodFlag, anomalousFlag,
			&cli.Float64Flag{Name: "false-reject", Usage: "`SHARE` of good images that the threshold may reject", DefaultText: "0.01"},
			&cli.StringFlag{Name: "threshold-rule", Usage: "`RULE` of the threshold: rate (for --false-reject) or max (largest score of a good image)", DefaultText: "rate"},
			&cli.BoolFlag{Name: "f1", Usage: "threshold with the best F1", DisableDefaultText: true},
			&cli.Float64Flag{Name: "recall", Usage: "`SHARE` of anomalous images that the threshold finds", DefaultText: "none"},
			&cli.Float64Flag{Name: "threshold", Usage: "`SCORE` that is the threshold", DefaultText: "none"},
			&cli.BoolFlag{Name: "pixel-f1", Usage: "pixel threshold with the best F1", DisableDefaultText: true},
			&cli.Float64Flag{Name: "pixel-false-positive", Usage: "`SHARE` of good images' pixels above the pixel threshold", DefaultText: "none"},
			&cli.Float64Flag{Name: "pixel-threshold", Usage: "`RESIDUAL` that is the pixel threshold", DefaultText: "the threshold"},
			&cli.StringFlag{Name: "review-band", Usage: "`LOW:HIGH`, scores between which an image is to be looked at again, or none", DefaultText: "none"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` to write to", DefaultText: "the model itself"},
			jsonFlag,
		}, scoringFlags...),
		Action: calibrateAction,
	}
}

// A rule says how a threshold is set.
type rule string

const (
	ruleKept        rule = "kept"
	ruleGiven       rule = "given"
	ruleFalseReject rule = "false-reject"
	ruleMax         rule = "max"
	ruleF1          rule = "f1"
	ruleRecall      rule = "recall"
	rulePixels      rule = "false-positive"
)

// calibrateOptions are the arguments and flags of `anomaly calibrate`.
type calibrateOptions struct {
	images evalOptions // data, or good and anomalous
	out    string
	json   bool

	rule      rule // "" is for the images to say
	target    float64
	pixelRule rule
	pixel     float64
	band      *anrt.Band // the zero Band is none, nil what becomes of the file's
	survey    surveyOptions
}

func calibrateAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("calibrate takes one model, got %q", c.Args().Slice())
	}
	o := &calibrateOptions{
		images: evalOptions{data: c.String("data"), good: c.String("good"), anomalous: c.StringSlice("anomalous")},
		out:    c.String("out"), json: c.Bool("json"), pixelRule: ruleKept,
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
	hasImages := o.images.data != "" || o.images.good != ""
	switch {
	case o.images.data != "" && (o.images.good != "" || len(o.images.anomalous) > 0):
		return usagef("--data goes without --good and --anomalous")
	case o.images.good == "" && len(o.images.anomalous) > 0:
		return usagef("--anomalous needs --good")
	case !hasImages && (o.rule != ruleKept && o.rule != ruleGiven || o.pixelRule != ruleKept && o.pixelRule != ruleGiven):
		return usagef("calibrate needs images: --data, or --good")
	}
	if o.survey, err = parseScoring(c, c.Args().First()); err != nil {
		return err
	}
	o.survey.scoresOnly = true
	if z := o.survey.detector.Zones; z != nil { // their own thresholds do not depend on the one to be set
		for n := range z.Rules {
			z.Rules[n] = heatmap.ZoneRule{Ignore: true}
		}
	}
	return newConsole(c).calibrate(c.Context, o)
}

// A calibration is what `anomaly calibrate` prints.
type calibration struct {
	Model              string           `json:"model"`
	Stored             bool             `json:"stored"` // in the model
	Rule               rule             `json:"rule"`
	Threshold          *float32         `json:"threshold"`       // nil: none
	PixelThreshold     *float32         `json:"pixel_threshold"` // nil: none
	Review             *string          `json:"review"`          // nil: none
	FalseReject        *calibrate.Share `json:"false_reject"`    // nil without images
	Recall             *calibrate.Share `json:"recall"`          // nil without anomalous images
	F1                 *float64         `json:"f1"`
	PixelF1            *float64         `json:"pixel_f1"`             // of --pixel-f1
	PixelFalsePositive *float64         `json:"pixel_false_positive"` // nil without good maps

	was, pixelWas float32 // NaN: none
	how           string  // the threshold was set
	marked        int     // good images with a pixel above the pixel threshold
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
	cal := &calibration{Model: o.out, Stored: true, Rule: o.rule}
	if cal.was, cal.pixelWas, err = m.Thresholds(); err != nil {
		return fmt.Errorf("%s: %w", o.survey.model, err)
	}
	if err := atomicfile.Writable(o.out); err != nil {
		return err
	}
	scored, err := c.score(ctx, o, m.Metadata[onnx.KeyDataHash])
	if err != nil {
		return err
	}
	threshold, err := cal.chooseThreshold(o, scored)
	if err != nil {
		return err
	}
	pixel, err := cal.choosePixelThreshold(o, scored, threshold)
	if err != nil {
		return err
	}
	if err := m.SetThresholds(threshold, pixel); err != nil {
		return err
	}
	if err := c.setReview(m.Metadata, o.band, cal.was, threshold); err != nil {
		return err
	}
	if err := writeModel(o.out, m); err != nil {
		return err
	}
	cal.Threshold, cal.PixelThreshold = finite(threshold), finite(pixel)
	if review, ok := m.Metadata[onnx.KeyReview]; ok {
		cal.Review = &review
	}
	cal.measure(scored)
	if o.json {
		return json.NewEncoder(c.out).Encode(cal)
	}
	return cal.print(c.out, scored)
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
	cal.measure(scored)
	if o.json {
		return json.NewEncoder(c.out).Encode(cal)
	}
	return cal.print(c.out, scored)
}

// finite returns nil for a threshold that there is none of.
func finite(t float32) *float32 {
	if math.IsNaN(float64(t)) {
		return nil
	}
	return &t
}

// same reports whether two thresholds are, also where there are none.
func same(a, b float32) bool { return a == b || finite(a) == nil && finite(b) == nil }

// selfTested gives a model its self-test. The provider go computes it: it is
// there wherever anomaly is, gives the same figures whatever trained the model,
// and so checks the others.
func selfTested(m *onnxexport.Model) error {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return err
	}
	det, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}, Batch: 1})
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	defer det.Close()
	t, err := det.SelfTest(context.Background())
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	maps.Copy(m.Metadata, t.Metadata())
	return nil
}

// writeModel writes a model's file.
func writeModel(path string, m *onnxexport.Model) error {
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, b)
}

// score scores the images; hash is that of the images the network trained on.
func (c *console) score(ctx context.Context, o *calibrateOptions, hash string) (*judge.Scores, error) {
	s := &judge.Scores{}
	samples, err := o.samples()
	if err != nil || len(samples) == 0 {
		return s, err
	}
	good := slices.DeleteFunc(slices.Clone(samples), func(s dataset.Sample) bool { return s.Anomalous })
	if of, err := dataset.Fingerprint(good); err != nil {
		return nil, err
	} else if of == hash {
		c.notef("warning: the network trained on these images: it scores them lower than others, and the threshold comes out too low")
	}
	spell, err := spelling(nil)
	if err != nil {
		return nil, err
	}
	wantPixels := o.pixelRule == ruleF1 || o.pixelRule == rulePixels
	_, err = c.survey(ctx, samples, spell, &o.survey, func(f *judge.Finding) error {
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
		set, err := dataset.Open(i.data, nil)
		if err != nil {
			return nil, err
		}
		if len(set.Test) > 0 {
			return set.Test, nil
		}
		return set.Train, nil
	case len(i.anomalous) > 0:
		return i.samples()
	default:
		return dataset.Find(i.good)
	}
}

// chooseThreshold returns the threshold of scores, NaN for none.
func (cal *calibration) chooseThreshold(o *calibrateOptions, s *judge.Scores) (threshold float32, err error) {
	switch {
	case cal.Rule != "":
	case len(s.Anomalous) > 0:
		cal.Rule = ruleF1
	default:
		cal.Rule = ruleFalseReject
	}
	switch cal.Rule {
	case ruleKept:
		return cal.was, nil
	case ruleGiven:
		return float32(o.target), nil
	case ruleF1:
		cal.how = "for the best F1"
		return calibrate.F1(s.Good, s.Anomalous)
	case ruleRecall:
		cal.how = fmt.Sprintf("the highest that finds %.4g %% of the anomalous images", 100*o.target)
		return calibrate.Recall(s.Good, s.Anomalous, o.target)
	}
	by := calibrate.Rate
	if cal.Rule == ruleMax {
		by = calibrate.Max
	}
	c, err := calibrate.FromGood(s.Good, o.target, by)
	if err != nil {
		return 0, err
	}
	cal.how = "the largest score of a good image"
	if cal.Rule == ruleFalseReject {
		cal.how = fmt.Sprintf("meant to reject %.4g %% of good images, with a margin for their number", 100*c.FalseReject)
	}
	return c.Threshold, nil
}

// choosePixelThreshold returns the threshold of pixels, NaN for none. Unless there
// is a rule it stays what it was, or follows the image's if it was the same.
func (cal *calibration) choosePixelThreshold(o *calibrateOptions, s *judge.Scores, threshold float32) (float32, error) {
	switch o.pixelRule {
	case ruleGiven:
		return float32(o.pixel), nil
	case ruleF1:
		if s.Masks == 0 {
			return 0, fmt.Errorf("--pixel-f1: no image has a mask")
		}
		pixel, f1, err := calibrate.PixelF1(&s.Pixels)
		cal.PixelF1 = &f1
		return pixel, err
	case rulePixels:
		return calibrate.PixelFalsePositive(s.GoodMaps, o.pixel)
	}
	if same(cal.pixelWas, cal.was) {
		return threshold, nil
	}
	return cal.pixelWas, nil
}

// setReview changes the review band in a model's metadata: to band, or away with
// it where the threshold that it was about is another now.
func (c *console) setReview(metadata map[string]string, band *anrt.Band, was, threshold float32) error {
	switch stored, ok := metadata[onnx.KeyReview]; {
	case band == nil && ok && !same(was, threshold):
		delete(metadata, onnx.KeyReview)
		c.notef("the review band %s was about the old threshold and is gone; --review-band sets another", stored)
	case band == nil:
	case *band == anrt.Band{}:
		delete(metadata, onnx.KeyReview)
	case !math.IsNaN(float64(threshold)) && !(band.Low <= threshold && threshold <= band.High):
		return usagef("--review-band: got %v, want one that holds the threshold %v", band, threshold)
	default:
		metadata[onnx.KeyReview] = band.String()
	}
	return nil
}

// measure says what the thresholds do to the images.
func (cal *calibration) measure(s *judge.Scores) {
	if cal.Threshold != nil && len(s.Good) > 0 {
		share := calibrate.ShareAbove(*cal.Threshold, s.Good)
		cal.FalseReject = &share
	}
	if cal.Threshold != nil && len(s.Anomalous) > 0 {
		share := calibrate.ShareAbove(*cal.Threshold, s.Anomalous)
		cal.Recall = &share
	}
	if cal.FalseReject != nil && cal.Recall != nil {
		found := float64(cal.Recall.Above)
		f1 := 2 * found / (found + float64(cal.FalseReject.Above+cal.Recall.Of))
		cal.F1 = &f1
	}
	if cal.PixelThreshold != nil && len(s.GoodMaps) > 0 {
		share := calibrate.PixelsAbove(*cal.PixelThreshold, s.GoodMaps)
		cal.PixelFalsePositive, cal.marked = &share.Share, share.Images
	}
}

// print says what was done, and how sure it is.
func (cal *calibration) print(w io.Writer, s *judge.Scores) error {
	number := func(t *float32) string {
		if t == nil {
			return "none"
		}
		return short(*t)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  threshold %s (was %s)", cal.Model, number(cal.Threshold), number(finite(cal.was)))
	if cal.how != "" {
		fmt.Fprintf(&b, ", %s", cal.how)
	}
	fmt.Fprintln(&b)
	if r := cal.FalseReject; r != nil {
		fmt.Fprintf(&b, "rejects %d of %d good images; with 95 %% confidence at most %.1f %% of all\n", r.Above, r.Of, 100*r.AtMost)
	}
	if r := cal.Recall; r != nil {
		fmt.Fprintf(&b, "finds %d of %d anomalous images; with 95 %% confidence at least %.1f %% of all; F1 %.4f\n", r.Above, r.Of, 100*r.AtLeast, *cal.F1)
	}
	if cal.Rule == ruleF1 || cal.Rule == ruleRecall {
		fmt.Fprintln(&b, "measured on the images it was chosen from: expect somewhat less of others")
	}
	if !cal.Stored {
		fmt.Fprintf(&b, "the model is another tool's and stays as it is: give run --threshold %v\n", *cal.Threshold)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "pixel threshold %s (was %s)", number(cal.PixelThreshold), number(finite(cal.pixelWas)))
	if cal.PixelF1 != nil {
		fmt.Fprintf(&b, ", for the best F1 of pixels, %.4f, with %s", *cal.PixelF1, plural(s.Masks, "mask"))
	}
	if cal.PixelFalsePositive != nil {
		fmt.Fprintf(&b, "; %.4g %% of good images' pixels are above it, in %d of %d images", 100**cal.PixelFalsePositive, cal.marked, len(s.GoodMaps))
	}
	fmt.Fprintln(&b)
	if cal.Review != nil {
		fmt.Fprintf(&b, "review band %s\n", *cal.Review)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
