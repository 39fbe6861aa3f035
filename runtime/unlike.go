package runtime

import (
	"fmt"
	"image"
	"math"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/appearance"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// How far an image may be from what a model was trained on before it is called unlike:
// defects are small, and so is what they change of an image as a whole. What is meant
// is another camera, lamp, lens or product.
const (
	unlikeSpreads   = 1.   // beyond the extremes, in distances of the 5 and 95 % quantiles
	leastBrightness = .05  // a margin of the brightness, in [0,1], at the least
	leastBlur       = .25  // of the sharpness, downwards, as a share of its median
	leastNoise      = .02  // and upwards: a defect has edges, on 2 % of the pixels of a smooth part at full contrast
	unlikeAspect    = 1.25 // times as wide or as narrow as the usual image
	unlikeArea      = 2.   // times the usual image's pixels, or as few
	mostAnomalous   = .5   // of the map above the threshold: a defect covers less of a part
)

// A usual is what the images that a model was trained on look like.
type usual struct {
	brightness, sharpness [2]float64 // of the pixels as the model sees them; NaN where that is not known
	size                  image.Point
}

// readUsual reads it from a model's metadata.
func readUsual(metadata map[string]string) usual {
	nan := [2]float64{math.NaN(), math.NaN()}
	u := usual{nan, nan, usualSize(metadata)}
	q := onnx.ReadNormal(metadata)
	between := func(values []float64, least func(median float64) (down, up float64)) [2]float64 {
		at := map[float64]float64{}
		for _, level := range []float64{0, .05, .5, .95, 1} {
			value, known := q.At(values, level)
			if !known {
				return nan
			}
			at[level] = value
		}
		down, up := least(at[.5])
		spread := unlikeSpreads * (at[.95] - at[.05])
		return [2]float64{at[0] - max(spread, down), at[1] + max(spread, up)}
	}
	u.brightness = between(q.Brightness, func(float64) (float64, float64) { return leastBrightness, leastBrightness })
	u.sharpness = between(q.Sharpness, func(median float64) (float64, float64) { return leastBlur * median, leastNoise })
	return u
}

// usualSize is that of the usual training image in pixels, zero where it is not known.
func usualSize(metadata map[string]string) (size image.Point) {
	size.X, size.Y = onnx.DataSize(metadata)
	return size
}

// pixels says what an image as the model sees it, uint8 [h,w,c], looks like, and in what
// it is unlike the usual; nil where the usual is not known.
func (u *usual) pixels(pix []uint8, h, w, c int) (look *Look, unlike []string) {
	if math.IsNaN(u.brightness[0]) && math.IsNaN(u.sharpness[0]) {
		return nil, nil
	}
	brightness, sharpness := appearance.Measure(pix, h, w, c)
	compare := func(got float64, usual [2]float64, less, more string) {
		how := ""
		switch {
		case got < usual[0]:
			how = less
		case got > usual[1]:
			how = more
		default:
			return
		}
		unlike = append(unlike, fmt.Sprintf("%s than the training images (%.3g, expected %.3g to %.3g)", how, got, max(usual[0], 0), min(usual[1], 1)))
	}
	compare(brightness, u.brightness, "darker", "brighter")
	compare(sharpness, u.sharpness, "more blurred", "sharper or noisier")
	return &Look{brightness, sharpness}, unlike
}

// area says that an image is as far from the training images over most of its area as
// only defects are: above the threshold that training had set, as another one, that is
// asked for or was set anew, says nothing of the training.
func (u *usual) area(m *heatmap.Map, threshold *float32) (unlike []string) {
	if math.IsNaN(u.brightness[0]) || m == nil || threshold == nil {
		return nil
	}
	above := 0
	for _, v := range m.Data {
		if v > *threshold {
			above++
		}
	}
	if share := float64(above) / float64(len(m.Data)); share > mostAnomalous {
		return []string{fmt.Sprintf("of another look than the training images, as a whole (%.0f %% of it is anomalous, expected %.0f %% at most)", 100*share, 100*mostAnomalous)}
	}
	return nil
}

// UnlikeSize says in what the size of an image is unlike that of the images that the
// model was trained on, as [Result].Unlike does: nothing where that is not known.
func (i *ModelInfo) UnlikeSize(size image.Point) (unlike []string) {
	return unlikeSize(usualSize(i.Metadata), size)
}

func unlikeSize(usual, size image.Point) []string {
	if usual.X < 1 || usual.Y < 1 || size.X < 1 || size.Y < 1 {
		return nil
	}
	apart := func(a, b, most float64) bool { return a > most*b || b > most*a }
	w, h := float64(size.X), float64(size.Y)
	uw, uh := float64(usual.X), float64(usual.Y)
	switch {
	case apart(w*uh, h*uw, unlikeAspect):
		return []string{fmt.Sprintf("of another aspect than the training images (%dx%d, usual %dx%d)", size.X, size.Y, usual.X, usual.Y)}
	case apart(w*h, uw*uh, unlikeArea):
		return []string{fmt.Sprintf("of another size than the training images (%dx%d, usual %dx%d)", size.X, size.Y, usual.X, usual.Y)}
	}
	return nil
}
