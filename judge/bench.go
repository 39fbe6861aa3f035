package judge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/runtime"
)

// BenchOptions say what [Bench] measures.
type BenchOptions struct {
	Batches  []int         // images at once, for throughput
	Duration time.Duration // of each measurement
	Rate     float64       // images a second, for latency; 0 is half of what one after the other gives
	Step     func()        // where not nil, called after each measurement, of which there are two more than Batches
}

// A Benchmark is what [Bench] measured.
type Benchmark struct {
	Model     runtime.ModelInfo `json:"-"`
	OpenMS    float64           `json:"open_ms"`   // in milliseconds, as all times
	Completed bool              `json:"completed"` // false: it was interrupted

	Throughput []Throughput `json:"throughput"`
	OneByOne   *Latency     `json:"one_by_one,omitempty"`
	AtRate     *Latency     `json:"at_rate,omitempty"`
}

// Throughput is that of batches.
type Throughput struct {
	Batch     int     `json:"batch"`
	Images    int     `json:"images"`
	PerSecond float64 `json:"images_per_second"`
}

// A Latency is that of single images.
type Latency struct {
	Rate      float64    `json:"rate,omitempty"` // images triggered a second; 0: one after the other
	Images    int        `json:"images"`
	P50       float64    `json:"p50_ms"`
	P99       float64    `json:"p99_ms"`
	P999      float64    `json:"p99.9_ms"`
	Max       float64    `json:"max_ms"`
	PerSecond float64    `json:"images_per_second"`
	Garbage   Collection `json:"garbage_collection"`
	TooFast   bool       `json:"rate_too_high,omitempty"`
}

// A Collection is what the garbage collector did meanwhile.
type Collection struct {
	Cycles    uint32  `json:"cycles"`
	PauseMS   float64 `json:"pause_ms"` // in all
	LongestMS float64 `json:"longest_pause_ms"`
	Allocated float64 `json:"allocated_kb_per_image"`
}

// MostTriggered is how many images Bench triggers at most.
const MostTriggered = 10_000_000

// MostWaiting is how many of them may wait at once.
const MostWaiting = 1024

// ErrNoSize is wrapped where there is no image to measure with: the model takes any size.
var ErrNoSize = errors.New("the model takes images of any size")

// Bench measures a model: its throughput by batch, its latency for one image after
// the other, and for images triggered at a fixed rate, which counts from when an image
// was due. Samples are decoded and resized each time; without any it computes pixels
// that are there already. open opens the model with a batch, or with the options that
// single images are measured with, 0. If ctx ends, what was measured by then comes with
// ctx's error; Completed says so.
func Bench(ctx context.Context, open func(batch int) (*runtime.Detector, error), samples []dataset.Sample, o *BenchOptions) (*Benchmark, error) {
	b := &Benchmark{}
	err := b.measure(ctx, open, samples, o)
	b.Completed = err == nil
	return b, err
}

// measure does it all, up to an error: ctx's if that ended.
func (b *Benchmark) measure(ctx context.Context, open func(batch int) (*runtime.Detector, error), samples []dataset.Sample, o *BenchOptions) error {
	step := func() {
		if o.Step != nil {
			o.Step()
		}
	}
	for _, batch := range o.Batches {
		s, err := b.open(open, batch, samples)
		if err != nil {
			return err
		}
		if s.info.Fixed && len(b.Throughput) > 0 {
			s.detector.Close()
			break // one size is all there is
		}
		t, err := s.throughput(ctx, o.Duration)
		step()
		if t.Images > 0 {
			b.Throughput = append(b.Throughput, t)
		}
		if err != nil {
			Leave(ctx, func() { s.detector.Close() })
			return err
		}
		if err := s.detector.Close(); err != nil {
			return err
		}
	}
	s, err := b.open(open, 0, samples)
	if err != nil {
		return err
	}
	defer Leave(ctx, func() { s.detector.Close() })
	if b.OneByOne, err = s.oneByOne(ctx, o.Duration); err != nil {
		return err
	}
	rate := o.Rate
	if rate == 0 {
		rate = b.OneByOne.PerSecond / 2
		if digits := math.Pow(10, math.Floor(math.Log10(rate))-1); digits > 0 { // two are enough
			rate = math.Floor(rate/digits) * digits
		}
	}
	step()
	b.AtRate, err = s.atRate(ctx, rate, o.Duration)
	step()
	return err
}

// open opens a subject, and notes of the first what it is and how long that took.
func (b *Benchmark) open(open func(batch int) (*runtime.Detector, error), batch int, samples []dataset.Sample) (*subject, error) {
	started := time.Now()
	det, err := open(batch)
	if err != nil {
		return nil, err
	}
	s := &subject{detector: det, info: det.Info(), samples: samples}
	i := s.info
	if b.Model.Kind == "" {
		b.OpenMS, b.Model = milliseconds(time.Since(started)), i
	}
	if samples == nil {
		if i.Height == 0 {
			det.Close()
			return nil, fmt.Errorf("%w, and there is none", ErrNoSize)
		}
		s.pixels = make([]uint8, i.Batch*i.Height*i.Width*i.Channels)
		for at := range s.pixels {
			s.pixels[at] = uint8(at * at >> 7)
		}
	}
	return s, nil
}
