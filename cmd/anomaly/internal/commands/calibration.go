package commands

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

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
	Before             before           `json:"before"`
	Appraisal          *judge.Appraisal `json:"verdict"`

	ours          bool           // exported by anomaly
	known         judge.Evidence // of the detector with its new threshold
	was, pixelWas float32        // NaN: none
	trained       *float32       // threshold that training had set; nil: none
	how           string         // the threshold was set
	marked        int            // good images with a pixel above the pixel threshold
}

// before is what the threshold that there was does.
type before struct {
	Threshold   *float32         `json:"threshold"` // nil: there was none
	FalseReject *calibrate.Share `json:"false_reject"`
	Recall      *calibrate.Share `json:"recall"`
	F1          *float64         `json:"f1"`
}

// effect says what a threshold, nil for none, does to the images.
func effect(threshold *float32, s *judge.Scores) (falseReject, recall *calibrate.Share, f1 *float64) {
	if threshold == nil {
		return nil, nil, nil
	}
	if len(s.Good) > 0 {
		falseReject = new(calibrate.ShareAbove(*threshold, s.Good))
	}
	if len(s.Anomalous) > 0 {
		recall = new(calibrate.ShareAbove(*threshold, s.Anomalous))
	}
	if falseReject != nil && recall != nil {
		f1 = &calibrate.Decide(*threshold, s.Good, s.Anomalous).F1
	}
	return falseReject, recall, f1
}

// harmless refuses a threshold that rejects more good images than was asked for.
func (cal *calibration) harmless(o *calibrateOptions, threshold float32, s *judge.Scores) error {
	t := finite(threshold)
	if o.force || cal.Rule == ruleKept || t == nil || len(s.Good) == 0 {
		return nil
	}
	asked := cal.known.Training.Asked()
	if cal.Rule == ruleFalseReject && o.target > 0 {
		asked = o.target
	}
	r := calibrate.ShareAbove(*t, s.Good)
	if r.Above <= max(1, int(asked*float64(r.Of))) {
		return nil
	}
	return fmt.Errorf("a threshold of %s rejects %d of %d good images, more than the %.4g %% asked for (they score up to %s; the threshold was %s): ask for less, or --force it",
		page.Short(*t), r.Above, r.Of, 100*asked, page.Short(float32(slices.Max(s.Good))), was(cal.was))
}

