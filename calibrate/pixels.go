package calibrate

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/metrics"
)

// PixelF1 returns the highest threshold at which pixel > threshold has the best
// F1 over the pixels, and that F1. It fails as [metrics.Pixels] does.
func PixelF1(pixels *metrics.Pixels) (threshold float32, f1 float64, err error) {
	f1, lowest, err := pixels.F1Max()
	if err != nil {
		return 0, 0, err
	}
	return math.Nextafter32(float32(lowest), float32(math.Inf(-1))), f1, nil
}

// PixelFalsePositive returns the lowest pixel of good images' maps that at most
// the share, in [0,1), of all their pixels is above.
func PixelFalsePositive(good [][]float32, share float64) (float32, error) {
	if !(share >= 0 && share < 1) {
		return 0, fmt.Errorf("%w: false-positive share: got %v, want at least 0, less than 1", ErrInput, share)
	}
	all := slices.Concat(good...)
	if len(all) == 0 {
		return 0, fmt.Errorf("%w: pixels: got none of good images", ErrInput)
	}
	slices.Sort(all)
	return all[len(all)-1-int(share*float64(len(all)))], nil
}

// A PixelShare says how much of good images' maps is above a pixel threshold.
type PixelShare struct {
	Share  float64 // of the pixels
	Images int     // with a pixel above it
}

// PixelsAbove counts the pixels, at least one, of maps above a threshold.
func PixelsAbove(threshold float32, maps [][]float32) PixelShare {
	var s PixelShare
	above, of := 0, 0
	for _, m := range maps {
		of += len(m)
		before := above
		for _, v := range m {
			if v > threshold {
				above++
			}
		}
		if above > before {
			s.Images++
		}
	}
	s.Share = float64(above) / float64(of)
	return s
}
