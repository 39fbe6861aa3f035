package calibrate

import (
	"math"
	"testing"
)

func TestDecide(t *testing.T) {
	good, bad := []float64{.1, .2, .3, .6}, []float64{.25, .5, .7}
	for _, c := range []struct {
		threshold         float32
		rejects, found    int
		precision, wantF1 float64 // precision NaN: none
	}{
		{.4, 1, 2, 2. / 3, 2. / 3},
		{0, 4, 3, 3. / 7, .6},
		{.65, 0, 1, 1, .5},
		{1, 0, 0, math.NaN(), 0},
	} {
		d := Decide(c.threshold, good, bad)
		precision := math.NaN()
		if d.Precision != nil {
			precision = *d.Precision
		}
		same := precision == c.precision || math.IsNaN(precision) && math.IsNaN(c.precision)
		if d.FalseReject.Above != c.rejects || d.Recall.Above != c.found || !same || math.Abs(d.F1-c.wantF1) > 1e-12 {
			t.Errorf("threshold %v: got %+v with precision %v, want %+v", c.threshold, d, precision, c)
		}
	}
}
