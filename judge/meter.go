package judge

import (
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"time"
)

// A meter watches the garbage collector.
type meter struct {
	before  goruntime.MemStats
	longest time.Duration // pause
	stopped chan struct{}
	done    sync.WaitGroup
}

func startMeter() *meter {
	m := &meter{stopped: make(chan struct{})}
	goruntime.ReadMemStats(&m.before)
	m.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond) // of all pauses only the last 256 are known
		defer tick.Stop()
		var s debug.GCStats
		seen := int64(m.before.NumGC)
		for running := true; running; {
			select {
			case <-tick.C:
			case <-m.stopped:
				running = false
			}
			debug.ReadGCStats(&s)
			for _, pause := range s.Pause[:min(int(s.NumGC-seen), len(s.Pause))] {
				m.longest = max(m.longest, pause)
			}
			seen = s.NumGC
		}
	})
	return m
}

// stop returns what was collected since, for n images.
func (m *meter) stop(n int) Collection {
	close(m.stopped)
	m.done.Wait()
	var after goruntime.MemStats
	goruntime.ReadMemStats(&after)
	return Collection{
		Cycles:    after.NumGC - m.before.NumGC,
		PauseMS:   float64(after.PauseTotalNs-m.before.PauseTotalNs) / 1e6,
		LongestMS: milliseconds(m.longest),
		Allocated: float64(after.TotalAlloc-m.before.TotalAlloc) / 1e3 / float64(max(n, 1)),
	}
}
