package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A recorder computes the first pixel of each image, takes a second for it, and
// keeps which images came together. 255 is an image that fails its batch.
type recorder struct {
	batches []string
	ended   int // batches that were given up
}

func (r *recorder) detect(ctx context.Context, f frames) ([]Result, error) {
	size := f.height * f.width
	firsts := make([]uint8, f.n)
	for i := range firsts {
		firsts[i] = f.pix[i*size]
	}
	r.batches = append(r.batches, fmt.Sprint(firsts))
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		r.ended++
		return nil, ctx.Err()
	}
	results := make([]Result, f.n)
	for i, v := range firsts {
		if v == 255 {
			return nil, errors.New("failed")
		}
		results[i].Score = float32(v)
	}
	return results, nil
}

// squares are images of side×side pixels with these values.
func squares(side int, values ...uint8) frames {
	f := frames{n: len(values), height: side, width: side}
	for _, v := range values {
		f.pix = append(f.pix, slices.Repeat([]uint8{v}, side*side)...)
	}
	return f
}

// Which images come together, when, and what becomes of those that fail or are
// given up. A batch has up to four images and takes a second.
func TestBatcher(t *testing.T) {
	type call struct {
		after  time.Duration // since the test began
		leaves time.Duration // since then, too; 0: never
		side   int
		values []uint8
		want   string // scores or an error
		took   time.Duration
	}
	const second = time.Second
	for _, tt := range []struct {
		name    string
		window  time.Duration
		calls   []call
		batches []string
		ended   int
	}{
		{"one call", 0, []call{{0, 0, 1, []uint8{7}, "[7]", second}}, []string{"[7]"}, 0},
		{"what comes meanwhile is one batch", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, 0, 1, []uint8{2}, "[2]", second * 7 / 4},
			{second / 2, 0, 1, []uint8{3, 4}, "[3 4]", second * 3 / 2},
		}, []string{"[1]", "[2 3 4]"}, 0},
		{"no more than fit", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, 0, 1, []uint8{2, 3, 4}, "[2 3 4]", second * 7 / 4},
			{second / 2, 0, 1, []uint8{5, 6}, "[5 6]", second * 5 / 2},
			{second * 3 / 4, 0, 1, []uint8{7}, "[7]", second * 5 / 4},
		}, []string{"[1]", "[2 3 4 7]", "[5 6]"}, 0},
		{"a call of more than a batch lets others in", 0, []call{
			{0, 0, 1, []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "[1 2 3 4 5 6 7 8 9 10]", second * 4},
			{second / 2, 0, 1, []uint8{11, 12, 13}, "[11 12 13]", second * 5 / 2},
		}, []string{"[1 2 3 4]", "[5 6 7 8]", "[11 12 13]", "[9 10]"}, 0},
		{"sizes apart", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, 0, 2, []uint8{2}, "[2]", second * 7 / 4},
			{second / 2, 0, 1, []uint8{3}, "[3]", second * 5 / 2},
			{second * 3 / 4, 0, 2, []uint8{4}, "[4]", second * 5 / 4},
		}, []string{"[1]", "[2 4]", "[3]"}, 0},
		{"a failure is one call's", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, 0, 1, []uint8{2}, "[2]", second * 11 / 4},
			{second / 2, 0, 1, []uint8{255}, "failed", second * 7 / 2},
			{second * 3 / 4, 0, 1, []uint8{3}, "[3]", second * 17 / 4},
		}, []string{"[1]", "[2 255 3]", "[2]", "[255]", "[3]"}, 0},
		{"one who leaves the queue is not computed", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, second / 2, 1, []uint8{2}, "context canceled", second / 4},
			{second / 2, 0, 1, []uint8{3}, "[3]", second * 3 / 2},
		}, []string{"[1]", "[3]"}, 0},
		{"a batch that one leaves goes on", 0, []call{
			{0, 0, 1, []uint8{1}, "[1]", second},
			{second / 4, second * 5 / 4, 1, []uint8{2}, "context canceled", second},
			{second / 2, 0, 1, []uint8{3}, "[3]", second * 3 / 2},
		}, []string{"[1]", "[2 3]"}, 0},
		{"a batch that all leave is given up", 0, []call{
			{0, second / 2, 1, []uint8{1}, "context canceled", second / 2},
			{second / 4, 0, 1, []uint8{2}, "[2]", second * 5 / 4},
		}, []string{"[1]", "[2]"}, 1},
		{"a window gathers", 2 * second, []call{
			{0, 0, 1, []uint8{1}, "[1]", second * 3},
			{second, 0, 1, []uint8{2}, "[2]", second * 2},
			{second, 0, 2, []uint8{3, 4, 5}, "[3 4 5]", second * 3},
		}, []string{"[1 2]", "[3 4 5]"}, 0},
		{"a window ends when the batch is full", 2 * second, []call{
			{0, 0, 1, []uint8{1}, "[1]", second * 2},
			{second / 2, 0, 1, []uint8{2}, "[2]", second * 3 / 2},
			{second, 0, 1, []uint8{3, 4}, "[3 4]", second},
		}, []string{"[1 2 3 4]"}, 0},
		{"a window that all leave", 2 * second, []call{
			{0, second, 1, []uint8{1}, "context canceled", second},
			{second * 3, 0, 1, []uint8{2}, "[2]", second * 3},
		}, []string{"[2]"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				b := newBatcher(4, tt.window, r.detect)
				begin := time.Now()
				var calls sync.WaitGroup
				for _, c := range tt.calls {
					calls.Go(func() {
						time.Sleep(c.after)
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						if c.leaves > 0 {
							time.AfterFunc(time.Until(begin.Add(c.leaves)), cancel)
						}
						var scores []float32
						n := len(c.values)
						err := b.serve(ctx, (n+3)/4, func(i int) (frames, error) {
							return squares(c.side, c.values[4*i:min(4*i+4, n)]...), nil
						}, func(_ int, results []Result) {
							for _, r := range results {
								scores = append(scores, r.Score)
							}
						})
						got := fmt.Sprint(scores)
						if err != nil {
							got = err.Error()
						}
						if took := time.Since(begin) - c.after; got != c.want || took != c.took {
							t.Errorf("%v: got %s after %v, want %s after %v", c.values, got, took, c.want, c.took)
						}
					})
				}
				calls.Wait()
				b.done.Wait()
				if !slices.Equal(r.batches, tt.batches) || r.ended != tt.ended {
					t.Errorf("got batches %v, %d given up; want %v, %d", r.batches, r.ended, tt.batches, tt.ended)
				}
				if b.working || len(b.queue) > 0 {
					t.Errorf("got a worker %v and %d parts in the queue, want none", b.working, len(b.queue))
				}
			})
		})
	}
}

