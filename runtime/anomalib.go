package runtime

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A sidecar is the content of anomalib's metadata.json.
type sidecar struct {
	ImageThreshold *float64 `json:"image_threshold"`
	PixelThreshold *float64 `json:"pixel_threshold"`

	Min      *float64 `json:"min"` // until 1.0, of maps and scores
	Max      *float64 `json:"max"`
	ScoreMin *float64 `json:"pred_scores.min"` // from 1.1 on
	ScoreMax *float64 `json:"pred_scores.max"`
	MapMin   *float64 `json:"anomaly_maps.min"`
	MapMax   *float64 `json:"anomaly_maps.max"`

	Transform *albumentation `json:"transform"` // until 0.7: the preprocessing, which is not in the graph
}

// An albumentation is a step of preprocessing, as albumentations serialises it.
type albumentation struct {
	Transform  *albumentation  `json:"transform"` // of the outermost
	Class      string          `json:"__class_fullname__"`
	Transforms []albumentation `json:"transforms"` // of Compose

	Height int       `json:"height"` // of Resize and CenterCrop
	Width  int       `json:"width"`
	Mean   []float64 `json:"mean"` // of Normalize, of values divided by MaxPixel
	Std    []float64 `json:"std"`

	MaxPixel *float64 `json:"max_pixel_value"`
	Max      *float64 `json:"max_value"` // of ToFloat
}

// A minMax is how anomalib normalises: threshold to 0.5, the range from min to max to
// a width of 1 (anomalib 1.x, utils/normalization/min_max.py).
type minMax struct{ threshold, width float32 }

// belowHalf is the threshold of what a minMax gives. anomalib 0.x and 1.x call
// anomalous what is at or above theirs: what is above the number below it.
var belowHalf = onnx.Below(.5)

// apply normalises in place. Rounding moves no value across the threshold.
func (m *minMax) apply(values []float32) {
	if m == nil {
		return
	}
	for i, x := range values {
		v := min(max((x-m.threshold)/m.width+.5, 0), 1)
		if x < m.threshold {
			v = min(v, belowHalf)
		} else {
			v = max(v, .5)
		}
		values[i] = v
	}
}

// legacy completes the contract of a model of anomalib 0.x or 1.x.
func (c *contract) legacy(text string) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s of anomalib: %w", ErrModel, "metadata.json", fmt.Errorf(format, args...))
	}
	var s sidecar
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fail("%w", err)
	}
	rule := func(threshold, lo, hi *float64) (*float32, *minMax, error) {
		if threshold == nil {
			return nil, nil, nil
		}
		t := float32(*threshold)
		if lo == nil || hi == nil {
			raw := onnx.Below(t)
			return &raw, nil, nil
		}
		if !(*hi > *lo) {
			return nil, nil, fail("got scores from %v to %v, want the second above the first", *lo, *hi)
		}
		return copied(&belowHalf), &minMax{t, float32(*hi - *lo)}, nil
	}
	or := func(a, b *float64) *float64 {
		if a != nil {
			return a
		}
		return b
	}
	var err error
	if c.threshold, c.normalizeScore, err = rule(s.ImageThreshold, or(s.ScoreMin, s.Min), or(s.ScoreMax, s.Max)); err != nil {
		return err
	}
	if c.pixelThreshold, c.normalizeMap, err = rule(s.PixelThreshold, or(s.MapMin, s.Min), or(s.MapMax, s.Max)); err != nil {
		return err
	}
	if s.Transform == nil {
		return nil
	}
	if s.Transform.Transform != nil {
		s.Transform = s.Transform.Transform
	}
	ready := false // whether pixels are floats already
	for _, step := range s.Transform.Transforms {
		scale := 255.
		switch name := step.Class[strings.LastIndex(step.Class, ".")+1:]; name {
		case "Resize":
			if step.Height != c.images.height || step.Width != c.images.width {
				return fail("preprocessing: got Resize to %dx%d, want the model's %dx%d", step.Height, step.Width, c.images.height, c.images.width)
			}
		case "Normalize":
			n := c.images.channels
			if step.MaxPixel != nil {
				scale = *step.MaxPixel
			}
			if ready || len(step.Mean) != n || len(step.Std) != n || slices.Contains(step.Std, 0) || !(scale > 0) || math.IsInf(scale, 0) {
				return fail("preprocessing: Normalize: got mean %v, std %v and a range of %v, want %d values each and a range above 0, once", step.Mean, step.Std, scale, n)
			}
			c.transfer = transferTo(func(x float64, channel int) float64 {
				channel = min(channel, n-1)
				return (x*255/scale - step.Mean[channel]) / step.Std[channel]
			})
			ready = true
		case "ToFloat":
			if step.Max != nil {
				scale = *step.Max
			}
			if ready || !(scale > 0) || math.IsInf(scale, 0) {
				return fail("preprocessing: ToFloat: got a range of %v, want it above 0, once", scale)
			}
			c.transfer = transferTo(func(x float64, _ int) float64 { return x * 255 / scale })
			ready = true
		case "ToTensorV2":
		default:
			return fail("preprocessing: got %s, want only Resize, Normalize or ToFloat, and ToTensorV2: it is not in the graph and not known here; export the model again with anomalib 1.0 or later", name)
		}
	}
	if !ready {
		return fail("preprocessing: got neither Normalize nor ToFloat, want one: it is not in the graph")
	}
	return nil
}
