package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	goruntime "runtime"

	"github.com/anomaly-go/anomaly/dataset"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// An outcome is what came of one image: a result, or the reason why there is none.
type outcome struct {
	sample *dataset.Sample
	size   image.Point // of the original image
	image  image.Image // nil unless it is to be kept
	pixels []uint8     // as the model sees them, until there is a result
	height int         // of pixels
	width  int
	result anrt.Result
	err    error
}

// detect runs all samples through the detector, a batch at a time, and hands on
// the outcomes in their order. Meanwhile the images of the next batch are read.
// An image that cannot be read or computed is an outcome with an error.
//
// When ctx ends, the batch in flight is finished and handed on before ctx's error
// is returned. An error of handle ends it too.
func detect(ctx context.Context, det *anrt.Detector, samples []dataset.Sample, keepImages bool, handle func(*outcome) error) error {
	return detectAltered(ctx, det, samples, keepImages, nil, handle)
}

// detectAltered is detect with pixels that alter changes before the model sees
// them: those of sample i, uint8 [height, width, channels] of the model's size or,
// where it has none, of the image's. Nil changes nothing.
func detectAltered(ctx context.Context, det *anrt.Detector, samples []dataset.Sample, keepImages bool, alter func(i int, pixels []uint8, height, width int), handle func(*outcome) error) error {
	info := det.Info()
	batch := make([]*outcome, 0, info.Batch)
	flush := func() error {
		compute(context.WithoutCancel(ctx), det, batch)
		for _, o := range batch {
			if err := handle(o); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	ahead := info.Batch + goruntime.GOMAXPROCS(0)
	for item := range dataset.Stream(ctx, samples, info.Height, info.Width, info.Channels, ahead) {
		o := &outcome{sample: item.Sample, pixels: item.Pixels, height: item.Height, width: item.Width, err: item.Err}
		if o.err == nil {
			if alter != nil {
				alter(item.Index, o.pixels, o.height, o.width)
			}
			o.size = item.Image.Bounds().Size()
			if keepImages {
				o.image = item.Image
			}
		}
		batch = append(batch, o)
		if len(batch) == info.Batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return flush()
}

var errScore = errors.New("the score is not a finite number")

// compute fills in the results of those outcomes that have pixels.
func compute(ctx context.Context, det *anrt.Detector, batch []*outcome) {
	var readable []*outcome
	for _, o := range batch {
		if o.err == nil {
			readable = append(readable, o)
		}
	}
	if len(readable) == 0 {
		return
	}
	results, err := resultsOf(ctx, det, readable)
	switch {
	case err != nil && len(readable) > 1: // one image of the batch may be the reason
		for _, o := range readable {
			compute(ctx, det, []*outcome{o})
		}
	case err != nil:
		readable[0].err = err
	default:
		for i, o := range readable {
			o.pixels, o.result = nil, results[i]
			if s := float64(o.result.Score); math.IsNaN(s) || math.IsInf(s, 0) {
				o.err = fmt.Errorf("%w: %v", errScore, s)
			}
		}
	}
}

// resultsOf gives the pixels of outcomes to the model, which has a size or sees
// each image at its own.
func resultsOf(ctx context.Context, det *anrt.Detector, batch []*outcome) ([]anrt.Result, error) {
	info := det.Info()
	if info.Height > 0 {
		var pixels []uint8
		for _, o := range batch {
			pixels = append(pixels, o.pixels...)
		}
		return det.DetectPixels(ctx, pixels, len(batch))
	}
	var images []image.Image
	for _, o := range batch {
		images = append(images, pixelImage(o.pixels, o.height, o.width, info.Channels))
	}
	return det.Detect(ctx, images...)
}