// Calls side by side find what calls one after the other find.
func TestDetectorSideBySide(t *testing.T) {
	spec := models.Spec{Height: 24, Width: 16, Filters: 4}
	half := func(batch, height, width any) []byte {
		s := newSketch(18)
		s.input("x", graph.Float32, batch, 3, height, width)
		s.node("Mul", []string{"x", s.weight("half", graph.Float32, nil, .5)}, "y")
		s.output("y", graph.Float32, batch, 3, height, width)
		return s.bytes(t)
	}
	imgs := pictures(9)
	each(t, func(t *testing.T, provider Provider) {
		for name, model := range map[string][]byte{
			"detector":       detectorModel(t, spec, nil),
			"float":          detectorModel(t, spec, &onnxexport.Options{Input: onnxexport.FloatNCHW}),
			"reconstruction": detectorModel(t, spec, &onnxexport.Options{Profile: onnxexport.Reconstruction}),
			"fixed batch":    half(3, 24, 16),
			"batch of one":   half(1, 24, 16),
			"no size":        half("N", "H", "W"),
		} {
			if name == "no size" && provider == Go {
				continue // which needs to know shapes
			}
			for _, window := range []time.Duration{0, time.Millisecond} {
				d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: provider}, Batch: 4, BatchWindow: window, Reconstruction: true})
				want := detect(t, d, imgs...)
				var calls sync.WaitGroup
				for first := range len(imgs) {
					calls.Go(func() {
						// From one image to more than two batches.
						mine, expected := imgs[first:], want[first:]
						got, err := d.Detect(t.Context(), mine...)
						if err != nil || len(got) != len(mine) {
							t.Errorf("%s: got %d results, %v", name, len(got), err)
							return
						}
						for i := range got {
							wantSame(t, fmt.Sprintf("%s, image %d of %d", name, i, len(mine)), got[i], expected[i], matesTol*math.Max(1, float64(expected[i].Score)))
							if got, want := got[i].Reconstruction.Bounds(), expected[i].Reconstruction.Bounds(); got != want {
								t.Errorf("%s: reconstruction: got %v, want %v", name, got, want)
							}
						}
					})
				}
				for range 4 { // which must not harm the others
					calls.Go(func() {
						if _, err := d.Detect(t.Context(), imgs[0], nil); !errors.Is(err, ErrInput) {
							t.Errorf("%s: a nil image: got %v", name, err)
						}
						ctx, cancel := context.WithCancel(t.Context())
						time.AfterFunc(time.Millisecond, cancel)
						if _, err := d.Detect(ctx, imgs...); err != nil && !errors.Is(err, context.Canceled) {
							t.Errorf("%s: cancelled: got %v", name, err)
						}
					})
				}
				calls.Wait()
			}
		}
	})
}

