package judge

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/runtime"
)

var errTooFast = errors.New("the rate is too high")

// A subject is a detector that is measured.
type subject struct {
	detector *runtime.Detector
	info     runtime.ModelInfo
	samples  []dataset.Sample
	pixels   []uint8 // of a batch, where there are no samples
}

// one computes image i: what there is of it, or else decodes it.
func (s *subject) one(ctx context.Context, i int) error {
	if s.samples == nil {
		size := len(s.pixels) / s.info.Batch
		_, err := s.detector.DetectPixels(ctx, s.pixels[:size], 1)
		return err
	}
	img, err := s.samples[i%len(s.samples)].Image()
	if err != nil {
		return err
	}
	_, err = s.detector.Detect(ctx, img)
	return err
}

// throughput computes batch after batch. With images it is what Run does:
// the next ones are decoded meanwhile.
func (s *subject) throughput(ctx context.Context, d time.Duration) (Throughput, error) {
	t := Throughput{Batch: s.info.Batch}
	started := time.Now()
	over := func() bool {
		took := time.Since(started)
		t.PerSecond = float64(t.Images) / took.Seconds()
		return took >= d
	}
	if s.samples == nil {
		for {
			if _, err := s.detector.DetectPixels(ctx, s.pixels, t.Batch); err != nil {
				return t, err
			}
			t.Images += t.Batch
			if over() {
				return t, nil
			}
		}
	}
	errOver := errors.New("over")
	for {
		err := Run(ctx, s.detector, s.samples, nil, func(f *Finding) error {
			if f.Err != nil {
				return f.Err
			}
			if t.Images++; t.Images%t.Batch == 0 && over() {
				return errOver
			}
			return nil
		})
		switch {
		case err == errOver:
			return t, nil
		case err != nil:
			return t, err
		}
	}
}

// oneByOne computes one image after the other.
func (s *subject) oneByOne(ctx context.Context, d time.Duration) (*Latency, error) {
	var took []float64
	meter := startMeter()
	started := time.Now()
	var err error
	for i := 0; time.Since(started) < d; i++ {
		begin := time.Now()
		if err = s.one(ctx, i); err != nil {
			break
		}
		took = append(took, milliseconds(time.Since(begin)))
	}
	return summarize(took, time.Since(started), 0, meter.stop(len(took))), err
}

// atRate triggers images at fixed times. What is due is triggered however many are
// still waiting, and counts from when it was due.
func (s *subject) atRate(ctx context.Context, rate float64, d time.Duration) (*Latency, error) {
	n := min(max(int(rate*d.Seconds()), 1), MostTriggered)
	took, errs := make([]float64, n), make([]error, n)
	waiting := make(chan struct{}, MostWaiting)
	var group sync.WaitGroup
	meter := startMeter()
	started := time.Now()
	graced, cancel := Grace(ctx)
	defer cancel()
	triggered := 0
	var err error
trigger:
	for ; triggered < n; triggered++ {
		due := started.Add(time.Duration(float64(triggered) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			err = ctx.Err()
			break trigger
		}
		select {
		case waiting <- struct{}{}:
		default:
			err = errTooFast
			break trigger
		}
		i := triggered
		group.Go(func() {
			errs[i] = s.one(graced, i)
			took[i] = milliseconds(time.Since(due))
			<-waiting
		})
	}
	group.Wait()
	l := summarize(took[:triggered], time.Since(started), rate, meter.stop(triggered))
	for _, e := range errs {
		if e != nil {
			return l, e
		}
	}
	if errors.Is(err, errTooFast) {
		l.TooFast, err = true, nil
	}
	return l, err
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// summarize returns nil if nothing was measured.
func summarize(took []float64, all time.Duration, rate float64, garbage Collection) *Latency {
	n := len(took)
	if n == 0 {
		return nil
	}
	slices.Sort(took)
	at := func(p float64) float64 { return took[max(int(math.Ceil(p*float64(n)))-1, 0)] } // the nearest rank
	return &Latency{
		Rate: rate, Images: n, P50: at(.5), P99: at(.99), P999: at(.999), Max: took[n-1],
		PerSecond: float64(n) / all.Seconds(), Garbage: garbage,
	}
}
