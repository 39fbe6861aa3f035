package drift

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/calibrate"
)

var levels = []float64{0, .01, .05, .25, .5, .75, .95, .99, 1}

// newReference returns the quantiles of a sample as training notes them.
func newReference(xs []float64, higher bool) *reference {
	slices.Sort(xs)
	r := &reference{n: len(xs), levels: levels, higher: higher}
	for _, p := range levels {
		r.q = append(r.q, calibrate.Quantile(xs, p))
	}
	return r
}

// TestChance holds the chance of a distance against all orders of small samples.
func TestChance(t *testing.T) {
	for _, size := range [][2]int{{2, 3}, {5, 4}, {7, 6}} {
		n, m := size[0], size[1]
		for _, higher := range []bool{false, true} {
			for _, d := range []float64{.3, .55, .81, 1} {
				far, all := 0, 0
				r := &reference{n: n, levels: levels, higher: higher}
				looked := map[int]bool{}
				for i := range levels {
					below, upTo := r.ranks(i)
					looked[below], looked[upTo] = true, true
				}
				for order := range uint(1) << (n + m) {
					if bits.OnesCount(order) != n {
						continue
					}
					all++
					i, j := 0, 0
					for at := 0; ; at++ {
						off := float64(i)/float64(n) - float64(j)/float64(m)
						if looked[i] && (off >= d || !higher && -off >= d) {
							far++
							break
						}
						if at == n+m {
							break
						}
						if order>>at&1 == 1 {
							i++
						} else {
							j++
						}
					}
				}
				if got, want := r.chance(m, d), float64(far)/float64(all); math.Abs(got-want) > 1e-12 {
					t.Errorf("%d and %d, higher %v, %v: got %v, want %v", n, m, higher, d, got, want)
				}
			}
		}
	}
}

// TestFalseAlarms draws references and windows from one distribution, with values that
// repeat and without: alarms are as rare as they are said to be, and not much rarer.
func TestFalseAlarms(t *testing.T) {
	const rate, window, trials = .05, 50, 4000
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{7, 20, 100, 209} {
		for _, higher := range []bool{false, true} {
			for _, step := range []float64{0, .5} { // of the values
				draw := func(k int) []float64 {
					xs := make([]float64, k)
					for i := range xs {
						if xs[i] = random.NormFloat64(); step > 0 {
							xs[i] = math.Round(xs[i]/step) * step
						}
					}
					return xs
				}
				limit := newReference(draw(n), higher).limit(window, rate)
				alarms := 0
				for range trials {
					xs := draw(window)
					slices.Sort(xs)
					if newReference(draw(n), higher).distance(xs) >= limit {
						alarms++
					}
				}
				got := float64(alarms) / trials
				t.Logf("%d images, higher %v, step %v: %.4f of windows alarm", n, higher, step, got)
				if spread := 4 * math.Sqrt(rate*(1-rate)/trials); got > rate+spread || step == 0 && got < rate/5 {
					t.Errorf("%d images, higher %v, step %v: %v of windows alarm, want at most %v", n, higher, step, got, rate)
				}
			}
		}
	}
}

// TestDistance finds what has moved, in which direction, and nothing else.
func TestDistance(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(k int, mean float64) []float64 {
		xs := make([]float64, k)
		for i := range xs {
			xs[i] = mean + random.NormFloat64()
		}
		slices.Sort(xs)
		return xs
	}
	both, higher := newReference(draw(100, 0), false), newReference(draw(100, 0), true)
	for _, tt := range []struct {
		of    *reference
		mean  float64
		alarm bool
	}{{both, 0, false}, {both, 1, true}, {both, -1, true}, {higher, 0, false}, {higher, 1, true}, {higher, -1, false}} {
		if d, limit := tt.of.distance(draw(200, tt.mean)), tt.of.limit(200, DefaultFalseAlarms/3); (d >= limit) != tt.alarm {
			t.Errorf("mean %v, higher %v: got distance %v, limit %v, want an alarm: %v", tt.mean, tt.of.higher, d, limit, tt.alarm)
		}
	}
	if limit := newReference(draw(2, 0), false).limit(20, 1e-6); !math.IsInf(limit, 1) {
		t.Errorf("of two images: got limit %v, want none", limit)
	}
}
