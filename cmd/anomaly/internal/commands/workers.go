package commands

import (
	goruntime "runtime"
	"sync"
)

// workers do jobs beside the caller, as many at once as there are cores.
type workers struct {
	free  chan struct{}
	group sync.WaitGroup
	mu    sync.Mutex
	err   error // the first
}

func newWorkers() *workers {
	return &workers{free: make(chan struct{}, goruntime.GOMAXPROCS(0))}
}

// do waits until one is free and gives it the job. After a job has failed it
// returns that error instead.
func (w *workers) do(job func() error) error {
	w.free <- struct{}{}
	if err := w.failed(); err != nil {
		<-w.free
		return err
	}
	w.group.Go(func() {
		defer func() { <-w.free }()
		if err := job(); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.err == nil {
				w.err = err
			}
		}
	})
	return nil
}

func (w *workers) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// wait returns when all jobs are done, with the error of the first that failed.
func (w *workers) wait() error {
	w.group.Wait()
	return w.failed()
}
