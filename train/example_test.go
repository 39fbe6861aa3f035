package train_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

// Train on images of stripes, export, and look at one with a spot.
func ExampleFit() {
	const size = 16
	stripes := func(phase int) []uint8 {
		img := make([]uint8, size*size)
		for i := range img {
			img[i] = uint8(120 + 80*math.Sin(2*math.Pi*float64(i%size+phase)/size))
		}
		return img
	}
	var good []uint8
	for i := range 24 {
		good = append(good, stripes(i)...)
	}

	net, err := models.Open(models.Spec{Channels: 1, Height: size, Filters: 8, Depth: 2}, nil)
	if err != nil {
		log.Fatal(err)
	}
	result, err := train.Fit(context.Background(), net, &train.Data{Pixels: good}, &train.Settings{
		Loss: "mse", Map: &residual.Options{Kind: residual.L2Map},
		Epochs: 30, LearningRate: 1e-2, Batch: 4, Provider: "go",
	})
	if err != nil {
		log.Fatal(err)
	}
	var model bytes.Buffer
	err = onnxexport.Write(&model, result.Network, result.Weights, &onnxexport.Options{
		Map: *result.Settings.Map, Threshold: result.Calibration.Threshold,
	})
	if err != nil {
		log.Fatal(err)
	}

	det, err := runtime.OpenBytes(model.Bytes(), &runtime.Options{SessionOptions: runtime.SessionOptions{Provider: "go"}})
	if err != nil {
		log.Fatal(err)
	}
	defer det.Close()
	spot := stripes(1)
	for _, i := range []int{100, 101, 102, 116, 117, 118, 132, 133, 134} {
		spot[i] = 0
	}
	results, err := det.DetectPixels(context.Background(), append(stripes(1), spot...), 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stripes anomalous:", results[0].Anomalous)
	fmt.Println("with a spot:", results[1].Anomalous)
	// Output:
	// stripes anomalous: false
	// with a spot: true
}
