package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/metrics"
)

// An Evaluation measures findings against the truth: their scores and residuals
// without any threshold, and their verdicts.
type Evaluation struct {
	Image      ScoreMetrics       `json:"image"`
	Pixel      *PixelMetrics      `json:"pixel"` // nil without masks or maps
	Threshold  *float32           `json:"threshold"`
	Decided    *calibrate.Decided `json:"at_threshold"` // of the verdicts; nil where there are none
	Kinds      map[string]OfKind  `json:"kinds"`
	N          Counts             `json:"n"`
	Resolution *int               `json:"resolution"`        // of the pixels; nil for the masks' own
	Appraisal  *Appraisal         `json:"verdict,omitempty"` // the caller's to make
	Perturb    *Perturbations     `json:"perturb,omitempty"`
	Failed     []*Finding         `json:"failed,omitempty"` // those with an error, which do not count

	Curves Curves `json:"-"` // of all images and pixels
}

// ImageMetrics are those of scores, each in [0,1].
type ImageMetrics struct {
	AUROC float64 `json:"auroc"`
	AP    float64 `json:"ap"`
	F1Max float64 `json:"f1max"`
}

// ScoreMetrics are ImageMetrics with what they are to be held against.
type ScoreMetrics struct {
	ImageMetrics
	AUROCLow  float64 `json:"auroc_low"` // ends of its 95 % interval ([metrics.AUROCInterval])
	AUROCHigh float64 `json:"auroc_high"`
	F1OfAll   float64 `json:"f1_all"` // of the verdict that all images are anomalous
}

// PixelMetrics are those of residuals, each in [0,1]: AU-PRO up to false-positive
// rates of 0.3 and of 0.05.
type PixelMetrics struct {
	ImageMetrics
	AUPRO30 float64 `json:"aupro30"`
	AUPRO05 float64 `json:"aupro05"`
}

// OfKind measures one kind of anomaly against all good images.
type OfKind struct {
	Image   ScoreMetrics       `json:"image"`
	Pixel   *PixelMetrics      `json:"pixel"`
	Decided *calibrate.Decided `json:"at_threshold"`
	N       int                `json:"n"`
}

// Counts are numbers of images.
type Counts struct {
	Good      int `json:"good"`
	Anomalous int `json:"anomalous"`
}

// Curves are what is drawn of an evaluation; those of pixels are nil without masks.
type Curves struct {
	ROC, PixelROC, PR, PixelPR, PRO []metrics.Point
}

