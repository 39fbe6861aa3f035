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
)

// Load decodes and resizes all samples into one batch, NHWC uint8: [N, height,
// width, channels], channels 3 (RGB) or 1 (grey). workers ≤ 0 means GOMAXPROCS.
// The first image, in their order, that cannot be read is the error.
func Load(ctx context.Context, samples []Sample, height, width, channels, workers int) ([]uint8, error) {
	size, err := rowSize(height, width, channels)
	if err != nil {
		return nil, err
	}
	if len(samples) > math.MaxInt/size {
		return nil, fmt.Errorf("dataset: %d images of %d bytes do not fit memory", len(samples), size)
	}
	batch := make([]uint8, len(samples)*size)
	err = parallel.Do(ctx, len(samples), workers, func(i int) error {
		img, err := samples[i].Image()
		if err != nil {
			return err
		}
		return samples[i].resize(batch[i*size:][:size], img, height, width, channels)
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// An Item is one image of a Stream.
type Item struct {
	Index  int     // in the samples
	Sample *Sample // that is samples[Index]
	Image  image.Image
	Pixels []uint8 // NHWC row [height, width, channels], the item's own; nil of no channels
	Height int     // of Pixels
	Width  int
	Err    error // why Image and Pixels are nil
}

// Stream yields every sample in order, decoded and resized as by Load; a height and
// width of 0 leave each image its own size, channels of 0 make no pixels. Up to
// ahead images (≤ 0 means 2 × GOMAXPROCS) are decoded side by side before they
// are asked for; no more are in memory besides the one that is yielded. An image
// that cannot be read is an item with Err; the rest goes on.
//
// The sequence ends early when ctx is done: ctx.Err() says so. Whether it ends or
// the loop is left, all of its goroutines have ended when it returns.
func Stream(ctx context.Context, samples []Sample, height, width, channels, ahead int) iter.Seq[Item] {
	if ahead <= 0 {
		ahead = 2 * runtime.GOMAXPROCS(0)
	}
	decode := func(i int) Item {
		item := Item{Index: i, Sample: &samples[i]}
		if item.Image, item.Err = samples[i].Image(); item.Err != nil {
			return item
		}
		item.Height, item.Width = height, width
		if height == 0 && width == 0 {
			size := item.Image.Bounds().Size()
			item.Height, item.Width = size.Y, size.X
		}
		if channels == 0 {
			return item
		}
		var size int
		if size, item.Err = rowSize(item.Height, item.Width, channels); item.Err == nil {
			item.Pixels = make([]uint8, size)
			item.Err = samples[i].resize(item.Pixels, item.Image, item.Height, item.Width, channels)
		}
		if item.Err != nil {
			item.Image, item.Pixels = nil, nil
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
		return 0, fmt.Errorf("dataset: got a target of %dx%d pixels with %d channels, want 1 or 3 and below 2 GiB",
			width, height, channels)
	}
	return height * width * channels, nil
}

// mostSquash is how many times as far in one direction as in the other an image may
// be resized without a note: sides come in steps.
const mostSquash = 1.1

// resize resizes the sample's image into row. Where that changes its aspect by more
// than a little, Decoding.Notes gets it.
func (s *Sample) resize(row []uint8, img image.Image, height, width, channels int) error {
	if err := imageio.Resize(row, img, height, width, channels); err != nil {
		return fmt.Errorf("dataset: %q: %w", s.Name, err)
	}
	size := img.Bounds().Size()
	squash := float64(width) * float64(size.Y) / (float64(height) * float64(size.X))
	if squash = max(squash, 1/squash); squash > mostSquash {
		s.Decoding.notes().add(s.Name, fmt.Sprintf("squashed to %dx%d, which is of another aspect", width, height),
			squash, fmt.Sprintf("%s of %dx%d, %.2f times", s.Name, size.X, size.Y, squash))
	}
	return nil
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
