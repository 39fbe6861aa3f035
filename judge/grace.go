package judge

import (
	"context"
	"time"
)

// How long what was begun may go on once the context of a command has ended.
const (
	graceTime = time.Second     // a batch, before it is told to stop
	leaveTime = 2 * time.Second // what does not stop, before it is left behind
)

// Grace returns a context that ends a second after ctx does: for a batch in flight,
// which may be finished, but may also never end. Call cancel when it is done.
func Grace(ctx context.Context) (graced context.Context, cancel context.CancelFunc) {
	graced, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(graceTime):
			end()
		case <-graced.Done():
		}
	})
	return graced, func() {
		stop()
		end()
	}
}

// Leave calls free, which waits for what a detector computes, and returns when it
// does; or, once ctx has ended, two seconds later, with free going on: an operator of
// a library that cannot be stopped ends with the process.
func Leave(ctx context.Context, free func()) {
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		free()
	}()
	select {
	case <-freed:
		return
	case <-ctx.Done():
	}
	select {
	case <-freed:
	case <-time.After(leaveTime):
	}
}
