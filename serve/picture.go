package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"go.opentelemetry.io/otel/trace"
)

// A picture is one image of a request, on its way to a result.
type picture struct {
	name   string
	file   []byte      // encoded, until it is decoded, and told and taken note of; nil for one that came as pixels
	size   image.Point // of the original
	image  image.Image // kept where it is to be drawn or shadowed
	pixels []uint8     // as the model sees it: [height, width, channels]

	height, width, channels int

	unlike  []string // in what its size is unlike that of the training images
	result  runtime.Result
	finding *judge.Finding
	err     error
}

// A job is a request that computes: it has a turn and a model, until it ends.
type job struct {
	*Server
	model  *model
	loaded *loaded
	held   int64 // pixels of originals that it may hold
	end    func()
}

// begin waits for a turn and takes the model.
func (s *Server) begin(ctx context.Context, name, version string) (*job, error) {
	m, err := s.repository.model(name)
	if err != nil {
		return nil, err
	}
	waited := time.Now()
	done, err := s.admission.start(ctx, s.options.Priority[name])
	if err != nil {
		return nil, err
	}
	s.metrics.stage(name, "queue", waited)
	l, release, err := m.acquire(version)
	if err != nil {
		done()
		return nil, err
	}
	j := &job{Server: s, model: m, loaded: l}
	j.end = sync.OnceFunc(func() {
		s.originals.Release(j.held)
		release()
		done()
	})
	return j, nil
}

// detect judges images and takes note of what it finds.
func (j *job) detect(ctx context.Context, pics []*picture, keep bool) error {
	shadowed := j.model.shadowed() && j.pixelsOf(pics...) <= int64(j.options.MaxPixels)
	if err := j.judge(ctx, pics, keep || shadowed); err != nil {
		return err
	}
	j.metrics.found(j.model.name, pics)
	var imgs []image.Image
	var results []runtime.Result
	var names []string
	for _, p := range pics {
		if p.err != nil {
			continue
		}
		j.model.recent.add(p, j.loaded.name)
		for _, r := range j.loaded.drift.Add(&p.result) {
			j.drifted(r)
		}
		if shadowed {
			imgs, results, names = append(imgs, p.picture()), append(results, p.result), append(names, p.name)
		}
	}
	for _, p := range pics {
		j.tell(p)
		p.file, p.pixels = nil, nil
	}
	if shadowed {
		j.model.offer(imgs, results, names)
	}
	if len(pics) == 1 {
		return pics[0].err
	}
	return nil
}

// judge decodes and computes images. Those that fail have an error of their own, others
// a finding; the error is of ctx, or of originals that are too large together to be
// kept, which keep asks for.
func (j *job) judge(ctx context.Context, pics []*picture, keep bool) error {
	began := time.Now()
	_, span := j.tracer.Start(ctx, "decode")
	err := j.decode(ctx, pics, keep)
	j.metrics.stage(j.model.name, "decode", began)
	span.End()
	if err != nil {
		return err
	}
	ctx, span = j.tracer.Start(ctx, "detect", trace.WithAttributes(modelAttributes(j.model.name, j.loaded)...))
	defer span.End()
	began = time.Now()
	var fit []*picture
	for _, p := range pics {
		if p.err == nil {
			fit = append(fit, p)
		}
	}
	j.compute(ctx, fit)
	j.metrics.stage(j.model.name, "detect", began)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, p := range fit {
		if p.err == nil {
			p.finding = j.finding(p)
		}
	}
	return nil
}

// found returns what is said of a picture that has a finding or an error.
func (p *picture) found() *judge.Finding {
	if p.err != nil {
		return &judge.Finding{Path: p.name, Err: p.err}
	}
	return p.finding
}

// tell tells of a picture, as long as it has its file or its pixels.
func (j *job) tell(p *picture) {
	if j.options.Tell == nil {
		return
	}
	j.options.Tell(&judge.Event{ModelName: j.model.name, ModelHash: j.loaded.info.Hash, Finding: p.found(), Image: func() ([]byte, error) {
		if p.file != nil {
			return p.file, nil
		}
		return encodePNG(p.picture())
	}})
}

// heldImages is how many times Options.MaxPixels the originals may have that are held
// at a time in the whole server: while they are decoded, or until their request has
// been answered, where they are drawn or cut into tiles.
const heldImages = 4

// pixelsOf returns how many pixels images have that are to be decoded, as far as their
// heads tell; what is beyond the limit is not decoded.
func (j *job) pixelsOf(pics ...*picture) (n int64) {
	for _, p := range pics {
		if p.file == nil {
			continue
		}
		if size, err := imageio.Size(bytes.NewReader(p.file), &imageio.Options{MaxPixels: j.options.MaxPixels}); err == nil {
			n += int64(size.X) * int64(size.Y)
		}
	}
	return n
}

