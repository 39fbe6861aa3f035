package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

const (
	// batch is small, so that calls of many images are divided.
	batch = 8
	// sameTol is how far a result may be from what its model gives the same image
	// alone, relative to scores above 1: kernels may add up in another order for
	// another batch size. Results of two models differ by far more.
	sameTol = 1e-6
	// apart is what scores of two models must differ by for some image to tell whose
	// a result is.
	apart = 100 * sameTol
)

// A streamed is what became of a stream of requests.
type streamed struct {
	took        time.Duration
	swaps       int
	refused     int // swaps to a file that is half a model, which must fail
	requests    int64
	images      int64
	served      []int64 // images by variant
	invalid     int64   // requests with a nil image, which must fail
	cancelled   int64   // requests whose context ended before there was a result
	lost        int64   // requests without the answer that they should have had
	mixed       int64   // results that are none of the models' in use, or of two in one request
	difference  float64 // largest, of a score or map from that of the image alone
	whatWasLost error   // the first
	start, end  footprint
	samples     []footprint
	swapped     []time.Duration // when
}

func (s *streamed) String() string {
	return fmt.Sprintf("%d swaps, %d requests of %d images in %v: %d lost, %d mixed; memory %.1f MB at the start, %.1f at the end (%+.1f %%)",
		s.swaps, s.requests, s.images, s.took.Round(time.Second), s.lost, s.mixed, s.start.rss, s.end.rss, 100*s.growth())
}

// growth is that of memory, 0 for none.
func (s *streamed) growth() float64 { return s.end.rss/s.start.rss - 1 }

// mayGrow is how much more memory there may be at the end.
const mayGrow = .1

func (s *streamed) wrong() []string {
	var wrong []string
	if s.lost > 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests were lost, the first: %v", s.lost, s.whatWasLost))
	}
	if s.mixed > 0 {
		wrong = append(wrong, fmt.Sprintf("%d results were mixed up", s.mixed))
	}
	if g := s.growth(); g > mayGrow {
		wrong = append(wrong, fmt.Sprintf("memory grew by %.0f %%", 100*g))
	}
	return wrong
}

// expectations are what each variant gives each image alone.
func expectations(files []string, imgs []image.Image, o *anrt.Options) ([][]anrt.Result, error) {
	var all [][]anrt.Result
	for _, file := range files {
		d, err := anrt.Open(file, o)
		if err != nil {
			return nil, err
		}
		var results []anrt.Result
		for _, img := range imgs {
			r, err := d.Detect(context.Background(), img)
			if err != nil {
				return nil, err
			}
			results = append(results, r...)
		}
		all = append(all, results)
		if err := d.Close(); err != nil {
			return nil, err
		}
	}
	for i := range all {
		for j := range i {
			for k := range imgs {
				if difference(all[i][k], all[j][k]) < apart || all[i][k].Model == all[j][k].Model {
					return nil, fmt.Errorf("models %d and %d give image %d the same result: whose it is could not be told", i, j, k)
				}
			}
		}
	}
	return all, nil
}

// difference of what two results say of an image; +Inf if their maps differ in size.
func difference(a, b anrt.Result) float64 {
	if a.Map.Height != b.Map.Height || a.Map.Width != b.Map.Width {
		return math.Inf(1)
	}
	most := math.Abs(float64(a.Score - b.Score))
	for i, x := range a.Map.Data {
		most = max(most, math.Abs(float64(x-b.Map.Data[i])))
	}
	return most / math.Max(1, math.Abs(float64(b.Score)))
}

// A line is a detector under a stream of requests.
type line struct {
	detector *anrt.Detector
	pictures []image.Image
	want     [][]anrt.Result // by variant and image
	began    atomic.Int64    // swaps
	ended    atomic.Int64

	mu sync.Mutex
	streamed
}

