package metrics

import (
	"fmt"
	"slices"
	"sort"

	"github.com/anomaly-go/anomaly/internal/label"
)

// Binned gathers the maps of a test set, each for itself, with their scores in
// bins, so that the figures of a resampled set take a sum of bins and no sort:
// what a bootstrap over images needs a thousand times. Scores in one bin tie;
// the exact figures of the set are those of [Pixels]. Not safe for concurrent
// use while maps are added.
type Binned struct {
	edges []float32
	maps  []binnedMap
}

// A binnedMap has for each bin, the lowest first, the map's good and anomalous
// pixels and, over the latter, the sum of 1/(size of the pixel's defect).
type binnedMap struct {
	good, bad []int32
	overlap   []float32
	regions   int
}

// NewBinned returns an empty set with len(edges)+1 bins: bin i holds the scores
// s with edges[i-1] <= s < edges[i]. The edges must ascend.
func NewBinned(edges []float32) (*Binned, error) {
	if !slices.IsSorted(edges) {
		return nil, fmt.Errorf("metrics: got edges of bins that do not ascend")
	}
	return &Binned{edges: slices.Clone(edges)}, nil
}

// Add adds one map, as Pixels.Add does.
func (b *Binned) Add(scores []float32, mask []bool, height, width int) error {
	if height <= 0 || width <= 0 || len(scores) != height*width || mask != nil && len(mask) != len(scores) {
		return fmt.Errorf("metrics: got %d scores and a mask of %d pixels, want %dx%d", len(scores), len(mask), height, width)
	}
	bins := len(b.edges) + 1
	m := binnedMap{good: make([]int32, bins)}
	var labels []int32
	var weights []float32 // of a pixel of each defect
	if mask != nil {
		labels, m.regions = label.Components(mask, height, width)
		m.bad, m.overlap = make([]int32, bins), make([]float32, bins)
		weights = make([]float32, m.regions+1)
		for _, l := range labels {
			weights[l]++
		}
		for i, n := range weights {
			weights[i] = 1 / n
		}
	}
	for i, s := range scores {
		if s != s {
			return fmt.Errorf("metrics: score at row %d, column %d is NaN", i/width, i%width)
		}
		bin := sort.Search(len(b.edges), func(k int) bool { return b.edges[k] > s })
		if mask == nil || !mask[i] {
			m.good[bin]++
			continue
		}
		m.bad[bin]++
		m.overlap[bin] += weights[labels[i]]
	}
	b.maps = append(b.maps, m)
	return nil
}

// Figures are metrics of pixels, each as the method of Pixels of that name.
type Figures struct {
	AUROC, AveragePrecision, F1Max float64
	AUPRO                          []float64 // up to each of the limits asked for
}

// Figures measures the set in which map i, in the order of Add, is times[i]
// times. It fails with ErrOneClass as Pixels does. Safe for concurrent use.
func (b *Binned) Figures(times []int, limits ...float64) (Figures, error) {
	if len(times) != len(b.maps) {
		return Figures{}, fmt.Errorf("metrics: got %d multiplicities, want one for each of %d maps", len(times), len(b.maps))
	}
	for _, limit := range limits {
		if !(limit > 0 && limit <= 1) {
			return Figures{}, fmt.Errorf("metrics: AU-PRO: got limit %v, want it in (0,1]", limit)
		}
	}
	sum := make([]step, len(b.edges)+1)
	s := sweep{}
	for i, m := range b.maps {
		n := times[i]
		if n == 0 {
			continue
		}
		s.regions += n * m.regions
		for k, v := range m.good {
			sum[k].good += n * int(v)
			s.good += n * int(v)
		}
		for k, v := range m.bad {
			if v > 0 {
				sum[k].bad += n * int(v)
				sum[k].overlap += float64(n) * float64(m.overlap[k])
				s.bad += n * int(v)
			}
		}
	}
	if s.good == 0 || s.bad == 0 {
		return Figures{}, fmt.Errorf("metrics: got %d good and %d anomalous pixels: %w", s.good, s.bad, ErrOneClass)
	}
	s.steps = func(yield func(step) bool) {
		for _, st := range slices.Backward(sum) {
			if st.good+st.bad > 0 && !yield(st) {
				return
			}
		}
	}
	f := Figures{AUROC: s.auroc(), AveragePrecision: s.averagePrecision()}
	f.F1Max, _ = s.f1Max()
	for _, limit := range limits {
		f.AUPRO = append(f.AUPRO, s.aupro(limit))
	}
	return f, nil
}
