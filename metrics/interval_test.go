package metrics

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAUROCInterval(t *testing.T) {
	for _, c := range []struct {
		auroc           float64
		good, anomalous int
		chance          bool // the interval holds .5
	}{
		{.5, 20, 20, true}, {.6, 10, 10, true}, {.6, 1000, 1000, false}, {.3, 60, 60, false},
		{1, 2, 2, true}, {1, 20, 20, false}, {0, 20, 20, false}, {.8, 1, 1, true},
	} {
		low, high := AUROCInterval(c.auroc, c.good, c.anomalous)
		if !(0 <= low && low <= c.auroc && c.auroc <= high && high <= 1) {
			t.Errorf("%+v: got [%v, %v]", c, low, high)
		}
		if got := low <= .5 && .5 <= high; got != c.chance {
			t.Errorf("%+v: got [%v, %v]", c, low, high)
		}
		// The other class taken as anomalous turns it over.
		if l, h := AUROCInterval(1-c.auroc, c.anomalous, c.good); math.Abs(l-(1-high)) > 1e-9 || math.Abs(h-(1-low)) > 1e-9 {
			t.Errorf("%+v: got [%v, %v], turned over [%v, %v]", c, low, high, l, h)
		}
	}
}

// The interval holds the true area of two normal distributions as often as it says.
func TestAUROCIntervalCovers(t *testing.T) {
	// Of 1000 trials a share of 95 % is within three standard errors of this.
	const trials, least, most = 1000, .93, .985 // few samples: it is rather too wide
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		apart           float64 // means, in standard deviations
		good, anomalous int
	}{{0, 15, 25}, {.8, 20, 20}, {1.5, 30, 60}, {2.5, 40, 15}} {
		area := .5 * math.Erfc(-c.apart/2)
		held := 0
		for range trials {
			var scores []float64
			var anomalous []bool
			for i := range c.good + c.anomalous {
				bad := i >= c.good
				x := rng.NormFloat64()
				if bad {
					x += c.apart
				}
				scores, anomalous = append(scores, x), append(anomalous, bad)
			}
			auroc, err := AUROC(scores, anomalous)
			if err != nil {
				t.Fatal(err)
			}
			if low, high := AUROCInterval(auroc, c.good, c.anomalous); low <= area && area <= high {
				held++
			}
		}
		if share := float64(held) / trials; share < least || share > most {
			t.Errorf("%+v: the interval holds the true area %.3f in %.1f %% of all trials", c, area, 100*share)
		}
	}
}

func TestF1OfAll(t *testing.T) {
	for _, c := range []struct {
		good, anomalous int
		want            float64
	}{{10, 10, 2. / 3}, {0, 3, 1}, {3, 0, 0}, {1, 3, 6. / 7}} {
		if got := F1OfAll(c.good, c.anomalous); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
