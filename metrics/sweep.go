package metrics

import (
	"errors"
	"iter"
)

// ErrOneClass is wrapped by the errors for samples that are all good or all
// anomalous: no metric here is defined on them.
var ErrOneClass = errors.New("both good and anomalous samples are needed")

// A sweep lowers the threshold over all distinct scores.
type sweep struct {
	good, bad int // samples in all, both > 0
	regions   int // defects in all, for aupro
	steps     iter.Seq[step]
}

// A step is what crosses the threshold when it reaches score: all samples that
// tie at it. Steps come in descending order of score.
type step struct {
	score     float64
	good, bad int
	overlap   float64 // sum over the step's anomalous pixels of 1/(size of the pixel's defect)
}

// auroc is the Mann-Whitney statistic, the probability that an anomalous sample
// outscores a good one, ties counting one half. The counts are whole, so the one
// rounding is that of the final division.
func (s sweep) auroc() float64 {
	var tp, twice int
	for st := range s.steps {
		twice += st.good * (2*tp + st.bad)
		tp += st.bad
	}
	return float64(twice) / 2 / (float64(s.good) * float64(s.bad))
}

// averagePrecision is the sum of precision times gained recall over the steps,
// scikit-learn's average_precision_score: no interpolation.
func (s sweep) averagePrecision() float64 {
	var tp, fp int
	var sum float64
	for st := range s.steps {
		tp += st.bad
		fp += st.good
		if st.bad > 0 {
			sum += float64(st.bad) * float64(tp) / float64(tp+fp)
		}
	}
	return sum / float64(s.bad)
}

func (s sweep) f1Max() (f1, threshold float64) {
	var tp, fp int
	for st := range s.steps {
		tp += st.bad
		fp += st.good
		if f := 2 * float64(tp) / float64(tp+fp+s.bad); f > f1 {
			f1, threshold = f, st.score
		}
	}
	return f1, threshold
}

// aupro integrates the PRO curve, which runs from (0, 0) through one point a
// step to (1, 1), by trapezoids up to the false-positive rate limit.
func (s sweep) aupro(limit float64) float64 {
	var fp int
	var overlap, area, fpr, pro float64
	for st := range s.steps {
		fp += st.good
		overlap += st.overlap
		nextFPR := float64(fp) / float64(s.good)
		nextPRO := min(overlap/float64(s.regions), 1) // the sum of many 1/size may round above 1
		if nextFPR > limit {
			reach := (limit - fpr) / (nextFPR - fpr)
			atLimit := pro + reach*(nextPRO-pro)
			return (area + (limit-fpr)*(pro+atLimit)/2) / limit
		}
		area += (nextFPR - fpr) * (pro + nextPRO) / 2
		fpr, pro = nextFPR, nextPRO
	}
	return area / limit // the last step ends at a rate of 1, so limit is 1
}
