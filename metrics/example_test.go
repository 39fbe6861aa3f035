package metrics_test

import (
	"fmt"

	"github.com/anomaly-go/anomaly/metrics"
)

func ExampleAUROC() {
	scores := []float64{0.1, 0.4, 0.35, 0.8}
	anomalous := []bool{false, false, true, true}
	auroc, err := metrics.AUROC(scores, anomalous)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("image AUROC", auroc)
	// Output: image AUROC 0.75
}

func ExampleF1Max() {
	scores := []float64{0.1, 0.4, 0.35, 0.8}
	anomalous := []bool{false, false, true, true}
	f1, threshold, err := metrics.F1Max(scores, anomalous)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("F1 %.2f where score >= %v\n", f1, threshold)
	// Output: F1 0.80 where score >= 0.35
}

func ExamplePixels() {
	const o, x = false, true
	var pixels metrics.Pixels

	// One good image, one with two defects, of which one is missed.
	err := pixels.Add([]float32{
		.1, .1, .2, .1,
		.1, .3, .1, .1,
	}, nil, 2, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = pixels.Add([]float32{
		.9, .8, .1, .1,
		.1, .2, .1, .1,
	}, []bool{
		x, x, o, x,
		o, o, o, x,
	}, 2, 4)
	if err != nil {
		fmt.Println(err)
		return
	}

	auroc, err := pixels.AUROC()
	if err != nil {
		fmt.Println(err)
		return
	}
	aupro, err := pixels.AUPRO(0.3)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d defects, pixel AUROC %.3f, AU-PRO@0.3 %.3f\n", pixels.Regions(), auroc, aupro)
	// Output: 2 defects, pixel AUROC 0.688, AU-PRO@0.3 0.503
}