// was spells the threshold that there is.
func was(threshold float32) string {
	if t := finite(threshold); t != nil {
		return page.Short(*t)
	}
	return "none"
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

// trainedThreshold returns the threshold that training set for a model, nil for none.
func trainedThreshold(m *onnxexport.Model) (*float32, error) {
	if c := judge.ReadCalibration(m.Metadata); c != nil {
		return c.Trained, nil
	}
	threshold, _, err := m.Thresholds()
	return finite(threshold), err
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

// reachable refuses a threshold that no score of a kind of map can be above: from few
// images with scores that differ much, the margin for their number is wide.
func reachable(threshold float32, kind string, good int) error {
	m := &residual.Options{Kind: residual.Kind(kind)}
	switch top := float32(m.Top()); {
	case top == 0 || !(threshold >= top): // NaN is none
	case good == 0:
		return fmt.Errorf("threshold: got %s, and no score can be above %v", page.Short(threshold), top)
	default:
		return fmt.Errorf("the threshold would be %s, and no score can be above %v: %s do not tell how far scores spread; take 20 or more, --threshold-rule max, or a larger --false-reject", page.Short(threshold), top, plural(good, "good image"))
	}
	return nil
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

// measure says what the thresholds do to the images, how the new one was set, and how
// good the detector is.
func (cal *calibration) measure(o *calibrateOptions, s *judge.Scores) error {
	cal.FalseReject, cal.Recall, cal.F1 = effect(cal.Threshold, s)
	cal.Before.Threshold = finite(cal.was)
	cal.Before.FalseReject, cal.Before.Recall, cal.Before.F1 = effect(cal.Before.Threshold, s)
	e := &cal.known
	e.Threshold, e.Good = cal.Threshold, cal.FalseReject
	if of := len(s.Good) + len(s.Anomalous); of > 0 {
		e.Unlike = new(calibrate.ShareOf(s.Unlike, of))
	}
	if cal.F1 != nil {
		var err error
		if e.Evaluation, err = s.Evaluate(*cal.Threshold); err != nil {
			return err
		}
	}
	if cal.Rule != ruleKept {
		e.Calibration = cal.mark(o, s)
	}
	cal.Appraisal = judge.Appraise(e)
	if cal.PixelThreshold != nil && len(s.GoodMaps) > 0 {
		share := calibrate.PixelsAbove(*cal.PixelThreshold, s.GoodMaps)
		cal.PixelFalsePositive, cal.marked = &share.Share, share.Images
	}
	return nil
}

// mark says how the new threshold was set; nil where it is that of training again.
func (cal *calibration) mark(o *calibrateOptions, s *judge.Scores) *judge.Calibration {
	e := &cal.known
	m := &judge.Calibration{
		Rule: string(cal.Rule), Target: o.target, Good: len(s.Good), Anomalous: len(s.Anomalous), Trained: cal.trained,
		Measured: e.Evaluation, Unlike: e.Unlike, Zones: o.survey.detector.Zones != nil,
	}
	switch cal.Rule {
	case ruleFalseReject:
		m.Target = cmp.Or(o.target, calibrate.DefaultFalseReject)
	case ruleGiven:
		m.Target = 0
		if len(s.Good) == 0 {
			return judge.Given(*cal.Threshold, cal.trained)
		}
	}
	if m.Measured == nil {
		m.FalseReject = cal.FalseReject
	}
	if o.survey.minArea > 1 {
		m.MinArea = o.survey.minArea
	}
	return m
}

// print says what was done, and how sure it is.
func (cal *calibration) print(w io.Writer, s *judge.Scores) error {
	number := func(t *float32) string {
		if t == nil {
			return "none"
		}
		return page.Short(*t)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  threshold %s (was %s)", cal.Model, number(cal.Threshold), number(finite(cal.was)))
	if cal.how != "" {
		fmt.Fprintf(&b, ", %s", cal.how)
	}
	fmt.Fprintln(&b)
	line := func(when string, reject, recall *calibrate.Share, f1 *float64) {
		if reject != nil {
			fmt.Fprintf(&b, "%s: rejects %d of %d good images; with 95 %% confidence at most %.1f %% of all\n", when, reject.Above, reject.Of, 100*reject.AtMost)
		}
		if recall != nil {
			fmt.Fprintf(&b, "%s: finds %d of %d anomalous images; with 95 %% confidence at least %.1f %% of all; F1 %.4f\n", when, recall.Above, recall.Of, 100*recall.AtLeast, *f1)
		}
	}
	if len(s.Good) > 0 {
		fmt.Fprintf(&b, "good images score up to %s\n", page.Short(float32(slices.Max(s.Good))))
	}
	line("before", cal.Before.FalseReject, cal.Before.Recall, cal.Before.F1)
	line("now", cal.FalseReject, cal.Recall, cal.F1)
	if cal.Rule == ruleF1 || cal.Rule == ruleRecall {
		fmt.Fprintln(&b, "measured on the images it was chosen from: expect somewhat less of others")
	}
	if !cal.ours {
		fmt.Fprintf(&b, "the model is another tool's and stays as it is: give run --threshold %v\n", *cal.Threshold)
		_, err := io.WriteString(w, b.String())
		return cmp.Or(err, printAppraisal(w, cal.Appraisal))
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
	if !cal.Stored {
		fmt.Fprintln(&b, "nothing is stored: --dry-run")
	}
	_, err := io.WriteString(w, b.String())
	return cmp.Or(err, printAppraisal(w, cal.Appraisal))
}
