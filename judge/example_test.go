package judge_test

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

// grey stands for a trained network: it reconstructs every image as middle grey.
type grey struct{}

func (grey) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Add(graph.Mul(x, g.Scalar(0)), g.Scalar(.5))}
}

func (grey) InputSize() (channels, height, width int) { return 1, 16, 16 }

// greyModel is a model of it.
func greyModel() []byte {
	m, err := onnxexport.Build(grey{}, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: .25})
	if err != nil {
		log.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// greys writes images of one grey each and returns their folder.
func greys(levels map[string]uint8) string {
	dir, err := os.MkdirTemp("", "greys-*")
	if err != nil {
		log.Fatal(err)
	}
	for name, level := range levels {
		img := image.NewGray(image.Rect(0, 0, 32, 32))
		for i := range img.Pix {
			img.Pix[i] = level
		}
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

// A folder of images through a detector, in their order.
func ExampleRun() {
	dir := greys(map[string]uint8{"a.png": 128, "b.png": 250, "c.png": 120})
	defer os.RemoveAll(dir)
	det, err := runtime.OpenBytes(greyModel(), &runtime.Options{SessionOptions: runtime.SessionOptions{Provider: runtime.Go}})
	if err != nil {
		log.Fatal(err)
	}
	defer det.Close()
	samples, err := dataset.Find(dir)
	if err != nil {
		log.Fatal(err)
	}
	err = judge.Run(context.Background(), det, samples, &judge.Options{MinArea: 1}, func(f *judge.Finding) error {
		if f.Err != nil {
			return f.Err
		}
		fmt.Printf("%s: score %.2f, %s, regions: %d\n", f.Sample.Name, f.Score, f.Verdict, len(f.Regions))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// a.png: score 0.00, good, regions: 0
	// b.png: score 0.48, anomalous, regions: 1
	// c.png: score 0.03, good, regions: 0
}

// How good a detector is, of what was measured at its threshold.
func ExampleAppraise() {
	threshold := float32(.25)
	good := calibrate.ShareOf(30, 40) // of so many good images, above the threshold
	a := judge.Appraise(&judge.Evidence{Threshold: &threshold, Good: &good})
	fmt.Printf("%v: %s\n", a.Severity, a.Sentence())
	for _, s := range a.Said()[1:] {
		fmt.Printf("%v: %s\n", s.Severity, s.Text)
	}
	// Output:
	// poor: it rejects 30 of 40 good images, more than 10 %
	// doubtful: nothing was measured that would say how good it is
}
