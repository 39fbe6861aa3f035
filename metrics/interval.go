package metrics

import "math"

// AUROCInterval returns the two-sided 95 % confidence interval, in [0,1], of an
// AUROC that was measured on so many good and anomalous samples, one or more of
// each: all areas whose standard error, Hanley and McNeil's for classes of like
// size, reaches the measured one (Newcombe, Confidence intervals for an effect
// size measure based on the Mann-Whitney statistic, part 2, Statistics in
// Medicine 25, 2006, method 5). It is as good as known where few samples
// separate without a fault. An interval that holds .5 is that of a detector which
// may be guessing.
func AUROCInterval(auroc float64, good, anomalous int) (low, high float64) {
	const z = 1.959964 // of a normal distribution, leaves 2.5 % on each side
	reaches := func(area float64) bool {
		spread := float64(good+anomalous)/2 - 1
		variance := area * (1 - area) * (1 + spread*((1-area)/(2-area)+area/(1+area))) / (float64(good) * float64(anomalous))
		return math.Abs(area-auroc) <= z*math.Sqrt(variance)
	}
	// edge finds where areas stop to reach, between the measured one and the end.
	edge := func(end float64) float64 {
		inside, outside := auroc, end
		for range 60 {
			if mid := inside + (outside-inside)/2; reaches(mid) {
				inside = mid
			} else {
				outside = mid
			}
		}
		return inside
	}
	return edge(0), edge(1)
}

// F1OfAll returns the F1 score, in [0,1], of the verdict that all of so many good
// and anomalous samples are anomalous: what [F1Max] is to be held against.
func F1OfAll(good, anomalous int) float64 {
	return 2 * float64(anomalous) / float64(2*anomalous+good)
}
