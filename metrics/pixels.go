package metrics

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/internal/label"
)

// Pixels gathers the maps of a test set and measures all their pixels together.
// The zero value is empty and ready. It is not safe for concurrent use.
//
// It keeps 4 bytes for a good pixel and 8 for an anomalous one, and as much again
// while it sorts, which the first metric after an Add does: the 67 million
// pixels of MVTec's bottle at 900x900 take 1 GB at their peak.
type Pixels struct {
	good   [][]uint32 // keys of good pixels, one run a map; one run in all once sorted
	bad    []uint64   // key<<32 | defect of anomalous pixels
	sizes  []int      // pixels of each defect
	nGood  int
	sorted bool
}

// Add adds one map: scores, row-major height*width, raw, and the mask of what is
// anomalous in it, of the same layout; nil means that all of it is good. Defects
// are the mask's 8-connected regions. Both are copied.
//
// An error, for lengths that differ from height*width or a score that is NaN,
// leaves the set unchanged.
func (p *Pixels) Add(scores []float32, mask []bool, height, width int) error {
	if height <= 0 || width <= 0 {
		return fmt.Errorf("metrics: got a map of %dx%d, want positive sides", height, width)
	}
	if len(scores) != height*width {
		return fmt.Errorf("metrics: got %d scores, want %dx%d", len(scores), height, width)
	}
	if mask != nil && len(mask) != height*width {
		return fmt.Errorf("metrics: got a mask of %d pixels, want %dx%d", len(mask), height, width)
	}
	for i, s := range scores {
		if s != s {
			return fmt.Errorf("metrics: score at row %d, column %d is NaN", i/width, i%width)
		}
	}

	var labels []int32
	first := len(p.sizes) - 1 // labels count from 1
	if mask != nil {
		var n int
		labels, n = label.Components(mask, height, width)
		p.sizes = append(p.sizes, make([]int, n)...)
	}
	keys := make([]uint32, 0, len(scores))
	for i, s := range scores {
		key := descendingKey(s)
		if mask == nil || !mask[i] {
			keys = append(keys, key)
			continue
		}
		defect := first + int(labels[i])
		p.sizes[defect]++
		p.bad = append(p.bad, uint64(key)<<32|uint64(defect))
	}
	p.good = append(p.good, keys)
	p.nGood += len(keys)
	p.sorted = false
	return nil
}

// Regions returns the number of defects: 8-connected regions of all masks.
func (p *Pixels) Regions() int { return len(p.sizes) }

// AUROC returns the area under the ROC curve of the pixels, in [0,1]; see the
// function AUROC. Like all metrics of Pixels it fails with ErrOneClass where
// there are no good or no anomalous pixels.
func (p *Pixels) AUROC() (float64, error) {
	s, err := p.sweep()
	if err != nil {
		return 0, err
	}
	return s.auroc(), nil
}

// AveragePrecision returns the average precision of the pixels, in (0,1]; see
// the function AveragePrecision.
func (p *Pixels) AveragePrecision() (float64, error) {
	s, err := p.sweep()
	if err != nil {
		return 0, err
	}
	return s.averagePrecision(), nil
}

// F1Max returns the best F1 score of the pixels, in (0,1], and the highest
// threshold that reaches it with score >= threshold; see the function F1Max.
func (p *Pixels) F1Max() (f1, threshold float64, err error) {
	s, err := p.sweep()
	if err != nil {
		return 0, 0, err
	}
	f1, threshold = s.f1Max()
	return f1, threshold, nil
}

// AUPRO returns the normalised area under the PRO curve up to the
// false-positive rate limit, in (0,1]: AU-PRO, usually quoted at 0.3 and 0.05.
// PRO, the per-region overlap, is the mean over all defects of the share of
// their pixels at or above the threshold (Bergmann et al., "Uninformed Students",
// CVPR 2020, section 4); the false-positive rate is taken over all defect-free
// pixels of all images, the good images included.
//
// The rule is that of MVTec's evaluation code: 8-connected regions, ties are one
// threshold, the curve runs from (0,0) to (1,1), is integrated by trapezoids
// with interpolation at the limit, and is divided by the limit.
func (p *Pixels) AUPRO(limit float64) (float64, error) {
	if !(limit > 0 && limit <= 1) {
		return 0, fmt.Errorf("metrics: AU-PRO: got limit %v, want it in (0,1]", limit)
	}
	s, err := p.sweep()
	if err != nil {
		return 0, err
	}
	return s.aupro(limit), nil
}

func (p *Pixels) sweep() (sweep, error) {
	if p.nGood == 0 || len(p.bad) == 0 {
		return sweep{}, fmt.Errorf("metrics: got %d good and %d anomalous pixels: %w", p.nGood, len(p.bad), ErrOneClass)
	}
	p.sort()
	good := p.good[0]
	weights := make([]float64, len(p.sizes))
	for i, n := range p.sizes {
		weights[i] = 1 / float64(n)
	}
	return sweep{
		good:    p.nGood,
		bad:     len(p.bad),
		regions: len(p.sizes),
		steps: func(yield func(step) bool) {
			for g, b := 0, 0; g < len(good) || b < len(p.bad); {
				key := uint32(math.MaxUint32) // above every key, which NaN alone would reach
				if g < len(good) {
					key = good[g]
				}
				if b < len(p.bad) {
					key = min(key, uint32(p.bad[b]>>32))
				}
				st := step{score: float64(scoreOf(key))}
				for ; g < len(good) && good[g] == key; g++ {
					st.good++
				}
				for ; b < len(p.bad) && uint32(p.bad[b]>>32) == key; b++ {
					st.bad++
					st.overlap += weights[uint32(p.bad[b])]
				}
				if !yield(st) {
					return
				}
			}
		},
	}, nil
}

func (p *Pixels) sort() {
	if p.sorted {
		return
	}
	keys := make([]uint32, 0, p.nGood)
	for _, run := range p.good {
		keys = append(keys, run...)
	}
	p.good = nil // lets the runs go before the sort takes its buffer
	p.good = [][]uint32{radixSort(keys, 0)}
	p.bad = radixSort(p.bad, 32)
	p.sorted = true
}
