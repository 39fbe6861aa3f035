package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/runtime"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: embed model.onnx IMAGES…")
	}
	if err := detect(os.Args[1], os.Args[2:]...); err != nil {
		log.Fatal(err)
	}
}

// detect prints what the model finds in each image.
func detect(model string, paths ...string) error {
	det, err := runtime.Open(model, nil)
	if err != nil {
		return err
	}
	defer det.Close()
	images, err := dataset.Find(paths...)
	if err != nil {
		return err
	}
	for _, sample := range images {
		img, err := sample.Image()
		if err != nil {
			return err
		}
		results, err := det.Detect(context.Background(), img)
		if err != nil {
			return err
		}
		fmt.Println(sample.Name, results[0].Score, results[0].Anomalous)
	}
	return nil
}
