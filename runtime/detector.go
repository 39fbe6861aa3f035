package runtime

import (
	"context"
	"fmt"
	"image"
	goruntime "runtime"
	"sync"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A Detector finds anomalies in images.
//
// It understands the models that package onnxexport writes, those of anomalib,
// others that give maps or scores, and networks that give a reconstruction of
// their input, whose map and score it computes itself (see [KindDetector] and the
// other kinds).
//
// It is safe for concurrent use. Calls side by side are computed together, as many
// images as fit a batch: what comes while a batch is computed goes into the next
// one (see also Options.BatchWindow). What an image is found to be does not depend
// on the images beside it, and no call fails because of another.
type Detector struct {
	options  Options
	swapping chan struct{}   // holds a value while a Swap or a Close is under way
	closing  context.Context // ends when Close is called
	close    context.CancelFunc

	leak goruntime.Cleanup

	mu      sync.Mutex
	current *leased // nil once closed
}

// A leased model is freed when nobody uses it any more.
type leased struct {
	*loaded
	queue *batcher
	users int           // calls in flight, and the detector whose model it is; guarded by Detector.mu
	idle  chan struct{} // closed when users comes to 0
}

// A Result is what a model finds in one image.
type Result struct {
	Score     float32      // the higher the more anomalous: raw, for SSIM maps in [0,2]; anomalib's as its model or its inferencer gives it, as a rule in [0,1]
	Threshold *float32     // nil where neither model nor Options give one
	Anomalous bool         // the model's own label where it gives one and Options no rule of theirs, else Score > *Threshold, false without a threshold
	Judged    bool         // whether Anomalous is a verdict, by a threshold or the model's own label; ModelInfo.Judges
	Verdict   Verdict      // by the review band, else as Anomalous says; "" if neither does
	Map       *heatmap.Map // residual of each pixel of the model's view of the image, of a size of its own; nil where the model gives none

	// Part is how much of the image was looked at, in [0,1], where View.Foreground
	// found the part: nil where that was not asked for, or no part stood out and the
	// whole image counted.
	Part *float64

	// Unlike says in what the image is unlike those that the model was trained on, each
	// in words: darker, brighter, more blurred, sharper, anomalous over most of its area,
	// of another aspect or size. It is apart from Anomalous: such an image may get any
	// score. Nothing is known of models of other tools; [Detector.DetectPixels] does not see sizes, and tiles are
	// not looked at as a whole.
	Unlike []string

	// Look is what the image looks like as a whole, where the model's metadata tell how its
	// training images do; else, and of tiles, nil.
	Look *Look

	Model          string        // hash of the model that gave it, as in ModelInfo
	PixelThreshold *float32      // residual above which a pixel is anomalous: Options' Threshold, else the model's own, else Threshold; nil: none
	Scale          heatmap.Scale // of Map in colours: Options', else one on which a good part looks good

	// Reconstruction is what the network made of the image, of the model's size:
	// an *image.RGBA, or *image.Gray for models of one channel. It is nil unless
	// Options.Reconstruction asks for it and the model gives it.
	Reconstruction image.Image
}

// A Look is what an image looks like as a whole, of its pixels as the model sees them.
type Look struct {
	Brightness float64 // mean, in [0,1]
	Sharpness  float64 // mean absolute value of the discrete Laplacian over its largest, in [0,1]
}

// ModelInfo describes the model of a [Detector].
type ModelInfo struct {
	Hash     string   // SHA-256 of its file, in hexadecimal; with weights in other files, of the model with them inside
	Kind     string   // KindDetector, KindAnomalib or KindReconstruction
	Provider Provider // that is in use
	Library  string   // version of ONNX Runtime; "" with provider go
	Input    Info     // as the model declares it: Uint8, in [0,255], or Float32, in [0,1] or Options.Range
	Layout   string   // of the input: NHWC or NCHW
	Batch    int      // images in a batch; 1 where they are cut into tiles
	Fixed    bool     // whether the model insists on Batch

	Channels, Height, Width int  // of the images: 3 (RGB) or 1 (grey); pixels, 0 where each image keeps its own size
	View                    View // what of an image is looked at; Tiles leave each image its own size
	MapHeight, MapWidth     int  // of the maps; 0 where there are none or their size follows the images'

	Outputs        []Info
	Maps           bool          // whether results have maps
	Reconstructs   bool          // whether they have reconstructions if Options ask for them
	Judges         bool          // whether they say what is anomalous: by a threshold or by the model's own label
	Threshold      *float32      // score above which an image is anomalous, Options' before the model's; nil: none
	PixelThreshold *float32      // residual above which a pixel is anomalous: Options' Threshold, else the model's own, else Threshold; nil: none
	Scale          heatmap.Scale // of maps in colours: Options', else one on which a good part looks good; zero where there is no threshold
	Review         *Band         // scores to look at again, Options' before the model's; nil: none
	Metadata       map[string]string
}

// Open opens the model in a file, runs it once to warm up, and returns its
// detector. Close it when it is no longer needed.
func Open(path string, o *Options) (*Detector, error) {
	return openPath(context.Background(), path, o, caller())
}

// OpenContext is [Open] that gives up when ctx ends, and returns ctx.Err(). What
// cannot be interrupted, the reading of a model by ONNX Runtime, goes on by itself
// then, and what comes of it is freed.
func OpenContext(ctx context.Context, path string, o *Options) (*Detector, error) {
	return openPath(ctx, path, o, caller())
}

// openPath is [OpenContext], called at a line of some file.
func openPath(ctx context.Context, path string, o *Options, at string) (*Detector, error) {
	options := o.withDefaults()
	f, err := openFile(path, options.maxMemory())
	if err != nil {
		return nil, err
	}
	d, err := open(ctx, f, o, at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// OpenBytes is [Open] for a model given as the bytes of its file, which the
// detector keeps: do not change them.
func OpenBytes(model []byte, o *Options) (*Detector, error) {
	f, err := readModel(model)
	if err != nil {
		return nil, err
	}
	return open(context.Background(), f, o, caller())
}

// open is [OpenBytes], called at a line of some file.
func open(ctx context.Context, model *onnx.File, o *Options, at string) (*Detector, error) {
	options := o.withDefaults()
	l, err := loadUntil(ctx, model, options)
	if err != nil {
		return nil, err
	}
	d := newDetector(l, options)
	d.leak = reportLeak(d, at, d.options.Logf)
	return d, nil
}

func newDetector(l *loaded, o Options) *Detector {
	d := &Detector{options: o, swapping: make(chan struct{}, 1)}
	d.current = lease(l, &d.options)
	d.closing, d.close = context.WithCancel(context.Background())
	return d
}

func lease(l *loaded, o *Options) *leased {
	reconstruction, told := o.Reconstruction && l.info.Reconstructs, o.OnBatch // and no more of the detector, which may be garbage before a batch ends
	detect := func(ctx context.Context, f frames) ([]Result, error) {
		if told != nil {
			told(f.n)
		}
		return l.detect(ctx, f, reconstruction)
	}
	return &leased{loaded: l, queue: newBatcher(l.batch, o.BatchWindow, detect), users: 1, idle: make(chan struct{})}
}

// acquire returns the model, which stays until it is released.
func (d *Detector) acquire() (*leased, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return nil, ErrClosed
	}
	d.current.users++
	return d.current, nil
}

func (d *Detector) release(l *leased) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.users--; l.users == 0 {
		close(l.idle)
	}
}

// replace makes next, which may be nil, the model of calls that begin from now
// on. It returns the old one when no call uses it any more.
func (d *Detector) replace(next *leased) *loaded {
	d.mu.Lock()
	old := d.current
	d.current = next
	d.mu.Unlock()
	d.release(old)
	<-old.idle
	old.queue.done.Wait() // for one that all callers have left
	return old.loaded
}

// retire ends the detector, whose model it hands to free; a detector that has
// ended has none.
func (d *Detector) retire(free func(*loaded) error) error {
	d.close()
	d.swapping <- struct{}{}
	defer func() { <-d.swapping }()
	if d.current == nil { // which changes only in here and in swap
		return nil
	}
	return free(d.replace(nil))
}

// Info describes the model. It is the zero ModelInfo after Close.
func (d *Detector) Info() ModelInfo {
	l, err := d.acquire()
	if err != nil {
		return ModelInfo{}
	}
	defer d.release(l)
	info, s := l.info, l.network
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

// Close waits for calls of Detect in flight and frees the model. A Swap that is
// under way is cancelled. Later calls, and that Swap, return ErrClosed. Closing
// again does nothing but wait for the first Close. A Detector that is garbage
// before it was closed is reported to Options.Logf; nobody frees it.
func (d *Detector) Close() error {
	d.leak.Stop()
	return d.retire((*loaded).close)
}

// Swap replaces the model by that of another file. It opens the new one, warms it
// up and checks its self-test while the old one works on; calls of Detect that begin
// after Swap returns use the new one, calls in flight keep the old one, which is
// freed when they return: Swap waits for it. On any error, and if ctx ends before
// the new one is ready, the old one stays. Swaps side by side take place one after
// the other. Options.Logf is told which model took over, by its path and its hash.
func (d *Detector) Swap(ctx context.Context, path string) error {
	if d.closing.Err() != nil {
		return ErrClosed
	}
	f, err := openFile(path, d.options.maxMemory())
	if err != nil {
		return err
	}
	old := d.Info()
	if err := d.swap(ctx, f, d.verified(nil)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	d.options.Logf("%s", swapped(path, old, d.Info()))
	return nil
}

// swapped is what is said of a swap.
func swapped(path string, old, new ModelInfo) string {
	return fmt.Sprintf("now using %s (%.*s), in place of %.*s", path, HashDigits, new.Hash, HashDigits, old.Hash)
}

// swap is [Detector.Swap] for a file. The new model must pass check,
// where that is not nil, before it replaces the old one; check may not keep it.
func (d *Detector) swap(ctx context.Context, model *onnx.File, check func(ctx context.Context, next *loaded) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)()
	defer func() {
		if err != nil && d.closing.Err() != nil {
			err = ErrClosed
		}
	}()
	select {
	case d.swapping <- struct{}{}:
		defer func() { <-d.swapping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	next, err := loadUntil(ctx, model, d.options)
	if err != nil {
		return err
	}
	if check != nil {
		err = check(ctx, next)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		next.close()
		return err
	}
	if err := d.replace(lease(next, &d.options)).close(); err != nil {
		d.options.Logf("the model that was replaced: %v", err)
	}
	return nil
}

// Detect runs the model on images of any size and type and returns their results
// in the same order. Each is resized to the model's size as training did it
// (package dataset: antialiased, RGB or grey), or cut into [Tiles]; a model of no size
// of its own gets images as they are, those of one size together. On error there are no results.
// When ctx ends Detect returns ctx.Err() at once; images are not looked at any more.
func (d *Detector) Detect(ctx context.Context, imgs ...image.Image) ([]Result, error) {
	l, err := d.acquire()
	if err != nil {
		return nil, err
	}
	defer d.release(l)
	if l.view.Tiles != nil {
		return l.detectTiles(ctx, imgs)
	}
	results := make([]Result, len(imgs))
	batches, err := l.batches(imgs)
	if err != nil {
		return nil, err
	}
	var inUse [2]frames // while one is computed the next is prepared
	err = l.queue.serve(ctx, len(batches),
		func(i int) (f frames, err error) {
			f, err = l.prepare(ctx, imgs, batches[i])
			inUse[i%2] = f
			return f, err
		},
		func(i int, r []Result) {
			l.pixels.Put(inUse[i%2].pix)
			for j, at := range batches[i] {
				results[at] = r[j]
				results[at].Unlike = append(results[at].Unlike, unlikeSize(l.usual.size, imgs[at].Bounds().Size())...)
			}
		})
	if err != nil {
		return nil, err
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
	defer d.release(l)
	i := l.info
	if i.Height == 0 {
		return nil, fmt.Errorf("%w: got pixels for a model of no size of its own, want images, or a size in Options", ErrInput)
	}
	size := l.contract.images.pixels()
	if n < 0 || n > len(pix)/size || len(pix) != n*size {
		return nil, fmt.Errorf("%w: got %d bytes for %d images, want %d×%d×%d×%d", ErrInput, len(pix), n, n, i.Height, i.Width, i.Channels)
	}
	results := make([]Result, 0, n)
	err = l.queue.serve(ctx, (n+i.Batch-1)/i.Batch,
		func(at int) (frames, error) {
			first, end := at*i.Batch, min((at+1)*i.Batch, n)
			return frames{pix[first*size : end*size], end - first, i.Height, i.Width}, nil
		},
		func(_ int, r []Result) { results = append(results, r...) })
	if err != nil {
		return nil, err
	}
	return results, nil
}
