package main

import (
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// grey stands for a trained network: it reconstructs every image as middle grey.
type grey struct{}

func (grey) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Add(graph.Mul(x, g.Scalar(0)), g.Scalar(.5))}
}

func (grey) InputSize() (channels, height, width int) { return 1, 16, 16 }

func create(t *testing.T, path string, write func(f *os.File) error) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	model, img := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "a.png")
	create(t, model, func(f *os.File) error { return onnxexport.Write(f, grey{}, nil, nil) })
	create(t, img, func(f *os.File) error { return png.Encode(f, image.NewGray(image.Rect(0, 0, 16, 16))) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := serve(ctx, model, []string{dir}, 3, anrt.Go); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if err := serve(ctx, model, []string{filepath.Join(dir, "absent")}, 3, anrt.Go); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no images: got %v, want os.ErrNotExist", err)
	}
}
