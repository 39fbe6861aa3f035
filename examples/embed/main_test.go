package main

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// black makes every image black: what is brighter is anomalous.
type black struct{}

func (black) InputSize() (channels, height, width int) { return 1, 16, 16 }

func (black) Forward(x *graph.Value) models.Outputs {
	return models.Outputs{Reconstruction: graph.Mul(x, x.Graph().Scalar(0))}
}

func Example_detect() {
	dir, err := os.MkdirTemp("", "embed")
	must(err)
	defer os.RemoveAll(dir)
	model, err := os.Create(filepath.Join(dir, "model.onnx"))
	must(err)
	must(onnxexport.Write(model, black{}, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: .5}))
	must(model.Close())
	for name, grey := range map[string]uint8{"good.png": 0, "bad.png": 255} {
		img := image.NewGray(image.Rect(0, 0, 40, 30))
		draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{grey}), image.Point{}, draw.Src)
		f, err := os.Create(filepath.Join(dir, name))
		must(err)
		must(png.Encode(f, img))
		must(f.Close())
	}
	must(detect(model.Name(), filepath.Join(dir, "good.png"), filepath.Join(dir, "bad.png")))
	// Output:
	// good.png 0 false
	// bad.png 1 true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
