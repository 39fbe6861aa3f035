package calibrate

import "slices"

// A Translation turns scores of one detector into those that another, of the same
// network computed otherwise, has at the same rank: a threshold that it has translated
// is below as many scores as before.
type Translation struct{ from, to []float64 }

// NewTranslation returns that of the scores that both give the same images, one or more.
func NewTranslation(from, to []float64) Translation {
	return Translation{slices.Sorted(slices.Values(from)), slices.Sorted(slices.Values(to))}
}

// Of translates a score: between two of the images' scores by the straight line, beyond
// them by as much as the outermost changed.
func (t Translation) Of(score float64) float64 {
	last := len(t.from) - 1
	switch i, _ := slices.BinarySearch(t.from, score); {
	case i == 0:
		return score + t.to[0] - t.from[0]
	case i > last:
		return score + t.to[last] - t.from[last]
	default: // from[i-1] < score <= from[i]
		at := (score - t.from[i-1]) / (t.from[i] - t.from[i-1])
		return t.to[i-1] + at*(t.to[i]-t.to[i-1])
	}
}

// Changed returns of how many images one detector's score is above a threshold and the
// other's is not above that translated, or the other way round.
func (t Translation) Changed(from, to []float64, threshold float64) int {
	n, translated := 0, t.Of(threshold)
	for i, x := range from {
		if (x > threshold) != (to[i] > translated) {
			n++
		}
	}
	return n
}
