package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// An opened is what became of opening and closing a model again and again.
type opened struct {
	provider anrt.Provider
	times    int
	samples  []footprint // ten times on the way, and at the end
	counts   []int       // opens until each
}

// A model is opened some times before memory is compared: thread stacks, what
// libraries keep for the next time and fragments are there from then on.
const warmOpens = .1

// first and last are compared.
func (o *opened) first() footprint {
	for i, n := range o.counts {
		if float64(n) >= warmOpens*float64(o.times) {
			return o.samples[i]
		}
	}
	return footprint{}
}
func (o *opened) last() footprint { return o.samples[len(o.samples)-1] }

func (o *opened) String() string {
	a, b := o.first(), o.last()
	return fmt.Sprintf("%s: opened and closed %d times: memory %.1f, then %.1f MB, goroutines %d and %d, files %d and %d",
		o.provider, o.times, a.rss, b.rss, a.goroutines, b.goroutines, a.files, b.files)
}

func (o *opened) wrong() []string {
	var wrong []string
	a, b := o.first(), o.last()
	if b.rss > (1+mayGrow)*a.rss {
		wrong = append(wrong, fmt.Sprintf("%s: opening and closing took memory from %.1f to %.1f MB", o.provider, a.rss, b.rss))
	}
	if b.goroutines > a.goroutines {
		wrong = append(wrong, fmt.Sprintf("%s: opening and closing left goroutines: %d, then %d", o.provider, a.goroutines, b.goroutines))
	}
	return wrong
}

// opensVariant is opened.
const opensVariant = 3

// opens opens a model, runs it and closes it, times times.
func opens(ctx context.Context, provider anrt.Provider, times int) (*opened, error) {
	v := variants[opensVariant]
	b, err := v.bytes(1)
	if err != nil {
		return nil, err
	}
	img := pictures()[0]
	o := &opened{provider: provider, times: times}
	begin := time.Now()
	for i := range times + 1 {
		if i%max(times/20, 1) == 0 || i == times {
			debug.FreeOSMemory()
			f, err := measure(begin)
			if err != nil {
				return nil, err
			}
			o.samples, o.counts = append(o.samples, f), append(o.counts, i)
		}
		if i == times {
			break
		}
		d, err := anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider}, Batch: 1})
		if err != nil {
			return nil, err
		}
		_, err = d.Detect(ctx, img)
		if closing := d.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}
