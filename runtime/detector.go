package runtime

import (
	"context"
	"fmt"
	"image"
	"sync"

	"github.com/anomaly-go/anomaly/heatmap"
)

// A Detector finds anomalies in images.
//
// It understands the models that package onnxexport writes, and networks of
// other tools that give a reconstruction of their input, whose map and score it
// computes itself.
//
// It is safe for concurrent use. Batches run one at a time; calls side by side
// gain in that one's images are prepared while another's are computed. What an
// image is found to be does not depend on the images beside it.
type Detector struct {
	options Options
	use     sync.RWMutex // held for reading by Detect, for writing to change loaded
	loaded  *loaded      // nil once closed
}

// A Result is what a model finds in one image.
type Result struct {
	Score     float32      // raw, the higher the more anomalous; for SSIM maps in [0,2]
	Threshold *float32     // nil where neither model nor Options give one
	Anomalous bool         // Score > *Threshold; false without a threshold
	Verdict   Verdict      // "" without a review band
	Map       *heatmap.Map // residual of each pixel, of the model's height and width

	// Reconstruction is what the network made of the image, of the model's size:
	// an *image.RGBA, or *image.Gray for models of one channel. It is nil unless
	// Options.Reconstruction asks for it.
	Reconstruction image.Image
}

// ModelInfo describes the model of a [Detector].
type ModelInfo struct {
	Kind     string // KindDetector or KindReconstruction
	Provider string // that is in use
	Input    Info   // as the model declares it: Uint8, in [0,255], or Float32, in [0,1]
	Layout   string // of the input: NHWC or NCHW
	Batch    int    // images in a batch
	Fixed    bool   // whether the model insists on Batch

	Channels, Height, Width int // of the images: 3 (RGB) or 1 (grey); pixels

	Outputs        []Info
	Threshold      *float32 // score above which an image is anomalous, Options' before the model's; nil: none
	PixelThreshold *float32 // the same for a pixel of the map, the model's; nil: none
	Review         *Band    // scores to look at again, Options' before the model's; nil: none
	Metadata       map[string]string
}

// Open opens the model in a file, runs it once to warm up, and returns its
// detector. Close it when it is no longer needed.
func Open(path string, o *Options) (*Detector, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	d, err := OpenBytes(b, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// OpenBytes is [Open] for a model given as the bytes of its file, which the
// detector keeps: do not change them.
func OpenBytes(model []byte, o *Options) (*Detector, error) {
	d := &Detector{options: o.withDefaults()}
	var err error
	d.loaded, err = load(context.Background(), model, d.options)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Info describes the model. It is the zero ModelInfo after Close.
func (d *Detector) Info() ModelInfo {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.loaded == nil {
		return ModelInfo{}
	}
	info, s := d.loaded.info, d.loaded.network
	info.Input, info.Outputs, info.Metadata = s.Inputs()[0], s.Outputs(), s.Metadata()
	info.Threshold, info.PixelThreshold, info.Review = copied(info.Threshold), copied(info.PixelThreshold), copied(info.Review)
	return info
}

// copied keeps callers from changing what a pointer that they see points to.
func copied[T any](x *T) *T {
	if x == nil {
		return nil
	}
	c := *x
	return &c
}

// Close waits for calls of Detect in flight and frees the model. Later calls
// return ErrClosed. Closing again does nothing.
func (d *Detector) Close() error {
	d.use.Lock()
	defer d.use.Unlock()
	if d.loaded == nil {
		return nil
	}
	l := d.loaded
	d.loaded = nil
	return l.close()
}

// Swap replaces the model by that of another file. It opens and warms up the new
// one while the old one works on; calls of Detect that begin after Swap returns
// use the new one. On any error the old one stays.
func (d *Detector) Swap(ctx context.Context, path string) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	next, err := load(ctx, b, d.options)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	d.use.Lock()
	old := d.loaded
	if old != nil {
		d.loaded = next
	}
	d.use.Unlock()
	if old == nil {
		next.close()
		return ErrClosed
	}
	return old.close()
}

// Detect runs the model on images of any size and type and returns their results
// in the same order. Each is resized to the model's size as training did it
// (package dataset: antialiased, RGB or grey). On error there are no results;
// when ctx ends the error is ctx.Err().
func (d *Detector) Detect(ctx context.Context, imgs ...image.Image) ([]Result, error) {
	l, err := d.acquire()
	if err != nil {
		return nil, err
	}
	defer d.use.RUnlock()
	results := make([]Result, 0, len(imgs))
	size := l.contract.images.pixels()
	for first := 0; first < len(imgs); first += l.info.Batch {
		batch := imgs[first:min(first+l.info.Batch, len(imgs))]
		pix := make([]uint8, len(batch)*size)
		if err := l.prepare(pix, batch, first); err != nil {
			return nil, err
		}
		r, err := l.detect(ctx, pix, len(batch), d.options.Reconstruction)
		if err != nil {
			return nil, err
		}
		results = append(results, r...)
	}
	return results, nil
}

// DetectPixels is [Detector.Detect] for n images that have the model's size
// already: pix is uint8 [n, height, width, channels], RGB or grey. It is read
// only until DetectPixels returns.
func (d *Detector) DetectPixels(ctx context.Context, pix []uint8, n int) ([]Result, error) {
	l, err := d.acquire()
	if err != nil {
		return nil, err
	}
	defer d.use.RUnlock()
	i, size := l.info, l.contract.images.pixels()
	if n < 0 || len(pix) != n*size {
		return nil, fmt.Errorf("%w: got %d bytes for %d images, want %d×%d×%d×%d", ErrInput, len(pix), n, n, i.Height, i.Width, i.Channels)
	}
	results := make([]Result, 0, n)
	for first := 0; first < n; first += i.Batch {
		end := min(first+i.Batch, n)
		r, err := l.detect(ctx, pix[first*size:end*size], end-first, d.options.Reconstruction)
		if err != nil {
			return nil, err
		}
		results = append(results, r...)
	}
	return results, nil
}

// acquire returns the model, which stays as long as d.use is held for reading:
// until the caller releases it.
func (d *Detector) acquire() (*loaded, error) {
	d.use.RLock()
	if d.loaded == nil {
		d.use.RUnlock()
		return nil, ErrClosed
	}
	return d.loaded, nil
}
