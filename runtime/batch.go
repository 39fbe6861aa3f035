package runtime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A batcher computes the parts of calls that run side by side, as many together
// as fit a batch. What comes while a batch is computed goes into the next one.
//
// Batches run in a goroutine that is there only as long as there is work, so that
// a detector that nobody closes is garbage like anything else.
type batcher struct {
	detect func(context.Context, frames) ([]Result, error) // of at most size images
	size   int                                             // images in a batch
	window time.Duration                                   // how long a batch that is not full waits for more

	mu      sync.Mutex
	queue   []*part
	working bool
	grown   chan struct{} // holds a value when the queue has grown
	done    sync.WaitGroup
	pix     []uint8 // of the batch in hand
}

// A part of a call: at most a batch.
type part struct {
	frames
	came    time.Time
	batch   *batch        // nil as long as it waits
	ready   chan struct{} // closed when there are results or an error
	results []Result
	err     error
}

// A batch is what is computed at once. It is given up when nobody waits for it.
type batch struct {
	parts   []*part
	waiting int // guarded by batcher.mu
	cancel  context.CancelFunc
}

func newBatcher(size int, window time.Duration, detect func(context.Context, frames) ([]Result, error)) *batcher {
	return &batcher{detect: detect, size: size, window: window, grown: make(chan struct{}, 1)}
}

// serve computes n parts of a call. It makes the next one while one is computed,
// and hands on results in order.
func (b *batcher) serve(ctx context.Context, n int, next func(i int) (frames, error), handle func(i int, r []Result)) error {
	var before *part
	for i := range n + 1 {
		var p *part
		if i < n {
			f, err := next(i)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				b.leave(before)
				return err
			}
			p = b.submit(f)
		}
		if before != nil {
			if err := b.wait(ctx, before); err != nil {
				b.leave(p)
				return err
			}
			handle(i-1, before.results)
		}
		before = p
	}
	return nil
}

// submit puts a part into the queue.
func (b *batcher) submit(f frames) *part {
	p := &part{frames: f, came: time.Now(), ready: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, p)
	if !b.working {
		b.working = true
		b.done.Go(b.work)
	}
	select {
	case b.grown <- struct{}{}:
	default:
	}
	return p
}

// wait returns when a part has been computed, or at once when ctx ends.
func (b *batcher) wait(ctx context.Context, p *part) error {
	select {
	case <-p.ready:
		return p.err
	case <-ctx.Done():
		b.leave(p)
		return ctx.Err()
	}
}

// leave takes back a part whose results nobody wants; nil is none. Its pixels are
// not read any more when it returns.
func (b *batcher) leave(p *part) {
	if p == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.batch == nil {
		b.queue = slices.DeleteFunc(b.queue, func(q *part) bool { return p == q })
	} else if p.batch.waiting--; p.batch.waiting == 0 {
		p.batch.cancel()
	}
}

// work runs batches until the queue is empty.
func (b *batcher) work() {
	for {
		b.collect()
		ctx, cancel := context.WithCancel(context.Background())
		batch, f := b.take(cancel)
		if batch == nil {
			cancel()
			return
		}
		b.run(ctx, batch, f)
		cancel()
	}
}

// collect waits until the queue has a batch for the part that came first, or that
// part has waited for the window.
func (b *batcher) collect() {
	if b.window <= 0 {
		return
	}
	for {
		b.mu.Lock()
		n, left := 0, b.window
		for i, p := range b.queue {
			if i == 0 {
				left -= time.Since(p.came)
			}
			if p.sameSize(&b.queue[0].frames) {
				n += p.n
			}
		}
		b.mu.Unlock()
		if n == 0 || n >= b.size || left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-b.grown:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take makes a batch of the part that came first and of those behind it that are
// of the same size and fit in beside it. It returns nil, and work is over, if the
// queue is empty.
func (b *batcher) take(cancel context.CancelFunc) (*batch, frames) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.working = false
		return nil, frames{}
	}
	t := &batch{cancel: cancel}
	f := frames{pix: b.pix[:0], height: b.queue[0].height, width: b.queue[0].width}
	left := b.queue[:0]
	for _, p := range b.queue {
		if !p.sameSize(&f) || f.n > 0 && (f.n+p.n > b.size || len(f.pix)+len(p.pix) > maxBatch) {
			left = append(left, p)
			continue
		}
		// Copied here, under the lock, so that one who leaves knows that it is over.
		f.pix = append(f.pix, p.pix...)
		f.n += p.n
		p.batch = t
		t.parts = append(t.parts, p)
	}
	clear(b.queue[len(left):])
	b.queue, b.pix = left, f.pix
	t.waiting = len(t.parts)
	return t, f
}

// run computes a batch. When it fails each part is tried by itself: one of them
// may be the reason.
func (b *batcher) run(ctx context.Context, t *batch, f frames) {
	detect := func(f frames) (r []Result, err error) {
		if panicked := guarded(func() error { r, err = b.detect(ctx, f); return nil }); panicked != nil {
			err = fmt.Errorf("%w: %w", ErrModel, panicked)
		}
		return r, err
	}
	results, err := detect(f)
	size := len(f.pix) / f.n
	for at, i := 0, 0; i < len(t.parts); i++ {
		p := t.parts[i]
		end := at + p.n
		switch {
		case err == nil:
			p.results = results[at:end:end]
		case len(t.parts) == 1 || ctx.Err() != nil:
			p.err = err
		default:
			p.results, p.err = detect(frames{f.pix[at*size : end*size], p.n, f.height, f.width})
		}
		close(p.ready)
		at = end
	}
}
