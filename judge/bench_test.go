package judge

import (
	"testing"
	"time"
)

// Latencies are those of the ranks, and none is made up.
func TestSummarize(t *testing.T) {
	took := make([]float64, 1000)
	for i := range took {
		took[i] = float64(1000 - i)
	}
	l := summarize(took, 2*time.Second, 0, Collection{})
	if l.P50 != 500 || l.P99 != 990 || l.P999 != 999 || l.Max != 1000 || l.PerSecond != 500 || l.Images != 1000 {
		t.Errorf("got %+v", l)
	}
	if l := summarize(nil, time.Second, 0, Collection{}); l != nil {
		t.Errorf("got %+v, want nil", l)
	}
	if l := summarize([]float64{7}, time.Second, 0, Collection{}); l.P50 != 7 || l.P999 != 7 {
		t.Errorf("got %+v", l)
	}
}