// Evaluate measures findings of samples whose kind is known: all, and each kind with
// the good ones. Pixels are those of good images and of images with a mask, both with
// maps, at a resolution of so many pixels on each side; 0 is each image's own. The error
// wraps [metrics.ErrOneClass] unless there are good and anomalous images.
func Evaluate(ctx context.Context, findings []*Finding, resolution int) (*Evaluation, error) {
	e := &Evaluation{Kinds: map[string]OfKind{}}
	if resolution > 0 {
		e.Resolution = &resolution
	}
	kinds := map[string][]*Finding{}
	var all []*Finding
	for _, f := range findings {
		if f.Err != nil {
			e.Failed = append(e.Failed, f)
			continue
		}
		all, kinds[f.Sample.Kind] = append(all, f), append(kinds[f.Sample.Kind], f)
	}
	good := kinds[dataset.Good]
	delete(kinds, dataset.Good)
	e.N = Counts{len(good), len(all) - len(good)}
	for kind, bad := range kinds {
		of, err := measure(ctx, slices.Concat(good, bad), resolution, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		of.N = len(bad)
		e.Kinds[kind] = of
	}
	of, err := measure(ctx, all, resolution, &e.Curves)
	if err != nil {
		return nil, err
	}
	e.Image, e.Pixel, e.Decided, e.Threshold = of.Image, of.Pixel, of.Decided, all[0].Threshold
	return e, nil
}

// measure measures findings; draw gets their curves, nil draws none.
func measure(ctx context.Context, findings []*Finding, resolution int, draw *Curves) (m OfKind, err error) {
	scores, anomalous := labelled(findings)
	if m.Image, err = scoreMetrics(scores, anomalous); err != nil {
		return m, err
	}
	m.Decided = decided(findings)
	if draw != nil {
		if draw.ROC, err = metrics.ROC(scores, anomalous); err != nil {
			return m, err
		}
		if draw.PR, err = metrics.PrecisionRecall(scores, anomalous); err != nil {
			return m, err
		}
	}
	if !slices.ContainsFunc(findings, func(f *Finding) bool { return f.Sample.HasMask() && f.Result.Map != nil }) {
		return m, nil
	}
	m.Pixel, err = measurePixels(ctx, findings, resolution, draw)
	if errors.Is(err, metrics.ErrOneClass) { // black masks, or defects that vanish at a low resolution
		return m, nil
	}
	return m, err
}

// scoreMetrics measures scores, with what they are to be held against.
func scoreMetrics(scores []float64, anomalous []bool) (m ScoreMetrics, err error) {
	if m.ImageMetrics, err = measureScores(scores, anomalous); err != nil {
		return m, err
	}
	bad := 0
	for _, is := range anomalous {
		if is {
			bad++
		}
	}
	m.AUROCLow, m.AUROCHigh = metrics.AUROCInterval(m.AUROC, len(scores)-bad, bad)
	m.F1OfAll = metrics.F1OfAll(len(scores)-bad, bad)
	return m, nil
}

func measureScores(scores []float64, anomalous []bool) (m ImageMetrics, err error) {
	if m.AUROC, err = metrics.AUROC(scores, anomalous); err != nil {
		return m, err
	}
	if m.AP, err = metrics.AveragePrecision(scores, anomalous); err != nil {
		return m, err
	}
	m.F1Max, _, err = metrics.F1Max(scores, anomalous)
	return m, err
}

// decided counts the verdicts on good and anomalous images, both of which there
// are; nil where the model gives none.
func decided(findings []*Finding) *calibrate.Decided {
	var n, above [2]int // good, anomalous
	for _, f := range findings {
		if f.Anomalous == nil {
			return nil
		}
		k := 0
		if f.Sample.Anomalous {
			k = 1
		}
		n[k]++
		if *f.Anomalous {
			above[k]++
		}
	}
	return calibrate.DecideOf(above[0], n[0], above[1], n[1])
}

// labelled returns the images' scores and their truth.
func labelled(findings []*Finding) (scores []float64, anomalous []bool) {
	for _, f := range findings {
		scores, anomalous = append(scores, float64(f.Score)), append(anomalous, f.Sample.Anomalous)
	}
	return scores, anomalous
}

// measurePixels measures the pixels of good images and of those with a mask.
// draw gets their curves; nil draws none.
func measurePixels(ctx context.Context, findings []*Finding, resolution int, draw *Curves) (*PixelMetrics, error) {
	var set metrics.Pixels
	if err := eachMap(ctx, findings, resolution, set.Add); err != nil {
		return nil, err
	}
	p := &PixelMetrics{}
	var err error
	if p.AUROC, err = set.AUROC(); err != nil {
		return nil, err
	}
	if p.AP, err = set.AveragePrecision(); err != nil {
		return nil, err
	}
	if p.F1Max, _, err = set.F1Max(); err != nil {
		return nil, err
	}
	if p.AUPRO30, err = set.AUPRO(.3); err != nil {
		return nil, err
	}
	if p.AUPRO05, err = set.AUPRO(.05); err != nil || draw == nil {
		return p, err
	}
	if draw.PixelROC, err = set.ROC(); err != nil {
		return nil, err
	}
	if draw.PixelPR, err = set.PrecisionRecall(); err != nil {
		return nil, err
	}
	draw.PRO, err = set.PRO()
	return p, err
}
