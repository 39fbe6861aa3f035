package page

import (
	"regexp"
	"slices"
	"testing"
)

func TestLogTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   []float64
	}{
		{.9, 1.1, []float64{.9, .95, 1, 1.05, 1.1}},
		{1, 60, []float64{1, 2, 5, 10, 20, 50}},
		{2e-6, 3e-2, []float64{1e-5, 1e-4, 1e-3, 1e-2}},
	} {
		got := logTicks(c.lo, c.hi)
		near := func(a, b float64) bool { return a/b > 1-1e-9 && a/b < 1+1e-9 } // a few roundings
		if !slices.EqualFunc(got, c.want, near) {
			t.Errorf("%v to %v: got %v, want %v", c.lo, c.hi, got, c.want)
		}
	}
}

func TestChartLabels(t *testing.T) {
	svg := string(chart("rate", "epoch", []curve{{x: []float64{1, 2}, y: []float64{.002, .002}}}))
	var got []string
	for _, m := range regexp.MustCompile(`text-anchor="end">([\d.e-]+)<`).FindAllStringSubmatch(svg, -1) {
		got = append(got, m[1])
	}
	if want := []string{"0.00185", "0.0019", "0.00195", "0.002", "0.00205", "0.0021", "0.00215", "0.0022"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
