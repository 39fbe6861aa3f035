package runtime

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"math/bits"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/room"
	"github.com/anomaly-go/anomaly/residual"
)

// A loaded is a model, ready: its contract, its sessions, and what they give.
type loaded struct {
	info     ModelInfo
	contract *contract
	decision decision
	view     View // settled
	usual    usual
	options  Options

	height, width int // of the images that the network takes: tiles, where the view has them; 0 where each keeps its own
	batch         int // of them
	network       *Session
	residual      residuals        // of a KindReconstruction
	outputs       []string         // that network computes
	scratch       sync.Pool        // of *scratch: runs side by side have one each
	pixels        room.Pool[uint8] // for prepare
}

// loadUntil is load that does not wait for what cannot be interrupted when ctx ends.
func loadUntil(ctx context.Context, m *onnx.File, o Options) (*loaded, error) {
	type outcome struct {
		*loaded
		err error
	}
	done := make(chan outcome)
	go func() {
		var r outcome
		if panicked := guarded(func() error { r.loaded, r.err = load(ctx, m, o); return nil }); panicked != nil {
			r.err = fmt.Errorf("%w: %w", ErrModel, panicked)
		}
		select {
		case done <- r:
		case <-ctx.Done(): // nobody waits any more
			if r.err == nil {
				r.close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.loaded, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func load(ctx context.Context, m *onnx.File, o Options) (*loaded, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(o.Signers) > 0 {
		if err := m.CheckSignature(o.Signers); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
	}
	if err := ready(m); err != nil {
		return nil, err
	}
	if err := m.CheckFinite(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	c, err := recognize(m, &o)
	if err != nil {
		return nil, err
	}
	var l *loaded
	err = withProvider(m, c.computed(false, false), o.SessionOptions, func(provider Provider) error {
		l, err = loadOn(ctx, provider, m, c, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	release(m, l.info.Provider)
	if c.doubt != nil {
		o.Logf("%s", strings.TrimPrefix(c.doubt.Error(), ErrModel.Error()+": "))
	}
	if len(c.unused) > 0 {
		o.Logf("the model has outputs that are not used: %q", c.unused)
	}
	if !l.sized() {
		o.Logf("the model does not say which size it takes: each image keeps its own; a size that is given brings all to the one that it was trained at")
	}
	if !l.info.Judges {
		o.Logf("the model has no threshold: no image will be called anomalous")
	}
	if l.view.String() != "" {
		o.Logf("the model looks at %v", l.view)
	}
	if o.Reconstruction && !l.info.Reconstructs {
		o.Logf("the model gives no reconstructions")
	}
	if o.Map != (residual.Options{}) && c.kind != KindReconstruction {
		o.Logf("the model gives maps or scores of its own: the kind of map that is asked for is of models that give only reconstructions")
	}
	return l, nil
}

// warmSize is the side of the images that a model of no size of its own is warmed
// up with: a multiple of what networks pool by.
const warmSize = 256

func loadOn(ctx context.Context, provider Provider, m *onnx.File, c *contract, o Options) (*loaded, error) {
	l := &loaded{contract: c, options: o, info: ModelInfo{
		Kind: c.kind, Provider: provider, Layout: c.images.layout,
		Channels: c.images.channels, Height: max(c.images.height, 0), Width: max(c.images.width, 0),
		Maps: c.residuals != nil || c.kind == KindReconstruction, Reconstructs: c.reconstruction != nil,
	}}
	l.height, l.width, l.batch = l.info.Height, l.info.Width, o.Batch
	var err error
	if l.info.Hash, err = m.Hash(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	l.usual = readUsual(m.Metadata)
	of, err := readView(m.Metadata)
	if err != nil {
		return nil, err
	}
	if l.view, err = o.View.settled(of, l.height, l.width); err != nil {
		return nil, err
	}
	l.info.View = l.view
	if l.view.Tiles != nil {
		l.info.Height, l.info.Width, l.info.Reconstructs = 0, 0, false
	}
	if l.decision, err = newDecision(c, o, &l.view); err != nil {
		return nil, err
	}
	l.info.Threshold = copied(l.decision.threshold)
	l.info.PixelThreshold = copied(cmp.Or(o.Threshold, c.pixelThreshold, l.decision.threshold))
	if l.info.Scale = o.Scale; l.info.Scale == (heatmap.Scale{}) {
		l.info.Scale = heatmap.NewScale(l.info.PixelThreshold, c.good)
	}
	l.info.Judges = l.decision.threshold != nil || l.decision.label
	l.info.Review = copied(l.decision.review)
	if c.images.batch != graph.Dynamic {
		l.batch, l.info.Fixed = c.images.batch, true
	}
	if l.batch == 0 {
		l.batch = defaultBatch(provider, o.threads(provider), l.height, l.width)
	}
	if err := l.bound(l.batch, cmp.Or(l.height, warmSize), cmp.Or(l.width, warmSize)); err != nil {
		return nil, err
	}
	l.outputs = c.computed(l.decision.label, o.Reconstruction && l.info.Reconstructs)

	if l.network, err = openSession(m, provider, o.SessionOptions, l.outputs); err != nil {
		return nil, err
	}
	if provider.row().ORT {
		if _, l.info.Library, _, err = engine.LoadLibrary(o.Library, provider.row()); err != nil {
			l.close()
			return nil, fmt.Errorf("%w %s: %w", ErrProvider, provider, err)
		}
	}
	l.residual = residuals{contract: c, provider: provider, options: o}
	if err := l.warmUp(ctx, o); err != nil {
		l.close()
		return nil, err
	}
	if l.info.Batch = l.batch; l.view.Tiles != nil {
		l.info.Batch = 1
	}
	return l, nil
}

// computed lists the outputs that the network computes, of which a label and a
// reconstruction only where they are wanted or nothing else is given.
func (c *contract) computed(label, reconstruction bool) []string {
	var names []string
	add := func(p *onnx.Port) {
		if p != nil && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	add(c.residuals)
	add(c.score)
	if label {
		add(c.label)
	}
	if reconstruction || c.kind == KindReconstruction {
		add(c.reconstruction)
	}
	slices.Sort(names)
	return names
}

// defaultBatch is Options.Batch. On CPUs what one layer leaves should lie in the
// cache for the next (measured in docs/latency.md). Where each image keeps its own
// size it is taken for large.
func defaultBatch(provider Provider, threads, height, width int) int {
	const most, pixelsOfAThread = 16, 128 * 128
	if !provider.SharesCores() {
		return most
	}
	if height < 1 {
		height, width = warmSize, warmSize
	}
	return min(max(threads*pixelsOfAThread/(height*width), 1), most)
}

// warmUp runs the model on the image of self-tests, and so finds out how large its
// maps are. Black images would not do: some networks divide by the contrast.
func (l *loaded) warmUp(ctx context.Context, o Options) error {
	height, width := l.height, l.width
	if !l.sized() {
		height, width = warmSize, warmSize
	}
	image := pattern(height, width, l.info.Channels)
	run := func(n int) ([]Result, error) {
		return l.detect(ctx, frames{bytes.Repeat(image, n), n, height, width}, false)
	}
	results, err := run(l.batch)
	if err != nil && !l.info.Fixed && l.batch > 1 && ctx.Err() == nil {
		// Some exporters declare any batch for networks that they traced with one image.
		if one, alone := run(1); alone == nil {
			results, err = one, nil
			l.batch, l.info.Fixed = 1, true
			o.Logf("the model takes one image at a time, though it declares that it takes more")
		}
	}
	if err == nil && l.contract.kind != KindDetector && !l.info.Fixed && l.batch > 1 {
		var alike bool
		if alike, err = l.alike(ctx, image, height, width); err == nil && !alike {
			l.batch, l.info.Fixed = 1, true
			o.Logf("what the model finds in an image depends on those beside it: it gets one at a time")
		}
	}
	if l.info.Provider.row().Searches && !l.info.Fixed {
		for n := 1; n < l.batch && err == nil; n *= 2 {
			_, err = run(n)
		}
	}
	switch {
	case err != nil && l.info.Provider.row().Accelerates() && ctx.Err() == nil:
		return fmt.Errorf("%w %s: first run: %w", ErrProvider, l.info.Provider, err)
	case err != nil && !l.sized():
		return fmt.Errorf("first run, on test images of %[1]dx%[1]d, for the model does not say which size it takes: %[2]w", warmSize, err)
	case err != nil:
		return fmt.Errorf("first run, on test images: %w", err)
	}
	if m := results[0].Map; m != nil && l.info.Height > 0 {
		l.info.MapHeight, l.info.MapWidth = m.Height, m.Width
		if area := m.Height * m.Width; l.decision.minArea > area {
			return fmt.Errorf("%w: smallest area: got %d pixels, want at most the map's %d", ErrInput, l.decision.minArea, area)
		}
	}
	return nil
}

// alikeTol is how far a score, or the highest of a map, may be from that of the image
// alone, as a share of it: kernels add up in another order for other batches.
const alikeTol = 1e-3

// alike reports whether the model finds the same in an image and another, made of
// it, together as in each alone. Some do not: anomalib's CFlow measures from the highest value in the batch.
func (l *loaded) alike(ctx context.Context, first []uint8, height, width int) (bool, error) {
	second := slices.Clone(first)
	for i := range second {
		second[i] = 255 - second[i]/2
	}
	both, err := l.detect(ctx, frames{slices.Concat(first, second), 2, height, width}, false)
	if err != nil {
		return false, err
	}
	for i, pix := range [][]uint8{first, second} {
		alone, err := l.detect(ctx, frames{pix, 1, height, width}, false)
		if err != nil {
			return false, err
		}
		got, want := []float32{both[i].Score}, []float32{alone[0].Score}
		if both[i].Map != nil { // whose scores may be cut off, all to 0 or 1
			got, want = append(got, both[i].Map.Max()), append(want, alone[0].Map.Max())
		}
		for j := range got {
			if math.Abs(float64(got[j])-float64(want[j])) > alikeTol*max(math.Abs(float64(want[j])), selfTestFloor) {
				return false, nil
			}
		}
	}
	return true, nil
}

// rows returns how many images the model computes when n are asked for; those
// beyond are black. Calls side by side come in batches of any size: where each
// size costs a search they are powers of two, all of which warmUp has seen.
func (l *loaded) rows(n int) int {
	switch {
	case l.info.Fixed:
		return l.batch
	case l.info.Provider.row().Searches:
		return min(1<<bits.Len(uint(n-1)), l.batch)
	}
	return n
}

// sized reports whether the network gets images of one size.
func (l *loaded) sized() bool { return l.height > 0 }

// bound refuses what no memory holds.
func (l *loaded) bound(n, height, width int) error {
	if most := maxBatch / l.contract.images.at(height, width).pixels(); n > most {
		return fmt.Errorf("%w: batch: got %d images of %dx%d with %d channels, want at most %d", ErrInput, n, height, width, l.info.Channels, most)
	}
	return nil
}

func (l *loaded) close() error { return errors.Join(l.network.Close(), l.residual.close()) }

// sizeOf returns the size of image i of a call.
func sizeOf(imgs []image.Image, i int) (height, width int, err error) {
	size, err := imageio.ImageSize(imgs[i])
	if err != nil {
		return 0, 0, fmt.Errorf("%w: image %d: %w", ErrInput, i, err)
	}
	return size.Y, size.X, nil
}

// batches divides images into batches of the size at which the model sees them, its
// own or theirs, as lists of their places.
func (l *loaded) batches(imgs []image.Image) ([][]int, error) {
	var all [][]int
	open := map[[2]int]int{} // size to its last batch
	for i := range imgs {
		height, width, err := sizeOf(imgs, i)
		if err != nil {
			return nil, err
		}
		if err := l.view.fits(image.Pt(width, height)); err != nil {
			return nil, fmt.Errorf("%w: image %d: %w", ErrInput, i, err)
		}
		if l.sized() {
			height, width = l.height, l.width
		}
		key := [2]int{height, width}
		at, ok := open[key]
		if !ok || len(all[at]) == l.batch {
			at = len(all)
			all, open[key] = append(all, nil), at
		}
		all[at] = append(all[at], i)
	}
	return all, nil
}

// prepare resizes a batch, the images at these places, on all cores. Its pixels are
// to be returned to l.pixels when they are not needed any more.
func (l *loaded) prepare(ctx context.Context, imgs []image.Image, at []int) (frames, error) {
	height, width := l.height, l.width
	if !l.sized() {
		var err error
		if height, width, err = sizeOf(imgs, at[0]); err != nil {
			return frames{}, err
		}
		if width > maxPixels/height {
			return frames{}, fmt.Errorf("%w: image %d: got %dx%d pixels, want 1x1 to %d", ErrInput, at[0], height, width, maxPixels)
		}
		if err := l.bound(l.rows(len(at)), height, width); err != nil {
			return frames{}, err
		}
	}
	size := l.contract.images.at(height, width).pixels()
	f := frames{l.pixels.Get(len(at) * size), len(at), height, width}
	errs := make([]error, len(at))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(goruntime.GOMAXPROCS(0), len(at)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(at) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := imageio.Resize(f.pix[i*size:][:size], imgs[at[i]], height, width, l.info.Channels); err != nil {
					errs[i] = fmt.Errorf("%w: image %d: %w", ErrInput, at[i], err)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return f, err
	}
	return f, errors.Join(errs...)
}

// detect runs the model on images, at most a batch.
func (l *loaded) detect(ctx context.Context, f frames, reconstruction bool) ([]Result, error) {
	rows := l.rows(f.n)
	c := l.contract
	s, ok := l.scratch.Get().(*scratch)
	if !ok {
		s = newScratch()
	}
	defer l.scratch.Put(s)
	x := c.tensor(f, rows, s)
	out, err := s.run(ctx, "network ", l.network, map[string]*graph.Tensor{c.input.Name: x}, l.outputs...)
	if err != nil {
		return nil, l.explain(ctx, f, err)
	}
	var scores, labels []float32
	maps := make([]*heatmap.Map, rows)
	if c.kind == KindReconstruction {
		var m *graph.Tensor
		if m, scores, err = l.residual.run(ctx, s, x, out[c.reconstruction.Name], f.height, f.width); err != nil {
			return nil, err
		}
		maps, err = splitMaps(m, rows)
	} else if c.residuals != nil {
		maps, err = c.maps(out[c.residuals.Name], rows)
	}
	if err != nil {
		return nil, err
	}
	if c.score != nil {
		scores = floats(out[c.score.Name])
	} else if scores == nil {
		scores = make([]float32, rows)
		for i, m := range maps {
			scores[i] = m.Max()
		}
	}
	if l.decision.label {
		labels = floats(out[c.label.Name])
	}
	if len(scores) != rows || labels != nil && len(labels) != rows {
		return nil, fmt.Errorf("%w: got %d scores and %d labels for %d images", ErrModel, len(scores), len(labels), rows)
	}
	if err := l.finite(f, scores, maps, out); err != nil {
		return nil, err
	}
	c.normalizeScore.apply(scores)

	results := make([]Result, f.n)
	for i := range results {
		r := &results[i]
		*r = l.newResult(nil)
		r.Score = scores[i]
		if m := maps[i]; m != nil { // a copy: that of one image alone, for as long as its owner keeps it
			r.Map = &heatmap.Map{Data: slices.Clone(m.Data), Height: m.Height, Width: m.Width}
			c.normalizeMap.apply(r.Map.Data)
		}
		if l.view.Tiles != nil { // it is judged with the others of its image
			continue
		}
		size := len(f.pix) / f.n
		pix := f.pix[i*size:][:size]
		r.Look, r.Unlike = l.usual.pixels(pix, f.height, f.width, l.info.Channels)
		r.Part = l.view.mask(r.Map, pix, f.height, f.width, l.info.Channels)
		l.decision.judge(r)
		if labels != nil {
			r.Anomalous = labels[i] != 0
		}
		r.Verdict = r.verdict()
		r.Unlike = append(r.Unlike, l.usual.area(r.Map, c.usual)...)
		if reconstruction && c.reconstruction != nil {
			t := c.reconstructed.at(f.height, f.width)
			size := t.pixels()
			y := floats(out[c.reconstruction.Name])
			if len(y) != rows*size {
				return nil, fmt.Errorf("%w: got a reconstruction %v for %d images of %dx%d", ErrModel, out[c.reconstruction.Name].Shape(), rows, f.height, f.width)
			}
			r.Reconstruction = t.image(y[i*size:(i+1)*size], c.outRange)
		}
	}
	return results, nil
}

// newResult returns a result that has a map and what the model says of all of them.
func (l *loaded) newResult(m *heatmap.Map) Result {
	return Result{
		Map: m, Threshold: copied(l.info.Threshold), Judged: l.info.Judges, Model: l.info.Hash,
		PixelThreshold: copied(l.info.PixelThreshold), Scale: l.info.Scale,
	}
}

// verdict is that of the review band, if there is one, else what Anomalous says.
func (r *Result) verdict() Verdict {
	switch {
	case r.Verdict != "" || !r.Judged:
		return r.Verdict
	case r.Anomalous:
		return Anomalous
	}
	return Good
}

// finite reports what is no number in what a model gives for images, without the
// rows beyond them.
func (l *loaded) finite(f frames, scores []float32, maps []*heatmap.Map, out map[string]*graph.Tensor) error {
	if r := l.contract.reconstruction; r != nil && out[r.Name] != nil {
		y := floats(out[r.Name])
		if err := checkFinite("a reconstruction", y[:len(y)/len(maps)*f.n]); err != nil {
			return err
		}
	}
	for _, m := range maps[:f.n] {
		if m != nil {
			if err := checkFinite("a map", m.Data); err != nil {
				return err
			}
		}
	}
	return checkFinite("scores", scores[:f.n])
}

// explain adds what a user can do to the error of a network that was given images
// of their own size.
func (l *loaded) explain(ctx context.Context, f frames, err error) error {
	if l.sized() || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w (images of %dx%d, their own size: networks that pool take only multiples of 8, 16 or 32; a size that is given brings all images to it)", err, f.height, f.width)
}

// maps returns the maps in the output that has them.
func (c *contract) maps(t *graph.Tensor, rows int) ([]*heatmap.Map, error) {
	s := t.Shape()
	if !c.classes {
		return splitMaps(t, rows)
	}
	if len(s) != 4 || s[0] != rows || s[1] != 2 || s[2] < 1 || s[3] < 1 {
		return nil, fmt.Errorf("%w: got a map %v for %d images, want [%[3]d,2,H,W]", ErrModel, s, rows)
	}
	area, data := s[2]*s[3], floats(t)
	maps := make([]*heatmap.Map, rows)
	for i := range maps {
		good, bad := data[2*i*area:][:area], data[(2*i+1)*area:][:area]
		m := &heatmap.Map{Data: slices.Clone(bad), Height: s[2], Width: s[3]}
		if c.logits {
			for j := range m.Data { // softmax of two
				m.Data[j] = float32(1 / (1 + math.Exp(float64(good[j])-float64(bad[j]))))
			}
		}
		maps[i] = m
	}
	return maps, nil
}

// splitMaps returns the maps in a tensor [N,1,H,W], [N,H,W,1], [N,H,W] or, of one image, [H,W].
func splitMaps(t *graph.Tensor, rows int) ([]*heatmap.Map, error) {
	shape := t.Shape()
	s := slices.Clone(shape)
	if len(s) == 2 && rows == 1 {
		s = append([]int{1}, s...)
	}
	if len(s) == 4 {
		switch {
		case s[1] == 1:
			s = slices.Delete(s, 1, 2)
		case s[3] == 1:
			s = s[:3]
		}
	}
	if len(s) != 3 || s[0] != rows || s[1] < 1 || s[2] < 1 {
		return nil, fmt.Errorf("%w: got a map %v for %d images, want [%[3]d,1,H,W], [%[3]d,H,W,1] or [%[3]d,H,W]", ErrModel, shape, rows)
	}
	h, w, data := s[1], s[2], floats(t)
	maps := make([]*heatmap.Map, rows)
	for i := range maps {
		maps[i] = &heatmap.Map{Data: data[i*h*w : (i+1)*h*w : (i+1)*h*w], Height: h, Width: w}
	}
	return maps, nil
}
