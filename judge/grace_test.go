package judge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A batch in flight has a second once the command is to end, and what does not stop
// then is left behind two seconds later.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		graced, cancel := Grace(ctx)
		defer cancel()
		interrupt()
		began := time.Now()
		<-graced.Done()
		if got := time.Since(began); got != graceTime {
			t.Errorf("the batch was told to stop after %v, want %v", got, graceTime)
		}
		stuck := make(chan struct{})
		defer close(stuck)
		began = time.Now()
		Leave(ctx, func() { <-stuck })
		if got := time.Since(began); got != leaveTime {
			t.Errorf("what does not stop was left after %v, want %v", got, leaveTime)
		}
	})
	freed := false
	Leave(t.Context(), func() { freed = true })
	if !freed {
		t.Error("a call that is not interrupted was not waited for")
	}
}
