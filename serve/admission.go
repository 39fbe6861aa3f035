package serve

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// An admission lets requests in: so many into the house, of which so many compute
// at a time, those of a higher priority first and else in the order they came.
type admission struct {
	concurrent, places int

	mu      sync.Mutex
	inside  int
	running int
	waiting waiters
	came    int     // requests that have waited so far
	mean    float64 // seconds that a request computes, smoothed
}

func newAdmission(concurrent, queue int) *admission {
	return &admission{concurrent: concurrent, places: concurrent + queue}
}

// enter takes a place, until leave is called, or returns a [busy] error.
func (a *admission) enter() (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inside >= a.places {
		return nil, &busy{fmt.Sprintf("%d requests are computed or wait", a.inside), a.wait()}
	}
	a.inside++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.inside--
	}), nil
}

// wait estimates how long what is inside will take, in whole seconds from 1 to 60.
func (a *admission) wait() time.Duration {
	s := math.Ceil(a.mean * float64(a.inside) / float64(a.concurrent))
	return time.Duration(min(max(s, 1), 60)) * time.Second
}

// start waits for a turn to compute, which done ends.
func (a *admission) start(ctx context.Context, priority int) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	if a.running < a.concurrent {
		a.running++
		a.mu.Unlock()
		return a.turn(), nil
	}
	w := &waiter{priority: priority, number: a.came, ready: make(chan struct{})}
	a.came++
	heap.Push(&a.waiting, w)
	a.mu.Unlock()
	select {
	case <-w.ready:
		return a.turn(), nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		if w.at < 0 { // its turn came at the same time
			a.next()
		} else {
			heap.Remove(&a.waiting, w.at)
		}
		return nil, ctx.Err()
	}
}

// turn returns the end of a turn that begins now.
func (a *admission) turn() func() {
	began := time.Now()
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		const share = .05 // of the newest in the mean
		a.mean += share * (time.Since(began).Seconds() - a.mean)
		a.next()
	})
}

// next hands on a turn that is over.
func (a *admission) next() {
	if len(a.waiting) == 0 {
		a.running--
		return
	}
	close(heap.Pop(&a.waiting).(*waiter).ready)
}

// counts returns how many requests compute and how many are inside besides.
func (a *admission) counts() (running, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running, max(a.inside-a.running, 0)
}

// A waiter is a request that waits for its turn.
type waiter struct {
	priority, number int
	at               int // in the heap; -1 once taken out
	ready            chan struct{}
}

// waiters is a heap, the next in turn first.
type waiters []*waiter

func (w waiters) Len() int { return len(w) }
func (w waiters) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(w[j].priority, w[i].priority), cmp.Compare(w[i].number, w[j].number)) < 0
}
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}
func (w *waiters) Push(x any) {
	x.(*waiter).at = len(*w)
	*w = append(*w, x.(*waiter))
}
func (w *waiters) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last], *w = nil, (*w)[:last]
	x.at = -1
	return x
}
