package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// A ThresholdRule says how a threshold is set from the scores of good images.
type ThresholdRule string

const (
	// RuleRate sets the threshold for a target false-reject rate. With enough
	// scores (299 for a rate of 1 %) it is the score that, with 95 % confidence,
	// so few good images exceed, whatever the distribution (Hahn and Meeker,
	// Statistical Intervals, section 5.3). With fewer it is the prediction bound
	// for one more good image, the logarithms of the scores taken as normal, which
	// widens as the images get fewer (section 4.8); never below the quantile of
	// the scores themselves.
	RuleRate ThresholdRule = "rate"
	// RuleMax takes the largest score of a good image.
	RuleMax ThresholdRule = "max"
)

// A Calibration is a threshold and what it rests on.
type Calibration struct {
	Threshold   float32       `json:"threshold"` // a score above it is anomalous
	Rule        ThresholdRule `json:"rule"`
	FalseReject float64       `json:"false_reject"` // the target
	// Bound is the false-reject rate that the threshold stays below with 95 %
	// confidence whatever the scores' distribution: 1-0.05^(1/n) if none of the n
	// scores exceeds it (Clopper and Pearson).
	Bound  float64   `json:"bound"`
	Scores []float64 `json:"scores"` // of good images the network did not train on, ascending

	// Quantiles (at Levels) of the training images' mean brightness and of their
	// sharpness (mean absolute Laplacian), both in [0,1]: what later images can be held against.
	Brightness []float64 `json:"brightness"`
	Sharpness  []float64 `json:"sharpness"`
}

// Levels of the quantiles in a [Calibration] and in the metadata.
var Levels = []float64{0, .01, .05, .25, .5, .75, .95, .99, 1}

// calibrate sets a threshold from scores of good images.
func calibrate(scores []float64, falseReject float64, rule ThresholdRule) Calibration {
	s := slices.Sorted(slices.Values(scores))
	n := len(s)
	c := Calibration{Rule: rule, FalseReject: falseReject, Scores: s}
	top := s[n-1]
	threshold := top
	if rule == RuleRate && clopperPearson(0, n, Confidence) <= falseReject {
		above := 0
		for clopperPearson(above+1, n, Confidence) <= falseReject {
			above++
		}
		threshold = s[n-1-above]
	} else if rule == RuleRate {
		threshold = Quantile(s, 1-falseReject)
		logs := make([]float64, n)
		positive := true
		for i, x := range s {
			logs[i] = math.Log(x)
			positive = positive && x > 0
		}
		if positive && n > 1 {
			mean, sd := stat.MeanStdDev(logs, nil)
			t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(1 - falseReject)
			threshold = max(threshold, math.Exp(mean+t*sd*math.Sqrt(1+1/float64(n))))
		}
	}
	c.Threshold = float32(threshold)
	if float64(c.Threshold) < threshold { // rounding must not reject the largest score itself
		c.Threshold = math.Nextafter32(c.Threshold, math.MaxFloat32)
	}
	c.Bound = ShareAbove(c.Threshold, s).AtMost
	return c
}

// clopperPearson returns the upper confidence bound of a share of which k of n were seen.
func clopperPearson(k, n int, confidence float64) float64 {
	if k >= n {
		return 1
	}
	return distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(confidence)
}

// Quantile returns the p-quantile of ascending xs, linear between order statistics.
func Quantile(xs []float64, p float64) float64 {
	at := p * float64(len(xs)-1)
	i := int(at)
	if i+1 >= len(xs) {
		return xs[len(xs)-1]
	}
	return xs[i] + (at-float64(i))*(xs[i+1]-xs[i])
}

func quantiles(xs []float64) []float64 {
	slices.Sort(xs)
	q := make([]float64, len(Levels))
	for i, p := range Levels {
		q[i] = Quantile(xs, p)
	}
	return q
}

// String says what the threshold is and how sure.
func (c Calibration) String() string {
	n := len(c.Scores)
	target := fmt.Sprintf("meant to reject %.3g %% of good images", 100*c.FalseReject)
	if c.Rule == RuleMax {
		target = "the largest of them"
	}
	return fmt.Sprintf("threshold %.6g, %s, from the scores of %d good images held back (median %.6g, largest %.6g); with 95 %% confidence it rejects fewer than %.1f %%",
		c.Threshold, target, n, Quantile(c.Scores, .5), c.Scores[n-1], 100*c.Bound)
}

// describe adds what the images themselves look like.
func (c *Calibration) describe(pixels []uint8, size int, spec models.Spec) {
	var bright, sharp []float64
	for img := range slices.Chunk(pixels, size) {
		b, s := brightnessAndSharpness(img, spec.Height, spec.Width, spec.Channels)
		bright, sharp = append(bright, b), append(sharp, s)
	}
	c.Brightness, c.Sharpness = quantiles(bright), quantiles(sharp)
}

// brightnessAndSharpness returns the mean of an image [H,W,C] and the mean
// absolute value of its discrete Laplacian (4 neighbours), both over their largest value.
func brightnessAndSharpness(img []uint8, h, w, c int) (brightness, sharpness float64) {
	sum, edges := 0, 0
	for _, p := range img {
		sum += int(p)
	}
	row := w * c
	for y := 1; y < h-1; y++ {
		for i := y*row + c; i < (y+1)*row-c; i++ {
			d := 4*int(img[i]) - int(img[i-c]) - int(img[i+c]) - int(img[i-row]) - int(img[i+row])
			edges += max(d, -d)
		}
	}
	inner := max(1, (h-2)*(w-2)*c)
	return float64(sum) / float64(255*len(img)), float64(edges) / float64(4*255*inner)
}

// score returns the scores that the exported model gives images.
func (t *trainer) score(ctx context.Context, weights map[string]*graph.Tensor, images []int) ([]float64, error) {
	if len(images) == 0 {
		return nil, nil
	}
	model, err := onnxexport.Build(t.spec, weights, &onnxexport.Options{Map: *t.settings.Map})
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	b, err := onnxexport.Marshal(model)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	det, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: t.settings.Provider, ProviderOptions: t.settings.ProviderOptions}})
	if err != nil {
		return nil, err
	}
	defer det.Close()
	scores := make([]float64, 0, len(images))
	for chunk := range slices.Chunk(images, 16) {
		results, err := det.DetectPixels(ctx, graph.Data[uint8](t.pixels(chunk)), len(chunk))
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			scores = append(scores, float64(r.Score))
		}
	}
	return scores, nil
}
