package judge

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	goruntime "runtime"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/runtime"
)

// Options say how [Run] looks at images; nil is the defaults.
type Options struct {
	// Path spells an image's path; nil is its name.
	Path func(*dataset.Sample) string
	// MinArea is the smallest area of a region, in pixels of the map; 0 looks for none.
	MinArea int
	// KeepImages leaves the images in their findings.
	KeepImages bool
	// Longest is a side in pixels that is enough of kept images: longer ones may come
	// resized to it. 0 is no limit.
	Longest int
	// Alter, where not nil, changes pixels before the model sees them: those of
	// sample i, uint8 [height, width, channels] of the model's size or, where it has
	// none, of the image's. It does not go with Swapped.
	Alter func(i int, pixels []uint8, height, width int)
	// Swapped says that the detector's model may be swapped meanwhile, for one of
	// another size too.
	Swapped bool
	// Batch, where not nil, gets each batch, after its findings were handed on.
	Batch func(ctx context.Context, batch []*Finding) error
}

// ErrScore is wrapped by the error of an image whose score is not a finite number.
var ErrScore = errors.New("the score is not a finite number")

// CheckScore returns an error that wraps ErrScore if a score is not a finite number.
func CheckScore(score float32) error {
	if s := float64(score); math.IsNaN(s) || math.IsInf(s, 0) {
		return fmt.Errorf("%w: %v", ErrScore, s)
	}
	return nil
}

// Run runs all samples through the detector, a batch at a time, and hands on the
// findings in their order. Meanwhile the images of the next batch are read. An image
// that cannot be read or computed is a finding with an error: where a batch fails,
// each of its images is tried alone.
//
// When ctx ends, the batch in flight is finished and handed on before ctx's error
// is returned; one that takes a second longer is given up. An error of each, or of o.Batch, ends it too.
func Run(ctx context.Context, det *runtime.Detector, samples []dataset.Sample, o *Options, each func(*Finding) error) error {
	if o == nil {
		o = &Options{}
	}
	info := det.Info()
	r := &runner{det: det, o: o}
	batch := make([]*Finding, 0, info.Batch)
	flush := func() error {
		graced, cancel := Grace(ctx)
		defer cancel()
		r.compute(graced, batch)
		if graced.Err() != nil {
			return ctx.Err()
		}
		for _, f := range batch {
			if err := each(f); err != nil {
				return err
			}
		}
		if o.Batch != nil {
			if err := o.Batch(ctx, batch); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	stream := &dataset.StreamOptions{Height: info.Height, Width: info.Width, Channels: info.Channels, Ahead: info.Batch + goruntime.GOMAXPROCS(0)}
	if info.View.Tiles != nil { // images that may be large: one is computed while the next is read
		stream.Ahead = 1
		if o.Alter == nil {
			stream.Channels = 0
		}
	}
	if whole := stream.Channels == 0 || info.Height == 0 || o.Swapped; !whole { // the model sees nothing but the pixels
		stream.NoImages, stream.Longest = !o.KeepImages, o.Longest
	}
	for item := range dataset.Stream(ctx, samples, stream) {
		f := &Finding{Path: item.Sample.Name, Sample: item.Sample, Err: item.Err, pixels: item.Pixels, height: item.Height, width: item.Width}
		if o.Path != nil {
			f.Path = o.Path(item.Sample)
		}
		if f.Err == nil {
			if o.Alter != nil {
				o.Alter(item.Index, f.pixels, f.height, f.width)
			}
			f.Image, f.Size = item.Image, item.Size
			if err := info.View.Fits(f.Size); err != nil && !o.Swapped {
				f.Err, f.Image = err, nil
			}
		}
		batch = append(batch, f)
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

// A runner computes batches.
type runner struct {
	det  *runtime.Detector
	o    *Options
	rows []uint8 // a batch's pixels
}

// compute fills in those findings that have an image.
func (r *runner) compute(ctx context.Context, batch []*Finding) {
	var readable []*Finding
	for _, f := range batch {
		if f.Err == nil {
			readable = append(readable, f)
		}
	}
	if len(readable) == 0 {
		return
	}
	results, err := r.results(ctx, readable)
	wanted := r.det.Info().View.Foreground
	foreground := wanted != nil && *wanted
	switch {
	case err != nil && len(readable) > 1: // one image of the batch may be the reason
		for _, f := range readable {
			r.compute(ctx, []*Finding{f})
		}
	case err != nil:
		readable[0].Err, readable[0].Image, readable[0].pixels = err, nil, nil
	default:
		for i, f := range readable {
			f.fill(results[i], r.o)
			if f.Result.Part == nil && foreground && f.Sample.Decoding != nil {
				f.Sample.Decoding.Notes.Add(f.Sample.Name, "no part stands out from a background: the whole image is looked at")
			}
			if err := CheckScore(f.Score); err != nil {
				f.Err = err
			}
		}
	}
}

// results gives a batch to the model: its pixels where they are of the model's size;
// else, where the model was swapped or each image has its own size, images.
func (r *runner) results(ctx context.Context, batch []*Finding) ([]runtime.Result, error) {
	info := r.det.Info()
	fits := info.Height > 0
	for _, f := range batch {
		fits = fits && f.height == info.Height && f.width == info.Width && len(f.pixels) == info.Height*info.Width*info.Channels
	}
	if fits {
		r.rows = r.rows[:0]
		for _, f := range batch {
			r.rows = append(r.rows, f.pixels...)
		}
		results, err := r.det.DetectPixels(ctx, r.rows, len(batch))
		switch {
		case !r.o.Swapped, err == nil && results[0].Model == info.Hash, err != nil && r.det.Info().Hash == info.Hash:
			for i := range results {
				results[i].Unlike = append(results[i].Unlike, info.UnlikeSize(batch[i].Size)...)
			}
			return results, err
		}
	}
	images := make([]image.Image, len(batch))
	for i, f := range batch {
		if images[i] = f.Image; r.o.Alter != nil {
			images[i] = imageio.FromPixels(f.pixels, f.height, f.width, info.Channels)
		}
	}
	return r.det.Detect(ctx, images...)
}
