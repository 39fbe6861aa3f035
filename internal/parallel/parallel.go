package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls f for 0 to n-1 on all cores.
func Each(n int, f func(i int)) {
	Do(context.Background(), n, 0, func(i int) error { f(i); return nil })
}

// Do calls do for 0 to n-1 in as many goroutines as workers (≤ 0 means
// GOMAXPROCS). After an error it starts no more and returns the one with the
// smallest index: those before it were all started.
func Do(ctx context.Context, n, workers int, do func(i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		next   atomic.Int64
		failed atomic.Bool
		mu     sync.Mutex
		first  = n
		result error
		group  sync.WaitGroup
	)
	for range min(workers, n) {
		group.Go(func() {
			for !failed.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed.Store(true)
					mu.Lock()
					if i < first {
						first, result = i, err
					}
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if result == nil {
		result = ctx.Err()
	}
	return result
}
