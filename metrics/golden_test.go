package metrics

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// goldenTol: both sides sum about a thousand float64 terms of order 1, in
// different orders.
const goldenTol = 1e-12

type golden struct {
	Regions          int
	Sum              float64
	AUPRO            map[string]float64
	AUROC            float64
	AveragePrecision float64 `json:"average_precision"`
	F1Max            float64 `json:"f1_max"`
	F1Threshold      float64 `json:"f1_threshold"`
	ImageAUROC       float64 `json:"image_auroc"`
}

// goldenMaps builds the maps and masks of testdata/metrics_golden.py.
func goldenMaps() (scores [4][]float32, masks [4][]bool) {
	const side = 16
	state := uint32(3)
	for n := range scores {
		scores[n] = make([]float32, side*side)
		masks[n] = make([]bool, side*side)
		for i := range scores[n] {
			state = 1664525*state + 1013904223
			scores[n][i] = float32(state>>24) / 2
		}
	}
	paint := func(n, y0, y1, x0, x1 int, add float32) {
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				masks[n][y*side+x] = true
				scores[n][y*side+x] += add
			}
		}
	}
	paint(2, 2, 6, 3, 9, 64)
	paint(2, 10, 13, 10, 13, 64-40) // a weak hit
	paint(2, 13, 14, 13, 14, 64)    // joins it by its corner
	paint(3, 7, 9, 0, 16, 64)
	return scores, masks
}

func TestGolden(t *testing.T) {
	var want golden
	testenv.Golden(t, "metrics_golden.py", "metrics.json", &want)
	scores, masks := goldenMaps()

	var p Pixels
	var sum float64
	var images []float64
	var anomalous []bool
	for n := range scores {
		mask := masks[n]
		if !slices.Contains(mask, true) {
			mask = nil
		}
		if err := p.Add(scores[n], mask, 16, 16); err != nil {
			t.Fatal(err)
		}
		for _, s := range scores[n] {
			sum += float64(s)
		}
		images = append(images, float64(slices.Max(scores[n])))
		anomalous = append(anomalous, mask != nil)
	}
	if sum != want.Sum {
		t.Fatalf("maps differ from the script's: got sum %v, want %v", sum, want.Sum)
	}
	if got := p.Regions(); got != want.Regions {
		t.Errorf("regions: got %d, want %d", got, want.Regions)
	}
	check := func(what string, got, want float64, err error) {
		t.Helper()
		if err != nil || !(math.Abs(got-want) <= goldenTol) {
			t.Errorf("%s: got %.15f, %v, want %.15f", what, got, err, want)
		}
	}
	for key, area := range want.AUPRO {
		limit, err := strconv.ParseFloat(key, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.AUPRO(limit)
		check("AU-PRO@"+key, got, area, err)
	}
	got, err := p.AUROC()
	check("AUROC", got, want.AUROC, err)
	got, err = p.AveragePrecision()
	check("AP", got, want.AveragePrecision, err)
	got, threshold, err := p.F1Max()
	check("F1max", got, want.F1Max, err)
	if threshold != want.F1Threshold {
		t.Errorf("F1max: got threshold %v, want %v", threshold, want.F1Threshold)
	}
	got, err = AUROC(images, anomalous)
	check("image AUROC", got, want.ImageAUROC, err)
}