// decode decodes and resizes files, at most as many at a time as there are cores in
// the whole server. keep keeps the originals, as do models that look at them.
func (j *job) decode(ctx context.Context, pics []*picture, keep bool) error {
	keep = keep || j.loaded.info.View.Tiles != nil || j.loaded.info.Height == 0
	if keep {
		n := j.pixelsOf(pics...)
		if most := int64(j.options.MaxPixels); n > most {
			return fmt.Errorf("%w: got images of together %d pixels, want at most %d where they are drawn, or looked at in full size: %w", ErrInput, n, most, imageio.ErrTooLarge)
		}
		if err := j.originals.Acquire(ctx, n); err != nil {
			return err
		}
		j.held = n
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, p := range pics {
		if p.file == nil {
			continue
		}
		n := int64(0)
		if !keep {
			n = j.pixelsOf(p)
		}
		// First the room, then the core: those who have room wait for cores.
		if err := j.originals.Acquire(ctx, n); err != nil {
			return err
		}
		select {
		case j.decoders <- struct{}{}:
		case <-ctx.Done():
			j.originals.Release(n)
			return ctx.Err()
		}
		all.Go(func() {
			defer j.originals.Release(n)
			defer func() { <-j.decoders }()
			p.err = j.decodeOne(p, keep)
		})
	}
	all.Wait()
	return ctx.Err()
}

var errPanic = errors.New("serve: internal error")

func (j *job) decodeOne(p *picture, keep bool) (err error) {
	defer func() {
		if r := recover(); r != nil { // a decoder's fault is one image's
			j.log.Error("decoder failed", "error", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	info := &j.loaded.info
	p.height, p.width, p.channels = info.Height, info.Width, info.Channels
	decoding := &dataset.Decoding{MaxPixels: j.options.MaxPixels, Background: j.options.Background, Levels: j.options.Levels}
	var notes []string
	if keep {
		if p.image, notes, err = dataset.Decode(bytes.NewReader(p.file), p.name, decoding); err == nil {
			p.size = p.image.Bounds().Size()
		}
	} else {
		p.pixels, p.size, notes, err = dataset.DecodePixels(bytes.NewReader(p.file), p.name, decoding, p.height, p.width, p.channels)
	}
	if j.options.Tell == nil && j.options.Feedback == nil {
		p.file = nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, note := range notes {
		j.log.Info("image read", "image", p.name, "note", note)
	}
	if p.height == 0 {
		p.height, p.width = p.size.Y, p.size.X
	} else { // or the detector sees its size
		p.unlike = info.UnlikeSize(p.size)
	}
	if !keep || info.View.Tiles != nil { // which are cut of the image itself: it may be large
		return nil
	}
	p.pixels = make([]uint8, p.height*p.width*p.channels)
	return imageio.Resize(p.pixels, p.image, p.height, p.width, p.channels)
}

// compute fills in the results of pictures; when they fail together each is tried
// by itself.
func (j *job) compute(ctx context.Context, pics []*picture) {
	if len(pics) == 0 {
		return
	}
	results, err := j.results(ctx, pics)
	switch {
	case err != nil && len(pics) > 1 && ctx.Err() == nil:
		for _, p := range pics {
			j.compute(ctx, []*picture{p})
		}
	case err != nil:
		for _, p := range pics {
			p.err = err
		}
	default:
		for i, p := range pics {
			p.result = results[i]
			p.result.Unlike = append(p.result.Unlike, p.unlike...)
			if err := judge.CheckScore(p.result.Score); err != nil {
				p.err = fmt.Errorf("%w: %w", runtime.ErrModel, err)
			}
		}
	}
}

func (j *job) results(ctx context.Context, pics []*picture) ([]runtime.Result, error) {
	if j.loaded.info.Height == 0 { // of sizes of their own
		imgs := make([]image.Image, len(pics))
		for i, p := range pics {
			imgs[i] = p.picture()
		}
		return j.loaded.detector.Detect(ctx, imgs...)
	}
	if len(pics) == 1 {
		return j.loaded.detector.DetectPixels(ctx, pics[0].pixels, 1)
	}
	var all []uint8
	for _, p := range pics {
		all = append(all, p.pixels...)
	}
	return j.loaded.detector.DetectPixels(ctx, all, len(pics))
}

// picture returns the original, or pixels as an image.
func (p *picture) picture() image.Image {
	if p.image == nil {
		p.image = imageio.FromPixels(p.pixels, p.height, p.width, p.channels)
	}
	return p.image
}

// newDecoders returns the places of images that are decoded at a time.
func newDecoders() chan struct{} { return make(chan struct{}, goruntime.GOMAXPROCS(0)) }
