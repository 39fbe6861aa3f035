package calibrate_test

import (
	"fmt"

	"github.com/anomaly-go/anomaly/calibrate"
)

func ExampleFromGood() {
	var scores []float64 // of good images that the network did not train on
	for i := range 60 {
		scores = append(scores, .2+float64(i)/1000)
	}
	c, err := calibrate.FromGood(scores, .1, calibrate.Rate)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("anomalous is what scores above %.3f; with 95 %% confidence it rejects fewer than %.1f %%\n", c.Threshold, 100*c.Bound)
	// Output: anomalous is what scores above 0.258; with 95 % confidence it rejects fewer than 7.7 %
}

func ExampleRecall() {
	good, anomalous := []float64{.1, .2, .2, .4}, []float64{.3, .5, .6, .9}
	threshold, err := calibrate.Recall(good, anomalous, .75)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := calibrate.Decide(threshold, good, anomalous)
	fmt.Printf("above %.2f are %d of %d anomalous images and %d of %d good ones\n", threshold, d.Recall.Above, d.Recall.Of, d.FalseReject.Above, d.FalseReject.Of)
	// Output: above 0.45 are 3 of 4 anomalous images and 0 of 4 good ones
}
