package runtime

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/imageio"
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

// loaded is a model, ready.
type loaded struct {
	info     ModelInfo
	contract *contract
	decision decision
	network  *Session
	residual *Session // of a KindReconstruction, else nil
	outputs  []string // that network computes
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

func load(ctx context.Context, b []byte, o Options) (*loaded, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := readModel(b)
	if err != nil {
		return nil, err
	}
	c, err := recognize(m)
	if err != nil {
		return nil, err
	}
	if o.Reconstruction && c.reconstruction == "" {
		return nil, fmt.Errorf("%w: reconstructions are asked for, the model has outputs %s", ErrModel, describe(m.outputs))
	}
	var l *loaded
	err = withProvider(o, func(provider string) error {
		l, err = loadOn(ctx, provider, m, c, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.info.Threshold == nil {
		o.Logf("the model has no threshold: no image will be called anomalous")
	}
	return l, nil
}

func loadOn(ctx context.Context, provider string, m *model, c *contract, o Options) (*loaded, error) {
	l := &loaded{contract: c, info: ModelInfo{
		Kind: c.kind, Provider: provider, Layout: c.images.layout, Batch: o.Batch,
		Channels: c.images.channels, Height: c.images.height, Width: c.images.width,
		Threshold: copied(c.threshold), PixelThreshold: c.pixelThreshold,
	}}
	if o.Threshold != nil {
		l.info.Threshold = copied(o.Threshold)
	}
	var err error
	if l.decision, err = newDecision(c, o); err != nil {
		return nil, err
	}
	l.info.Review = copied(l.decision.review)
	if c.images.batch != graph.Dynamic {
		l.info.Batch, l.info.Fixed = c.images.batch, true
	}
	if n, pixels := l.info.Batch, c.images.pixels(); n > maxBatch/pixels {
		return nil, fmt.Errorf("%w: batch: got %d images of %dx%d with %d channels, want at most %d", ErrInput, n, l.info.Height, l.info.Width, l.info.Channels, maxBatch/pixels)
	}
	if c.kind == KindDetector {
		l.outputs = []string{outMap, outScore}
	}
	if c.kind == KindReconstruction || o.Reconstruction {
		l.outputs = append(l.outputs, c.reconstruction)
	}

	o.Outputs = l.outputs
	if l.network, err = openSession(m, provider, o); err != nil {
		return nil, err
	}
	if c.kind == KindReconstruction {
		if l.residual, err = openResidual(c, provider, o); err != nil {
			l.close()
			return nil, err
		}
	}
	n := l.info.Batch
	if _, err := l.detect(ctx, make([]uint8, n*c.images.pixels()), n, false); err != nil {
		l.close()
		if accelerator(provider) && ctx.Err() == nil {
			return nil, fmt.Errorf("%w %s: first run: %w", ErrProvider, provider, err)
		}
		return nil, fmt.Errorf("first run, on black images: %w", err)
	}
	return l, nil
}

func openResidual(c *contract, provider string, o Options) (*Session, error) {
	b, err := c.residualModel(&o.Map)
	if err != nil {
		return nil, fmt.Errorf("%w: residual: %w", ErrModel, err)
	}
	m, err := readModel(b)
	if err != nil {
		return nil, err
	}
	o.Outputs = nil
	return openSession(m, provider, o)
}

func (l *loaded) close() error {
	err := l.network.Close()
	if l.residual != nil {
		err = errors.Join(err, l.residual.Close())
	}
	return err
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

// prepare resizes a batch on all cores. first is the place of its first image
// among those given to Detect.
func (l *loaded) prepare(pix []uint8, batch []image.Image, first int) error {
	size := l.contract.images.pixels()
	errs := make([]error, len(batch))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(goruntime.GOMAXPROCS(0), len(batch)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(batch); i = int(next.Add(1)) - 1 {
				if batch[i] == nil {
					errs[i] = fmt.Errorf("%w: image %d is nil", ErrInput, first+i)
				} else if err := imageio.Resize(pix[i*size:][:size], batch[i], l.info.Height, l.info.Width, l.info.Channels); err != nil {
					errs[i] = fmt.Errorf("%w: image %d: %w", ErrInput, first+i, err)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// detect runs the model on n images, at most a batch, NHWC at the model's size.
func (l *loaded) detect(ctx context.Context, pix []uint8, n int, reconstruction bool) ([]Result, error) {
	rows := n
	if l.info.Fixed {
		rows = l.info.Batch
	}
	c := l.contract
	x := c.tensor(pix, rows)
	out, err := l.network.Run(ctx, map[string]*graph.Tensor{c.input.Name: x}, l.outputs...)
	if err != nil {
		return nil, err
	}
	y := out[c.reconstruction]
	if l.residual != nil {
		if out, err = l.residual.Run(ctx, map[string]*graph.Tensor{"x": x, "y": y}); err != nil {
			return nil, err
		}
	}
	scores, residuals := graph.Data[float32](out[outScore]), graph.Data[float32](out[outMap])
	h, w := l.info.Height, l.info.Width
	if len(scores) != rows || len(residuals) != rows*h*w {
		return nil, fmt.Errorf("%w: got %d scores and %d residuals for %d images of %dx%d", ErrModel, len(scores), len(residuals), rows, h, w)
	}
	results := make([]Result, n)
	for i := range results {
		r := &results[i]
		r.Score, r.Threshold = scores[i], copied(l.info.Threshold)
		r.Map = &heatmap.Map{Data: residuals[i*h*w : (i+1)*h*w : (i+1)*h*w], Height: h, Width: w}
		l.decision.judge(r)
		if math.IsNaN(float64(r.Score)) {
			return nil, fmt.Errorf("%w: got a score of NaN", ErrModel)
		}
		if reconstruction {
			size := c.images.pixels()
			r.Reconstruction = c.reconstructed.image(graph.Data[float32](y)[i*size : (i+1)*size])
		}
	}
	return results, nil
}

// tensor gives images, uint8 NHWC, the model's type and layout; rows beyond the
// images are black.
func (c *contract) tensor(pix []uint8, rows int) *graph.Tensor {
	t := c.images
	shape := t.shape(rows)
	all := pix
	if missing := rows*t.pixels() - len(pix); missing > 0 {
		all = append(append(make([]uint8, 0, rows*t.pixels()), pix...), make([]uint8, missing)...)
	}
	if t.layout == NCHW {
		planes := make([]uint8, len(all))
		area := t.height * t.width
		for i, v := range all {
			image, at, channel := i/t.pixels(), i%t.pixels()/t.channels, i%t.channels
			planes[image*t.pixels()+channel*area+at] = v
		}
		all = planes
	}
	if c.input.DType == graph.Uint8 {
		return graph.NewTensor(all, shape...)
	}
	floats := make([]float32, len(all))
	for i, v := range all {
		floats[i] = float32(v) * (1.0 / 255)
	}
	return graph.NewTensor(floats, shape...)
}

// image makes an image of one row of a tensor in [0,1].
func (t imageType) image(data []float32) image.Image {
	value := func(at, channel int) uint8 {
		i := at*t.channels + channel
		if t.layout == NCHW {
			i = channel*t.height*t.width + at
		}
		return uint8(min(max(data[i], 0), 1)*255 + .5)
	}
	bounds := image.Rect(0, 0, t.width, t.height)
	if t.channels == 1 {
		grey := image.NewGray(bounds)
		for at := range grey.Pix {
			grey.Pix[at] = value(at, 0)
		}
		return grey
	}
	rgba := image.NewRGBA(bounds)
	for at := range t.height * t.width {
		copy(rgba.Pix[4*at:], []uint8{value(at, 0), value(at, 1), value(at, 2), 255})
	}
	return rgba
}
