package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"io"
	"iter"
	"math"
	"os"
	"runtime"
	"sync"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/internal/room"
)

// Load decodes and resizes all samples into one batch, NHWC uint8: [N, height,
// width, channels], channels 3 (RGB) or 1 (grey). workers ≤ 0 means GOMAXPROCS.
// The first image, in their order, that cannot be read is the error.
func Load(ctx context.Context, samples []Sample, height, width, channels, workers int) ([]uint8, error) {
	n, err := rowSize(height, width, channels)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if len(samples) > math.MaxInt/n {
		return nil, fmt.Errorf("dataset: %d images of %d bytes do not fit memory", len(samples), n)
	}
	batch := make([]uint8, len(samples)*n)
	err = parallel.Do(ctx, len(samples), workers, func(i int) error {
		var of image.Point
		err := samples[i].resized(func(size image.Point) ([]imageio.Target, error) {
			of = size
			return []imageio.Target{{Pixels: batch[i*n:][:n], Height: height, Width: width, Channels: channels}}, nil
		})
		if err == nil {
			samples[i].noteSquash(of, height, width)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// An Item is one image of a Stream.
type Item struct {
	Index  int         // in the samples
	Sample *Sample     // that is samples[Index]
	Size   image.Point // of the image in the file, upright
	Image  image.Image // as StreamOptions ask for it
	Pixels []uint8     // NHWC row [Height, Width, Channels], the item's own; nil of no channels
	Height int         // of Pixels
	Width  int
	Err    error // why Image and Pixels are nil
}

// StreamOptions say what a Stream makes of each image. Nil is the image alone, as it is.
type StreamOptions struct {
	// Height, Width and Channels are those of the pixels, which are as Load's. 0 and 0
	// leave each image its own size, channels of 0 make no pixels.
	Height, Width, Channels int
	// Longest is a side in pixels: images come as *image.RGBA, those with a longer side
	// resized to it. 0 leaves all as they are.
	Longest int
	// NoImages leaves images out. Where they are not asked for as they are, those of the
	// usual PNG files are never in memory.
	NoImages bool
	// Ahead is how many images are decoded side by side before they are asked for; ≤ 0
	// means 2 × GOMAXPROCS.
	Ahead int
}

// Stream yields every sample in order, decoded and resized. No more than o.Ahead are
// in memory besides the one that is yielded. An image that cannot be read is an item
// with Err; the rest goes on.
//
// The sequence ends early when ctx is done: ctx.Err() says so. Whether it ends or
// the loop is left, all of its goroutines have ended when it returns.
func Stream(ctx context.Context, samples []Sample, o *StreamOptions) iter.Seq[Item] {
	if o == nil {
		o = &StreamOptions{}
	}
	ahead := o.Ahead
	if ahead <= 0 {
		ahead = 2 * runtime.GOMAXPROCS(0)
	}
	decode := func(i int) Item {
		item := Item{Index: i, Sample: &samples[i]}
		if err := item.read(o); err != nil {
			return Item{Index: i, Sample: &samples[i], Err: err}
		}
		if item.Pixels != nil {
			item.Sample.noteSquash(item.Size, item.Height, item.Width)
		}
		return item
	}
	return func(yield func(Item) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		queue := make(chan chan Item, ahead) // in order; what is in it is being decoded
		workers.Go(func() {
			defer close(queue)
			for i := range samples {
				result := make(chan Item, 1)
				select {
				case queue <- result:
				case <-ctx.Done():
					return
				}
				workers.Go(func() { result <- decode(i) })
			}
		})
		for result := range queue {
			item := <-result
			if ctx.Err() != nil || !yield(item) {
				return
			}
		}
	}
}

func rowSize(height, width, channels int) (int, error) {
	if height <= 0 || width <= 0 || channels != 1 && channels != 3 || height > math.MaxInt32/width/channels {
		return 0, fmt.Errorf("got a target of %dx%d pixels with %d channels, want 1 or 3 and below 2 GiB",
			width, height, channels)
	}
	return height * width * channels, nil
}

// read fills in what o asks for.
func (item *Item) read(o *StreamOptions) error {
	if !o.NoImages && o.Longest <= 0 {
		img, err := item.Sample.Image()
		if err != nil {
			return err
		}
		item.Image = img
		targets, err := item.targets(o, img.Bounds().Size())
		if err == nil {
			err = imageio.ResizeAll(targets, img)
		}
		return item.Sample.tell(nil, err)
	}
	var small *imageio.Target
	err := item.Sample.resized(func(size image.Point) ([]imageio.Target, error) {
		targets, err := item.targets(o, size)
		if err == nil && !o.NoImages {
			small = fit(size, o.Longest)
			targets = append(targets, *small)
		}
		return targets, err
	})
	if small != nil {
		defer colours.Put(small.Pixels)
	}
	if err == nil && small != nil {
		item.Image = imageio.FromPixels(small.Pixels, small.Height, small.Width, small.Channels)
	}
	return err
}

// targets makes room for the pixels, if any are asked for, of an image of a size.
func (item *Item) targets(o *StreamOptions, size image.Point) ([]imageio.Target, error) {
	item.Size, item.Height, item.Width = size, o.Height, o.Width
	if o.Height == 0 && o.Width == 0 {
		item.Height, item.Width = size.Y, size.X
	}
	if o.Channels == 0 {
		return nil, nil
	}
	n, err := rowSize(item.Height, item.Width, o.Channels)
	if err != nil {
		return nil, err
	}
	item.Pixels = make([]uint8, n)
	return []imageio.Target{{Pixels: item.Pixels, Height: item.Height, Width: item.Width, Channels: o.Channels}}, nil
}

// colours are pixels in RGB on their way to images.
var colours room.Pool[uint8]

// fit takes room of colours for an image of a size, or of one with the longest side there
// may be, as package heatmap fits it into a tile.
func fit(size image.Point, longest int) *imageio.Target {
	if side := max(size.X, size.Y); side > longest {
		size = image.Pt(max(size.X*longest/side, 1), max(size.Y*longest/side, 1))
	}
	const channels = 3
	return &imageio.Target{Pixels: colours.Get(size.Y * size.X * channels), Height: size.Y, Width: size.X, Channels: channels}
}

// mostSquash is how many times as far in one direction as in the other an image may
// be resized without a note: sides come in steps.
const mostSquash = 1.1

// noteSquash tells Decoding.Notes where resizing an image of a size changes its
// aspect by more than a little.
func (s *Sample) noteSquash(size image.Point, height, width int) {
	squash := float64(width) * float64(size.Y) / (float64(height) * float64(size.X))
	if squash = max(squash, 1/squash); squash > mostSquash {
		s.Decoding.notes().add(s.Name, fmt.Sprintf("squashed to %dx%d, which is of another aspect", width, height),
			squash, fmt.Sprintf("%s of %dx%d, %.2f times", s.Name, size.X, size.Y, squash))
	}
}

// Fingerprint returns the SHA-256, in hexadecimal, over the samples' names and
// their files' contents: two sets have the same exactly if they hold the same
// images under the same names, wherever they lie.
func Fingerprint(samples []Sample) (string, error) {
	var paths []string
	at := map[string]int{} // path to its index in paths and sums
	for _, s := range samples {
		if _, ok := at[s.Path]; !ok {
			at[s.Path] = len(paths)
			paths = append(paths, s.Path)
		}
	}
	sums := make([][sha256.Size]byte, len(paths))
	err := parallel.Do(context.Background(), len(paths), 0, func(i int) error {
		f, err := os.Open(paths[i])
		if err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
		h.Sum(sums[i][:0])
		return nil
	})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, s := range samples {
		fmt.Fprintf(h, "%q %x\n", s.Name, sums[at[s.Path]])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
