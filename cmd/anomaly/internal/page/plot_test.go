package page

import (
	"errors"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
)

func TestPlotPaths(t *testing.T) {
	roc := []metrics.Point{{X: 0, Y: 0}, {X: 0, Y: .5}, {X: .2, Y: .75}, {X: 1, Y: 1}}
	if got, want := polyline(roc, 1), "M0 100L0 50L20 25L100 0"; got != want {
		t.Errorf("whole: got %s, want %s", got, want)
	}
	// At 0.6 the curve is half way between its last two points.
	if got, want := polyline(roc, .6), "M0 100L0 50L33.33 25L100 12.5"; got != want {
		t.Errorf("up to 0.6: got %s, want %s", got, want)
	}
	pr := []metrics.Point{{X: 0, Y: 1}, {X: .5, Y: 1}, {X: 1, Y: .8}}
	if got, want := steps(pr), "M0 0V0H50V20H100"; got != want {
		t.Errorf("steps: got %s, want %s", got, want)
	}
}

func TestHistograms(t *testing.T) {
	threshold := float32(2)
	r := &Report{Threshold: &threshold, Eval: &evaluation{}}
	for _, row := range []struct {
		kind  string
		score float32
		err   string
	}{{"good", 0, ""}, {"good", 0, ""}, {"good", 1, ""}, {"crack", 1, ""}, {"crack", 0, "broken"}, {"bent", 0, "broken"}} {
		f := judge.Finding{Score: row.score, Sample: &dataset.Sample{Kind: row.kind}}
		if row.err != "" {
			f.Err = errors.New(row.err)
		}
		r.Rows = append(r.Rows, Row{Finding: f})
	}
	got := r.Histograms()
	if len(got) != 2 || got[0].Kind != "good" || got[0].N != 3 || got[1].Kind != "crack" || got[1].N != 1 {
		t.Fatalf("got %+v, want 3 good and 1 crack; the bent one failed", got)
	}
	if lo, hi := r.span(); !(lo < 0 && hi > 2) {
		t.Errorf("got a range of %v to %v, want scores and threshold within", lo, hi)
	}
	// The range is -0.04 to 2.04: scores 0 and 1 are in bins 1 and 40 of 80.
	good := "M0 1V1H1V0H2"
	if got[0].Path[:len(good)] != good {
		t.Errorf("got %s, want a full bin 1", got[0].Path)
	}
}
