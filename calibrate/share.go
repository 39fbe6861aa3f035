package calibrate

import "gonum.org/v1/gonum/stat/distuv"

// Confidence of the bounds in a [Share] and a [Calibration], one-sided.
const Confidence = .95

// A Share says of how many scores how many are above a threshold.
type Share struct {
	Above int     `json:"above"`
	Of    int     `json:"of"`
	Share float64 `json:"share"`
	// AtMost and AtLeast are Clopper and Pearson's bounds of the share among all
	// such images, each with the confidence of Confidence (The use of confidence
	// or fiducial limits, Biometrika 1934). They hold for images that the
	// threshold was not chosen from.
	AtMost  float64 `json:"at_most"`
	AtLeast float64 `json:"at_least"`
}

// ShareAbove counts the scores, at least one, above a threshold.
func ShareAbove(threshold float32, scores []float64) Share {
	above := 0
	for _, x := range scores {
		if x > float64(threshold) {
			above++
		}
	}
	return ShareOf(above, len(scores))
}

// ShareOf returns the share of above among one or more.
func ShareOf(above, of int) Share {
	return Share{
		Above: above, Of: of, Share: float64(above) / float64(of),
		AtMost: upperBound(above, of), AtLeast: 1 - upperBound(of-above, of),
	}
}

// upperBound returns the upper bound, with the confidence of Confidence, of a
// share of which k of n were seen.
func upperBound(k, n int) float64 {
	if k >= n {
		return 1
	}
	return distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(Confidence)
}
