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

// A loaded is a model, ready: its contract, its sessions, and what they give.
type loaded struct {
	info     ModelInfo
	contract *contract
	decision decision
	network  *Session
	residual *Session // of a KindReconstruction, else nil
	outputs  []string // that network computes
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
		Hash: contentHash(m.bytes), Kind: c.kind, Provider: provider, Layout: c.images.layout, Batch: o.Batch,
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
		r.Score, r.Model = scores[i], l.info.Hash
		r.Threshold, r.PixelThreshold = copied(l.info.Threshold), copied(l.info.PixelThreshold)
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
