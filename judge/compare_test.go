package judge

import (
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/google/go-cmp/cmp"
)

func TestCompareImages(t *testing.T) {
	samples := []dataset.Sample{
		{Name: "same", Kind: "good"}, {Name: "mended", Kind: "good"}, {Name: "broken", Kind: "good"}, {Name: "missed", Kind: "x", Anomalous: true},
	}
	scores := [2][]float32{{0, 2, 0, 2}, {.5, 0, 2, 1}}
	var models [2][]*Finding
	for k := range models {
		for i := range samples {
			anomalous := scores[k][i] > 1
			models[k] = append(models[k], &Finding{Path: samples[i].Name, Sample: &samples[i], Score: scores[k][i], Anomalous: &anomalous})
		}
	}
	var got []string
	for _, i := range compareImages(models[0], models[1]) {
		if i.Changed != (i.Path != "same") {
			t.Errorf("%s: got changed %v", i.Path, i.Changed)
		}
		got = append(got, i.Path)
	}
	if d := cmp.Diff([]string{"broken", "missed", "mended", "same"}, got); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestIntervals(t *testing.T) {
	var draws [][]float64
	for i := range 1000 {
		draws = append(draws, []float64{float64(999 - i)}, nil)
	}
	if got, want := intervals([]string{"m"}, []float64{500}, draws)["m"], (Interval{500, 25, 974}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
