package drift

import (
	"math"
	"slices"
)

// A reference is what is known of n values that others are compared with: the quantiles q
// at levels, ascending, linear between order statistics.
type reference struct {
	n         int
	levels, q []float64
	higher    bool // only higher values count as others
}

// ranks returns how many of the reference's values lie strictly below its i-th quantile,
// at the most, and up to it, at the least.
func (r *reference) ranks(i int) (below, upTo int) {
	const rounding = 1e-9 // of the place among the order statistics
	at := float64(r.n-1) * r.levels[i]
	k := int(at + rounding)
	if at-float64(k) > rounding { // between two of them
		return k + 1, k + 1
	}
	return k, k + 1
}

// distance is the largest difference of the distribution functions of the reference and of
// xs, ascending, at the reference's quantiles: at most the statistic D of Kolmogorov and
// Smirnov for two samples. Where values repeat it is smaller, not larger.
func (r *reference) distance(xs []float64) float64 {
	n, m := float64(r.n), float64(len(xs))
	d := 0.
	for i, q := range r.q {
		below, upTo := r.ranks(i)
		strictly, _ := slices.BinarySearch(xs, q)
		up, _ := slices.BinarySearch(xs, math.Nextafter(q, math.Inf(1)))
		d = max(d, float64(upTo)/n-float64(up)/m)
		if !r.higher {
			d = max(d, float64(strictly)/m-float64(below)/n)
		}
	}
	return d
}

// chance returns the probability, at the most, that m values of the reference's own
// distribution come to a distance of d or more. Merged in order, n and m values are a path
// through a grid from (0, 0) to (n, m), all paths being as likely (Hodges, Arkiv för
// Matematik 3, 1958); those count that are d or more off the diagonal where a quantile is.
func (r *reference) chance(m int, d float64) float64 {
	n := r.n
	looked := make([]bool, n+1)
	for i := range r.levels {
		below, upTo := r.ranks(i)
		looked[below], looked[upTo] = true, true
	}
	far := 0.
	row := make([]float64, m+1) // probability to come to (i, j) without having been far off
	for i := 0; i <= n; i++ {
		for j := 0; j <= m; j++ {
			p := 0.
			if i > 0 {
				p += row[j] * float64(n-i+1) / float64(n+m-i-j+1)
			}
			if j > 0 {
				p += row[j-1] * float64(m-j+1) / float64(n+m-i-j+1)
			}
			if i == 0 && j == 0 {
				p = 1
			}
			off := float64(i)/float64(n) - float64(j)/float64(m)
			if looked[i] && (off >= d || !r.higher && -off >= d) {
				far += p
				p = 0
			}
			row[j] = p
		}
	}
	return far
}

// mostCounted bounds the values of a reference that chance counts: more of them would let
// limits be lower by little.
const mostCounted = 2000

// limit returns the least distance that m values come to with a chance of rate at the
// most; +Inf where there is none.
func (r *reference) limit(m int, rate float64) float64 {
	c := *r
	c.n = min(c.n, mostCounted)
	if c.chance(m, 1) > rate {
		return math.Inf(1)
	}
	low, high := 0., 1.
	for range 25 {
		if d := (low + high) / 2; c.chance(m, d) > rate {
			low = d
		} else {
			high = d
		}
	}
	return high
}