// An image whose score is no number is the error of its own call.
func TestDetectorFailureIsOneCalls(t *testing.T) {
	g := graph.New("zero by zero")
	x := g.Input("x", graph.Float32, graph.Dynamic, 1, 16, 16)
	white := graph.Sub(x, g.Scalar(1)) // 0 where a pixel is white
	g.Output("y", graph.Add(x, graph.Div(white, white)))
	d := openDetector(t, marshal(t, g, nil), &Options{SessionOptions: SessionOptions{Provider: Go}, BatchWindow: time.Millisecond})
	grey, bad := make([]uint8, 256), slices.Repeat([]uint8{255}, 256)
	var calls sync.WaitGroup
	for i := range 32 {
		calls.Go(func() {
			if i%4 == 0 {
				if _, err := d.DetectPixels(t.Context(), bad, 1); !errors.Is(err, ErrModel) {
					t.Errorf("white image: got %v, want ErrModel", err)
				}
			} else if _, err := d.DetectPixels(t.Context(), grey, 1); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

func TestDefaultBatch(t *testing.T) {
	for _, tt := range []struct {
		provider               Provider
		threads, height, width int
		want                   int
	}{
		{CPU, 2, 128, 128, 2}, {CPU, 2, 64, 64, 8}, {CPU, 2, 32, 32, 16}, {CPU, 2, 256, 256, 1}, {CPU, 1, 512, 512, 1},
		{CPU, 16, 128, 128, 16}, {CPU, 16, 256, 256, 4}, {Go, 2, 128, 64, 4}, {OpenVINO, 4, 128, 128, 4},
		{CPU, 2, 0, 0, 1}, {CPU, 64, 0, 0, 16}, {CUDA, 2, 256, 256, 16}, {CUDA, 2, 0, 0, 16},
	} {
		if got := defaultBatch(tt.provider, tt.threads, tt.height, tt.width); got != tt.want {
			t.Errorf("%+v: got %d", tt, got)
		}
	}
}

// A sizesEngine notes how many images it computes at once.
type sizesEngine struct {
	engine.State
	sizes []int
}

func (e *sizesEngine) Run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	e.sizes = append(e.sizes, in[0].Shape()[0])
	return e.State.Run(ctx, in, outputs, out)
}

// Where each size of a batch costs a search, few occur, and all before the first
// image. (The engine is another provider's: what counts is what it is given.)
func TestSizesOfBatches(t *testing.T) {
	model := detectorModel(t, models.Spec{Height: 16, Filters: 2}, nil)
	imgs := pictures(12)
	for _, tt := range []struct {
		provider Provider
		warm     []int
		calls    [12]int // what 1, 2, … images come to
	}{
		{Go, []int{12}, [12]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{OpenVINO, []int{12}, [12]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{CUDA, []int{12, 1, 2, 4, 8}, [12]int{1, 2, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12}},
		{TensorRT, []int{12, 1, 2, 4, 8}, [12]int{1, 2, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12}},
	} {
		d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}, Batch: 12})
		want := detect(t, d, imgs...)
		l := d.current.loaded
		e := &sizesEngine{State: l.network.state}
		l.network.state, l.info.Provider = e, tt.provider
		if err := l.warmUp(t.Context(), d.options); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(e.sizes, tt.warm) {
			t.Errorf("%s: warms up with %v, want %v", tt.provider, e.sizes, tt.warm)
		}
		e.sizes = nil
		for n := range imgs {
			for i, r := range detect(t, d, imgs[:n+1]...) {
				wantSame(t, fmt.Sprintf("%s, image %d of %d", tt.provider, i, n+1), r, want[i], matesTol)
			}
		}
		if !slices.Equal(e.sizes, tt.calls[:]) {
			t.Errorf("%s: got batches of %v, want %v", tt.provider, e.sizes, tt.calls)
		}
	}
}
