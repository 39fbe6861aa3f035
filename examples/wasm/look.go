package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/draw"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/runtime"
)

// open opens a model that looks at one image at a time.
func open(model []byte) (*runtime.Detector, error) {
	return runtime.OpenBytes(model, &runtime.Options{
		// WebAssembly has one thread, and addresses 4 GiB.
		SessionOptions: runtime.SessionOptions{Provider: runtime.Go, Threads: 1, MaxMemory: 2 << 30},
		Batch:          1,
	})
}

// maxPixels is the largest picture that is decoded: larger ones take minutes and gigabytes.
const maxPixels = 100e6

// decode reads an image file as training does.
func decode(file []byte) (image.Image, error) {
	img, _, err := dataset.Decode(bytes.NewReader(file), "", &dataset.Decoding{MaxPixels: maxPixels})
	return img, err
}

// A finding is what the page says of an image, and the pictures that it shows.
type finding struct {
	verdict, said string
	took          time.Duration // of it the model
	tiles         []*image.RGBA // as many of tileNames as there are
}

var tileNames = []string{"picture", "heat map", "anomalous area"}

// look judges an image.
func look(detector *runtime.Detector, img image.Image) (*finding, error) {
	began := time.Now()
	results, err := detector.Detect(context.Background(), img)
	if err != nil {
		return nil, err
	}
	r := &results[0]
	f := &finding{verdict: "no verdict", took: time.Since(began), said: fmt.Sprintf("score %.4g", r.Score)}
	if r.Verdict != "" {
		f.verdict = string(r.Verdict)
	}
	if r.Threshold != nil {
		f.said += fmt.Sprintf(", threshold %.4g", *r.Threshold)
	}
	if len(r.Unlike) > 0 {
		f.said += "; the image is " + strings.Join(r.Unlike, ", ")
	}
	o := &heatmap.PictureOptions{Threshold: r.PixelThreshold, Scale: r.Scale, NoMap: r.Map == nil, Tile: 384}
	drawn := heatmap.Picture(img, r.Map, o)
	for _, at := range heatmap.Layout(img.Bounds().Size(), o) {
		tile := image.NewRGBA(at)
		draw.Draw(tile, at, drawn, at.Min, draw.Src)
		f.tiles = append(f.tiles, tile)
	}
	return f, nil
}
