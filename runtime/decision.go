package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/residual"
)

// A Verdict is the one word for what is decided of a part; "" is nothing.
type Verdict string

// Verdicts, without a review band and with one.
const (
	Good      Verdict = "good"
	Anomalous Verdict = "anomalous"

	Accept Verdict = "accept"
	Review Verdict = "review" // a person looks at it again
	Reject Verdict = "reject"
)

// A Band is a range of scores that decide nothing: above Low and up to High a
// part is to be looked at again.
type Band struct{ Low, High float32 }

// ParseBand reads a band as [Band.String] writes it: "LOW:HIGH", finite, LOW not above HIGH.
func ParseBand(s string) (Band, error) {
	low, high, ok := strings.Cut(s, ":")
	number := func(s string) float32 {
		v, err := strconv.ParseFloat(s, 32)
		ok = ok && err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
		return float32(v)
	}
	b := Band{number(low), number(high)}
	if !ok || b.Low > b.High {
		return Band{}, fmt.Errorf("%w: review band: got %q, want LOW:HIGH, two numbers in ascending order", ErrInput, s)
	}
	return b, nil
}

// String returns "LOW:HIGH".
func (b Band) String() string {
	number := func(x float32) string { return strconv.FormatFloat(float64(x), 'g', -1, 32) }
	return number(b.Low) + ":" + number(b.High)
}

// Verdict returns Accept for a score up to Low, Reject above High, else Review.
func (b Band) Verdict(score float32) Verdict {
	switch {
	case score > b.High:
		return Reject
	case score > b.Low:
		return Review
	}
	return Accept
}

// check reports a band that a threshold, nil for none, contradicts: it would
// reject what is not anomalous, or accept what is.
func (b Band) check(threshold *float32) error {
	switch {
	case !(b.Low <= b.High) || math.IsInf(float64(b.Low), 0) || math.IsInf(float64(b.High), 0):
		return fmt.Errorf("%w: review band: got %v, want two finite numbers in ascending order", ErrInput, b)
	case threshold != nil && !(b.Low <= *threshold && *threshold <= b.High):
		return fmt.Errorf("%w: review band: got %v, want one that holds the threshold %v", ErrInput, b, *threshold)
	}
	return nil
}

// A decision is how a score and a map become a verdict.
type decision struct {
	threshold *float32       // of scores; nil: none
	label     bool           // the model's own label is the verdict, whatever the threshold
	zones     *heatmap.Zones // nil: none
	minArea   int
	ofMap     bool  // whether scores are the map's highest residuals, as zones and areas have it anyway
	review    *Band // nil: none
}

// newDecision puts what options say over what the model says; v is the view.
func newDecision(c *contract, o Options, v *View) (decision, error) {
	d := decision{threshold: c.threshold, label: c.label != nil, zones: o.Zones, minArea: o.MinArea, review: c.review}
	d.ofMap = o.Zones != nil || o.MinArea > 1 || v.Tiles != nil || v.masks()
	if d.ofMap {
		if c.residuals == nil && c.kind != KindReconstruction {
			return d, fmt.Errorf("%w: zones, smallest areas, tiles and regions are of maps: the model gives none", ErrInput)
		}
		d.label = false
		if !c.ours && c.kind != KindReconstruction { // scores are the map's now, whose scale is its own
			d.threshold = c.pixelThreshold
		}
	}
	if o.Threshold != nil {
		d.threshold, d.label, d.review = o.Threshold, false, nil
	}
	if o.Review != nil {
		d.review = nil
		if *o.Review != (Band{}) {
			d.review = copied(o.Review)
			if err := d.review.check(d.threshold); err != nil {
				return d, err
			}
		}
	}
	if z := d.zones; z != nil {
		if z.Height < 1 || z.Width < 1 || len(z.Data) != z.Height*z.Width {
			return d, fmt.Errorf("%w: zones: got %d pixels, want %dx%d, at least 1x1", ErrInput, len(z.Data), z.Height, z.Width)
		}
		if z.HasThresholds() && (d.threshold == nil || !(*d.threshold > 0)) {
			return d, fmt.Errorf("%w: zones: got thresholds, want a threshold above 0 for the model to hold them against", ErrInput)
		}
	}
	if err := d.reachable(c.top(o)); err != nil {
		if o.Threshold != nil {
			return d, fmt.Errorf("%w: %w", ErrInput, err)
		}
		return d, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return d, nil
}

// top returns the highest score that a model's maps can give, 0 where that is not
// known: other tools' reconstructions may leave the range.
func (c *contract) top(o Options) float32 {
	switch {
	case c.ours:
		return float32(c.residual.Top())
	case c.kind == KindReconstruction && (o.Map.Kind == "" || o.Map.Kind == residual.SSIMMap):
		return float32(o.Map.Top())
	}
	return 0
}

// reachable reports a threshold that no score can be above; thresholds of zones of
// their own stretch the scores.
func (d *decision) reachable(top float32) error {
	if t := d.threshold; top > 0 && t != nil && *t >= top && (d.zones == nil || !d.zones.HasThresholds()) {
		return fmt.Errorf("threshold: got %v, and no score can be above %v: nothing would be anomalous; give another, or calibrate it on 20 good images or more", *t, top)
	}
	return nil
}

// judge completes a result that has the model's score, threshold and map.
func (d *decision) judge(r *Result) {
	if d.zones != nil {
		var threshold float32
		if r.Threshold != nil {
			threshold = *r.Threshold
		}
		r.Map = d.zones.Apply(r.Map, threshold)
	}
	// Otherwise the score is what the graph gave, whatever rule it has.
	if d.ofMap {
		r.Score = r.Map.Peak(d.minArea)
	}
	if r.Threshold != nil {
		r.Anomalous = r.Score > *r.Threshold
	}
	if d.review != nil {
		r.Verdict = d.review.Verdict(r.Score)
	}
}
