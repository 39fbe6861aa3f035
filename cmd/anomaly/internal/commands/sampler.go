package commands

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	"io"
	"os"
	"path/filepath"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
	xdraw "golang.org/x/image/draw"
)

const (
	samples      = 6   // images whose reconstructions are shown
	sampleEpochs = 8   // how often, about
	sampleTile   = 128 // least side of one, in pixels
)

// A sampler writes reconstructions of a few training images while a network
// learns, and the page that shows them. What fails is kept for the end: training
// goes on.
type sampler struct {
	o      *trainOptions
	dir    string
	pixels []uint8 // of the samples
	n      int
	err    error
}

func newSampler(o *trainOptions, data *train.Data) *sampler {
	channels, height, width := o.net.InputSize()
	size := channels * height * width
	all := len(data.Pixels) / size
	s := &sampler{o: o, dir: o.out + page.SamplesSuffix, n: min(samples, all)}
	for i := range s.n {
		at := i * all / s.n * size
		s.pixels = append(s.pixels, data.Pixels[at:at+size]...)
	}
	return s
}

// epoch is called after every step.
func (s *sampler) epoch(ctx context.Context, p train.Progress) {
	every := max(1, p.Epochs/sampleEpochs)
	if s.err != nil || !p.EpochEnd() || p.Stage != p.Stages || p.Epoch > 1 && p.Epoch < p.Epochs && p.Epoch%every != 0 {
		return
	}
	if s.err = s.draw(ctx, p.Weights, p.Epoch); s.err == nil {
		s.err = page.WriteTraining(s.o.page, []string{s.o.out + page.LogSuffix})
	}
}

// end writes the page for the last time.
func (s *sampler) end() error {
	if s.err != nil {
		return fmt.Errorf("--report: %w", s.err)
	}
	return page.WriteTraining(s.o.page, []string{s.o.out + page.LogSuffix})
}

// draw writes a picture: the images above their reconstructions.
func (s *sampler) draw(ctx context.Context, weights map[string]*graph.Tensor, epoch int) error {
	model, err := onnxexport.Build(s.o.net, weights, nil)
	if err != nil {
		return err
	}
	b, err := onnxexport.Marshal(model)
	if err != nil {
		return err
	}
	det, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: s.o.settings.Provider, ProviderOptions: s.o.settings.ProviderOptions, Threads: 1}, Reconstruction: true})
	if err != nil {
		return err
	}
	defer det.Close()
	// An epoch that has ended is drawn even when ctx has.
	results, err := det.DetectPixels(context.WithoutCancel(ctx), s.pixels, s.n)
	if err != nil {
		return err
	}
	c, h, w := s.o.net.InputSize()
	zoom := max(1, (sampleTile+h-1)/h)
	out := image.NewRGBA(image.Rect(0, 0, s.n*w*zoom, 2*h*zoom))
	for i, r := range results {
		for row, img := range []image.Image{imageio.FromPixels(s.pixels[i*h*w*c:(i+1)*h*w*c], h, w, c), r.Reconstruction} {
			xdraw.NearestNeighbor.Scale(out, image.Rect(i*w*zoom, row*h*zoom, (i+1)*w*zoom, (row+1)*h*zoom), img, img.Bounds(), draw.Src, nil)
		}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.dir, page.SampleName(epoch)), func(w io.Writer) error { return page.EncodePNG(w, out) })
}
