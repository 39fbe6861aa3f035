package runtime

import (
	"context"
	"errors"
	"image"
	"image/color"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A slowImage is looked at only when it may be: its detection is in flight as
// long as a test wants.
type slowImage struct {
	image.Image
	seen, open chan struct{}
	once       *sync.Once
}

func newSlowImage() slowImage {
	return slowImage{image.NewGray(image.Rect(0, 0, 16, 16)), make(chan struct{}), make(chan struct{}), new(sync.Once)}
}

func (s slowImage) At(x, y int) color.Color {
	s.once.Do(func() { close(s.seen) })
	<-s.open
	return s.Image.At(x, y)
}

// seeded writes the same small network with other weights, and opens it.
func seeded(t *testing.T, seed uint64) (path string, b []byte) {
	t.Helper()
	net := network(t, models.Spec{Height: 16, Filters: 2})
	m, err := onnxexport.Build(net, net.Init(seed), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = onnxexport.Marshal(m); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b
}

// later runs f beside the test and returns a channel with its error.
func later(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func wantWaiting(t *testing.T, what string, c <-chan error) {
	t.Helper()
	select {
	case err := <-c:
		t.Fatalf("%s: returned %v, want it to wait", what, err)
	default:
	}
}

func wantError(t *testing.T, what string, c <-chan error, want error) {
	t.Helper()
	if err := <-c; !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// Close waits for what is in flight, and nothing begins any more.
func TestCloseDuringDetect(t *testing.T) {
	path, b := seeded(t, 1)
	each(t, func(t *testing.T, provider Provider) {
		d, err := OpenBytes(b, &Options{SessionOptions: SessionOptions{Provider: provider}})
		if err != nil {
			t.Fatal(err)
		}
		img := newSlowImage()
		detected := later(func() error {
			r, err := d.Detect(t.Context(), img, img)
			if err == nil && len(r) != 2 {
				err = errors.New("no results")
			}
			return err
		})
		<-img.seen
		closed, again := later(d.Close), later(d.Close)
		for { // until Close waits
			l, err := d.acquire()
			if err != nil {
				break
			}
			d.release(l)
		}
		if _, err := d.Detect(t.Context(), img); !errors.Is(err, ErrClosed) {
			t.Errorf("Detect: got %v, want ErrClosed", err)
		}
		if err := d.Swap(t.Context(), path); !errors.Is(err, ErrClosed) {
			t.Errorf("Swap: got %v, want ErrClosed", err)
		}
		wantWaiting(t, "Close", closed)
		wantWaiting(t, "Close again", again)
		close(img.open)
		wantError(t, "Detect in flight", detected, nil)
		wantError(t, "Close", closed, nil)
		wantError(t, "Close again", again, nil)
	})
}

// What was opened is closed: goroutines, and files where the system lists them.
// Memory is the soak's affair (internal/soak).
func TestOpenAndCloseLeaveNothing(t *testing.T) {
	_, b := seeded(t, 1)
	each(t, func(t *testing.T, provider Provider) {
		count := func() (goroutines, files int) {
			entries, _ := os.ReadDir("/proc/self/fd")
			return goruntime.NumGoroutine(), len(entries)
		}
		var goroutines, files int
		for i := range 12 {
			d, err := OpenBytes(b, &Options{SessionOptions: SessionOptions{Provider: provider}})
			if err != nil {
				t.Fatal(err)
			}
			detect(t, d, pictures(1)...)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if i == 1 { // the library is loaded, its own threads are there
				goroutines, files = count()
			}
		}
		g, f := count()
		for try := 0; try < 100 && (g > goroutines || f > files); try++ {
			time.Sleep(10 * time.Millisecond) // one whose work is done may not have ended
			g, f = count()
		}
		if g > goroutines || f > files {
			t.Errorf("got %d goroutines and %d files, want %d and %d", g, f, goroutines, files)
		}
	})
}

// Calls in flight keep the old model and hold up no new ones; Swap waits for them.
func TestSwapDuringDetect(t *testing.T) {
	_, one := seeded(t, 1)
	path, two := seeded(t, 2)
	each(t, func(t *testing.T, provider Provider) {
		img := image.NewGray(image.Rect(0, 0, 16, 16))
		score := func(b []byte) float32 {
			return detect(t, openDetector(t, b, &Options{SessionOptions: SessionOptions{Provider: provider}}), img)[0].Score
		}
		before, after := score(one), score(two)
		d := openDetector(t, one, &Options{SessionOptions: SessionOptions{Provider: provider}})
		slow := newSlowImage()
		var old []Result
		detected := later(func() (err error) {
			old, err = d.Detect(t.Context(), slow)
			return err
		})
		<-slow.seen
		swapped := later(func() error { return d.Swap(t.Context(), path) })
		for detect(t, d, img)[0].Score != after { // until it has taken over
			wantWaiting(t, "Swap", swapped)
		}
		wantWaiting(t, "Swap", swapped)
		close(slow.open)
		wantError(t, "Swap", swapped, nil)
		wantError(t, "Detect in flight", detected, nil)
		if len(old) != 1 || old[0].Score != before {
			t.Errorf("in flight: got %v, want score %v", old, before)
		}
	})
}

// A Swap ends with its context and with Close, others wait for their turn, and
// what did not take over is freed.
func TestSwapIsCancelled(t *testing.T) {
	path, b := seeded(t, 1)
	d, err := OpenBytes(b, &Options{SessionOptions: SessionOptions{Provider: Go}})
	if err != nil {
		t.Fatal(err)
	}
	var candidates []*loaded
	checking := make(chan struct{})
	wait := func(ctx context.Context, next *loaded) error {
		candidates = append(candidates, next)
		checking <- struct{}{}
		<-ctx.Done()
		return nil // a check that does not look
	}
	before := d.current
	ctx, cancel := context.WithCancel(t.Context())
	first := later(func() error { return d.swap(ctx, parsed(t, b), wait) })
	<-checking
	impatient, giveUp := context.WithCancel(t.Context())
	second := later(func() error { return d.Swap(impatient, path) })
	giveUp()
	wantError(t, "a Swap whose turn does not come", second, context.Canceled)
	third := later(func() error { return d.swap(t.Context(), parsed(t, b), wait) })
	wantWaiting(t, "Swap", first)
	cancel()
	wantError(t, "a cancelled Swap", first, context.Canceled)
	if d.current != before {
		t.Error("a cancelled Swap took over")
	}
	<-checking
	wantWaiting(t, "Swap", third)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "a Swap that Close ends", third, ErrClosed)

	refused := errors.New("refused")
	d = openDetector(t, b, &Options{SessionOptions: SessionOptions{Provider: Go}})
	err = d.swap(t.Context(), parsed(t, b), func(_ context.Context, next *loaded) error {
		candidates = append(candidates, next)
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v, want the check's error", err)
	}
	for i, c := range candidates {
		if _, err := c.network.Run(t.Context(), nil); err == nil || !c.network.closed {
			t.Errorf("candidate %d was not freed", i)
		}
	}
}

// Whatever stage a call is in, it returns when its context ends.
func TestDetectIsCancelled(t *testing.T) {
	_, b := seeded(t, 1)
	d := openDetector(t, b, &Options{SessionOptions: SessionOptions{Provider: Go}})
	ctx, cancel := context.WithCancel(t.Context())
	img := newSlowImage()
	preparing := later(func() error {
		_, err := d.Detect(ctx, img, img, img)
		return err
	})
	<-img.seen
	cancel()
	close(img.open)
	wantError(t, "while images are prepared", preparing, context.Canceled)
	if _, err := d.Detect(ctx, pictures(1)...); !errors.Is(err, context.Canceled) {
		t.Errorf("before: got %v", err)
	}
	if _, err := d.DetectPixels(ctx, make([]uint8, 16*16*3), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("before, with pixels: got %v", err)
	}

	// While another call is computed, and while it is computed itself: its engine
	// waits for the test.
	held := &heldEngine{State: d.current.network.state, entered: make(chan struct{}), open: make(chan struct{}), left: make(chan struct{}, 1)}
	d.current.network.state = held
	detectIn := func(ctx context.Context) <-chan error {
		return later(func() error {
			_, err := d.Detect(ctx, pictures(1)...)
			return err
		})
	}
	running := detectIn(t.Context())
	<-held.entered
	ctx, cancel = context.WithCancel(t.Context())
	queued := detectIn(ctx)
	cancel()
	wantError(t, "in the queue", queued, context.Canceled)
	wantWaiting(t, "another", running)
	close(held.open)
	wantError(t, "another", running, nil)

	held.open = make(chan struct{})
	ctx, cancel = context.WithCancel(t.Context())
	running = detectIn(ctx)
	<-held.entered
	cancel()
	wantError(t, "while it is computed", running, context.Canceled)
	<-held.left // the engine was told, too
}

// A heldEngine runs when it may, or not at all if its context ends before.
type heldEngine struct {
	engine.State
	entered, open, left chan struct{}
}

func (e *heldEngine) Run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	e.entered <- struct{}{}
	select {
	case <-e.open:
		return e.State.Run(ctx, in, outputs, out)
	case <-ctx.Done():
		e.left <- struct{}{}
		return ctx.Err()
	}
}
