package main

import (
	"context"
	"image"
	"sync"
)

// A newest holds the frame that came last, for one that takes it when it is ready.
type newest struct {
	mu      sync.Mutex
	frame   image.Image
	dropped int           // frames that another one replaced
	ready   chan struct{} // holds a value while there is a frame
}

func newNewest() *newest { return &newest{ready: make(chan struct{}, 1)} }

// put replaces the frame that waits, if there is one.
func (n *newest) put(frame image.Image) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frame != nil {
		n.dropped++
	}
	n.frame = frame
	select {
	case n.ready <- struct{}{}:
	default:
	}
}

// take waits for a frame and returns it, with how many have been dropped before it.
// One that is there is taken even if ctx has ended.
func (n *newest) take(ctx context.Context) (frame image.Image, dropped int, err error) {
	select {
	case <-n.ready:
	case <-ctx.Done():
		select {
		case <-n.ready:
		default:
			return nil, 0, context.Cause(ctx)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	frame, n.frame = n.frame, nil
	dropped, n.dropped = n.dropped, 0
	return frame, dropped, nil
}