func stream(ctx context.Context, s settings) (*streamed, error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files, broken, err := writeVariants(dir)
	if err != nil {
		return nil, err
	}
	l := &line{pictures: pictures()}
	l.served = make([]int64, len(variants))
	o := &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: s.provider}, Batch: batch}
	if l.want, err = expectations(files, l.pictures, o); err != nil {
		return nil, err
	}
	if l.detector, err = anrt.Open(files[0], o); err != nil {
		return nil, err
	}
	defer l.detector.Close()

	streaming, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for i := range s.clients {
		clients.Go(func() { l.client(streaming, rand.New(rand.NewPCG(uint64(i), 0)), s.pause) })
	}
	err = l.swapAll(ctx, s, files, broken)
	stop()
	clients.Wait()
	if err != nil {
		return nil, err
	}
	return &l.streamed, l.detector.Close()
}

// swapAll swaps, and compares memory before and after with the same model in use.
func (l *line) swapAll(ctx context.Context, s settings, files []string, broken string) error {
	m, err := startMonitor(200 * time.Millisecond)
	if err != nil {
		return err
	}
	defer func() { l.samples = m.stop() }()
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.start, err = m.settle(s.settle, wait); err != nil {
		return err
	}
	for i := range s.swaps {
		l.began.Add(1)
		if err := l.detector.Swap(ctx, files[(i+1)%len(files)]); err != nil {
			return fmt.Errorf("swap %d: %w", i+1, err)
		}
		l.ended.Add(1)
		l.swaps++
		l.swapped = append(l.swapped, time.Since(m.begin))
		if i%10 == 9 {
			if err := l.detector.Swap(ctx, broken); !errors.Is(err, anrt.ErrModel) {
				return fmt.Errorf("half a file: got %v, want %w", err, anrt.ErrModel)
			}
			l.refused++
		}
		if err := wait(10 * s.pause); err != nil {
			return err
		}
	}
	l.end, err = m.settle(s.settle, wait)
	l.took = time.Since(m.begin)
	return err
}

// client sends requests of all kinds, one after the other, until ctx ends.
func (l *line) client(ctx context.Context, r *rand.Rand, pause time.Duration) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(2 * r.Float64() * float64(pause)))
		n := 1
		switch r.IntN(10) {
		case 0:
			n = 2 + r.IntN(2*batch)
		case 1, 2:
			n = 2 + r.IntN(2)
		}
		var imgs []image.Image
		var which []int
		for range n {
			k := r.IntN(len(l.pictures))
			imgs, which = append(imgs, l.pictures[k]), append(which, k)
		}
		request, cancel := context.Background(), func() {}
		invalid := false
		switch r.IntN(20) {
		case 0:
			imgs[r.IntN(n)], invalid = nil, true
		case 1:
			request, cancel = context.WithTimeout(request, time.Duration(r.Float64()*float64(pause)))
		}
		first := l.ended.Load()
		results, err := l.detector.Detect(request, imgs...)
		last := l.began.Load()
		cancel()
		l.account(request, invalid, which, results, err, first, last)
	}
}

// account checks an answer. It must be that of one of the models that were in use
// between the request and its answer: after the first swap and up to the last.
func (l *line) account(ctx context.Context, invalid bool, which []int, results []anrt.Result, err error, first, last int64) {
	server, most := -1, 0.
	if err == nil && !invalid && len(results) == len(which) {
		for swaps := first; swaps <= last && server < 0; swaps++ {
			v := int(swaps) % len(variants)
			largest := 0.
			for i, k := range which {
				want := l.want[v][k]
				if largest = max(largest, difference(results[i], want)); results[i].Model != want.Model {
					largest = math.Inf(1)
				}
			}
			if largest <= sameTol {
				server, most = v, largest
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.images += int64(len(which))
	switch {
	case invalid && errors.Is(err, anrt.ErrInput):
		l.invalid++
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		l.cancelled++
	case err != nil || invalid || len(results) != len(which):
		l.lost++
		if l.whatWasLost == nil {
			l.whatWasLost = fmt.Errorf("%d results for %d images, error %w", len(results), len(which), err)
		}
	case server < 0:
		l.mixed++
	default:
		l.served[server] += int64(len(which))
		l.difference = max(l.difference, most)
	}
}
