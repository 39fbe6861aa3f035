package kernels

import (
	"sync/atomic"
	"testing"
	"time"
)

// A counted task counts its parts; those of a section are slow now and then, so that
// the caller has to wait for them.
type counted struct {
	parts atomic.Int64
	slow  int
}

func (c *counted) part(_ *State, _ *worker, i int) {
	if i == c.slow {
		time.Sleep(100 * time.Microsecond)
	}
	c.parts.Add(1)
}

// TestParallel: a section is over when all its parts are, however its workers come and go.
func TestParallel(t *testing.T) {
	s := (&Plan{threads: 4}).NewState()
	s.open()
	s.ctx = t.Context()
	for run := range 50 {
		s.running.Store(true)
		for section := range 40 {
			n := 2 + section%9
			c := &counted{slow: (run + section) % 17}
			s.parallel(n, c)
			if got := c.parts.Load(); got != int64(n) {
				t.Fatalf("run %d, section %d: got %d parts done, want %d", run, section, got, n)
			}
		}
		s.running.Store(false)
	}
}
