package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A footprint is what the process holds.
type footprint struct {
	at         time.Duration // since the beginning
	rss        float64       // resident memory, MB
	heap       float64       // of it Go's, MB
	goroutines int
	files      int // open file descriptors
}

// resident returns the memory of the process that lies in RAM, in MB.
func resident() (float64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("memory is read where Linux tells it: %w", err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	return float64(pages) * float64(os.Getpagesize()) / 1e6, err
}

func measure(begin time.Time) (footprint, error) {
	f := footprint{at: time.Since(begin), goroutines: goruntime.NumGoroutine()}
	var err error
	if f.rss, err = resident(); err != nil {
		return f, err
	}
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	f.heap = float64(m.Sys-m.HeapReleased) / 1e6
	files, err := os.ReadDir("/proc/self/fd")
	f.files = len(files)
	return f, err
}

// A monitor measures the process again and again.
type monitor struct {
	begin   time.Time
	stopped chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	samples []footprint
}

func startMonitor(every time.Duration) (*monitor, error) {
	m := &monitor{begin: time.Now(), stopped: make(chan struct{})}
	if _, err := measure(m.begin); err != nil {
		return nil, err
	}
	m.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if f, err := measure(m.begin); err == nil {
				m.mu.Lock()
				m.samples = append(m.samples, f)
				m.mu.Unlock()
			}
			select {
			case <-tick.C:
			case <-m.stopped:
				return
			}
		}
	})
	return m, nil
}

func (m *monitor) stop() []footprint {
	close(m.stopped)
	m.done.Wait()
	return m.samples
}

// settle lets the process run for d and returns the median of its second half.
// Go's garbage goes back to the system before: when it would by itself is not
// what is asked.
func (m *monitor) settle(d time.Duration, wait func(time.Duration) error) (footprint, error) {
	if err := wait(d / 2); err != nil {
		return footprint{}, err
	}
	debug.FreeOSMemory()
	m.mu.Lock()
	first := len(m.samples)
	m.mu.Unlock()
	if err := wait(d - d/2); err != nil {
		return footprint{}, err
	}
	m.mu.Lock()
	half := slices.Clone(m.samples[first:])
	m.mu.Unlock()
	if len(half) == 0 {
		return measure(m.begin)
	}
	slices.SortFunc(half, func(a, b footprint) int { return cmp.Compare(a.rss, b.rss) })
	return half[len(half)/2], nil
}
