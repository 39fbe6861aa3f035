package judge

import (
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/metrics"
)

// Scores are what thresholds are set from (package calibrate): findings of labelled
// images as numbers. The zero value holds none.
type Scores struct {
	Good, Anomalous []float64
	Unlike          int // how many of them are of images unlike the training images

	GoodMaps [][]float32    // residuals of each good image, without those that zones ignore
	Pixels   metrics.Pixels // of good images and those with a mask, at the maps' size
	Masks    int            // images with one in Pixels
}

// Add adds a finding's score.
func (s *Scores) Add(f *Finding) {
	if f.Sample.Anomalous {
		s.Anomalous = append(s.Anomalous, float64(f.Score))
	} else {
		s.Good = append(s.Good, float64(f.Score))
	}
	if len(f.Unlike) > 0 {
		s.Unlike++
	}
}

// Evaluate measures the scores at a threshold, NaN for none, as [Evaluate] does
// findings, without kinds and pixels.
func (s *Scores) Evaluate(threshold float32) (*Evaluation, error) {
	e := &Evaluation{N: Counts{len(s.Good), len(s.Anomalous)}}
	var err error
	if e.Image, err = scoreMetrics(metrics.Labelled(s.Good, s.Anomalous)); err != nil {
		return nil, err
	}
	if threshold == threshold {
		e.Threshold, e.Decided = &threshold, calibrate.Decide(threshold, s.Good, s.Anomalous)
	}
	return e, nil
}

// AddPixels adds the pixels of a finding with a map, of a good image or one with a
// mask; of others none. Those that zones, nil for none, ignore are left out.
func (s *Scores) AddPixels(f *Finding, zones *heatmap.Zones) error {
	if !f.measurable() {
		return nil
	}
	m := f.Result.Map
	mask, err := truth(f.Sample, m.Height, m.Width)
	if err != nil {
		return err
	}
	if mask != nil {
		s.Masks++
	}
	residuals := m.Data
	if zones != nil {
		seen := heatmap.NewMap(m.Height, m.Width)
		for i := range seen.Data {
			seen.Data[i] = 1
		}
		seen = zones.Apply(seen, 1)
		residuals = slices.Clone(residuals)[:0]
		var kept []bool
		for i, v := range seen.Data {
			if v == 0 {
				continue
			}
			residuals = append(residuals, m.Data[i])
			if mask != nil {
				kept = append(kept, mask[i])
			}
		}
		mask = kept
	}
	if len(residuals) == 0 {
		return nil
	}
	if !f.Sample.Anomalous {
		s.GoodMaps = append(s.GoodMaps, residuals)
	}
	return s.Pixels.Add(residuals, mask, 1, len(residuals))
}
