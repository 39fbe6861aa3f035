package commands

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

// detectOptions say how detect looks at images; nil is the defaults.
type detectOptions struct {
	keepImages bool // for handle
	// alter, where not nil, changes pixels before the model sees them: those of
	// sample i, uint8 [height, width, channels] of the model's size or, where it has
	// none, of the image's.
	alter func(i int, pixels []uint8, height, width int)
	// swapped says that the detector's model may be swapped meanwhile, for one of
	// another size too.
	swapped bool
	// batch, where not nil, gets each batch, with its images, after handle.
	batch func(ctx context.Context, batch []*outcome) error
}

// detect runs all samples through the detector, a batch at a time, and hands on
// the outcomes in their order. Meanwhile the images of the next batch are read.
// An image that cannot be read or computed is an outcome with an error.
//
// When ctx ends, the batch in flight is finished and handed on before ctx's error
// is returned. An error of handle ends it too.
func detect(ctx context.Context, det *anrt.Detector, samples []dataset.Sample, o *detectOptions, handle func(*outcome) error) error {
	if o == nil {
		o = &detectOptions{}
	}
	info := det.Info()
	batch := make([]*outcome, 0, info.Batch)
	flush := func() error {
		compute(context.WithoutCancel(ctx), det, batch, o.swapped)
		for _, out := range batch {
			if err := handle(out); err != nil {
				return err
			}
		}
		if o.batch != nil {
			if err := o.batch(ctx, batch); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	ahead := info.Batch + goruntime.GOMAXPROCS(0)
	for item := range dataset.Stream(ctx, samples, info.Height, info.Width, info.Channels, ahead) {
		out := &outcome{sample: item.Sample, pixels: item.Pixels, height: item.Height, width: item.Width, err: item.Err}
		if out.err == nil {
			if o.alter != nil {
				o.alter(item.Index, out.pixels, out.height, out.width)
			}
			out.size = item.Image.Bounds().Size()
			if o.keepImages || o.swapped || o.batch != nil {
				out.image = item.Image
			}
		}
		batch = append(batch, out)
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

// compute fills in the results of those outcomes that have pixels: from these, or
// from the images where the model's size may be another by now.
func compute(ctx context.Context, det *anrt.Detector, batch []*outcome, swapped bool) {
	var readable []*outcome
	for _, o := range batch {
		if o.err == nil {
			readable = append(readable, o)
		}
	}
	if len(readable) == 0 {
		return
	}
	results, err := resultsOf(ctx, det, readable, swapped)
	switch {
	case err != nil && len(readable) > 1: // one image of the batch may be the reason
		for _, o := range readable {
			compute(ctx, det, []*outcome{o}, swapped)
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

// resultsOf gives outcomes to the model: their pixels; or the images, where it may
// have been swapped; or pixels as images, where it sees each at its own size.
func resultsOf(ctx context.Context, det *anrt.Detector, batch []*outcome, swapped bool) ([]anrt.Result, error) {
	info := det.Info()
	var pixels []uint8
	var images []image.Image
	for _, o := range batch {
		switch {
		case swapped:
			images = append(images, o.image)
		case info.Height == 0:
			images = append(images, pixelImage(o.pixels, o.height, o.width, info.Channels))
		default:
			pixels = append(pixels, o.pixels...)
		}
	}
	if pixels == nil {
		return det.Detect(ctx, images...)
	}
	return det.DetectPixels(ctx, pixels, len(batch))
}
