package kernels

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/anomaly-go/anomaly/graph"
)

// A State is the memory that runs of a plan work in. It is for one run at a time.
type State struct {
	plan    *Plan
	arena   []uint64
	raw     []any // the elements of each buffer, a slice of its type
	workers []*worker

	// A parallel section: its task, and in one word its number, how many tasks
	// it has and the next that nobody has taken.
	task task
	word atomic.Uint64
	done atomic.Int64

	ctx     context.Context
	stopped atomic.Bool // some task failed or the context ended
	failure atomic.Pointer[taskError]
	running atomic.Bool

	asleep atomic.Bool   // the caller, until the last part of a section is done
	woken  chan struct{} // holds a value when it is
}

// A task is what workers compute side by side: parts 0 to n-1, in any order.
type task interface {
	part(s *State, w *worker, i int)
}

// A worker is one goroutine's own memory.
type worker struct {
	product   productArgs
	dot       dotArgs
	transform transformArgs
	slots     []*float32 // of an elementwise program
	scratch   []float32
	helps     atomic.Bool
	help      func()
}

type taskError struct{ err error }

// NewState returns the memory for runs of p, which the first of them takes.
func (p *Plan) NewState() *State { return &State{plan: p, woken: make(chan struct{}, 1)} }

// open takes the memory.
func (s *State) open() {
	p := s.plan
	s.raw = make([]any, len(p.buffers))
	s.arena = make([]uint64, (p.arenaBytes+7)/8+8)
	base := unsafe.Pointer(unsafe.SliceData(s.arena))
	base = unsafe.Add(base, (64-int(uintptr(base)%64))%64)
	for i, b := range p.buffers {
		switch {
		case b.konst != nil:
			s.raw[i] = b.konst.Raw()
		case b.input < 0 && b.first >= 0: // some step uses it
			s.raw[i] = b.elements(unsafe.Add(base, b.at))
		}
	}
	var workers []*worker
	for range p.threads {
		w := &worker{slots: make([]*float32, p.slots), scratch: make([]float32, p.scratch+chunk)}
		w.scratch = w.scratch[(64-int(uintptr(unsafe.Pointer(unsafe.SliceData(w.scratch)))%64))%64/4:]
		w.help = func() { s.help(w) }
		workers = append(workers, w)
	}
	s.workers = workers
}

// elements returns b's elements, which lie at p.
func (b *buffer) elements(p unsafe.Pointer) any {
	switch b.dtype {
	case graph.Float32:
		return unsafe.Slice((*float32)(p), b.n)
	case graph.Float64:
		return unsafe.Slice((*float64)(p), b.n)
	case graph.Uint8:
		return unsafe.Slice((*uint8)(p), b.n)
	case graph.Int32:
		return unsafe.Slice((*int32)(p), b.n)
	case graph.Int64:
		return unsafe.Slice((*int64)(p), b.n)
	}
	return unsafe.Slice((*bool)(p), b.n)
}

// Run computes the plan's outputs from a tensor for each of its inputs, by name.
// It writes to out[i], which has the type of output i, or sets it where it is nil.
// It uses no tensor once it has returned. When ctx ends it returns ctx.Err().
func (s *State) Run(ctx context.Context, in map[string]*graph.Tensor, out []*graph.Tensor) (err error) {
	defer func() {
		s.running.Store(false)
		s.ctx = nil
		if s.workers != nil {
			for _, v := range s.plan.inputs {
				s.raw[v.buf.id] = nil
			}
		}
		if e := recover(); e != nil {
			err = fmt.Errorf("kernels: operands or attributes do not fit the operators (%v)", e)
		}
	}()
	p := s.plan
	if s.workers == nil {
		s.open()
	}
	for i, v := range p.inputs {
		t := in[p.names[i]]
		if t == nil || t.DType() != v.buf.dtype || !slices.Equal(t.Shape(), v.shape) {
			return fmt.Errorf("kernels: input %q: got %v, want %v%v", p.names[i], describe(t), v.buf.dtype, v.shape)
		}
		s.raw[v.buf.id] = t.Raw()
	}
	if len(out) != len(p.outputs) {
		return fmt.Errorf("kernels: got %d tensors for results, want %d", len(out), len(p.outputs))
	}
	s.ctx = ctx
	s.stopped.Store(false)
	s.failure.Store(nil)
	s.running.Store(true)
	for _, st := range p.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := st.run(s); err != nil {
			return err
		}
		if s.stopped.Load() {
			if f := s.failure.Load(); f != nil {
				return f.err
			}
			return ctx.Err()
		}
	}
	for i, v := range p.outputs {
		if out[i] == nil {
			out[i] = graph.Zeros(v.buf.dtype, v.shape...)
		} else if out[i].DType() != v.buf.dtype || !slices.Equal(out[i].Shape(), v.shape) {
			return fmt.Errorf("kernels: output %d: got %v, want %v%v", i, describe(out[i]), v.buf.dtype, v.shape)
		}
		copyRaw(out[i].Raw(), s.raw[v.buf.id], v.off)
	}
	return nil
}

func describe(t *graph.Tensor) string {
	if t == nil {
		return "no tensor"
	}
	return graph.Type{DType: t.DType(), Shape: t.Shape()}.String()
}

// copyRaw fills dst with the elements of src from one on.
func copyRaw(dst, src any, from int) {
	switch d := dst.(type) {
	case []float32:
		copy(d, src.([]float32)[from:])
	case []float64:
		copy(d, src.([]float64)[from:])
	case []uint8:
		copy(d, src.([]uint8)[from:])
	case []int32:
		copy(d, src.([]int32)[from:])
	case []int64:
		copy(d, src.([]int64)[from:])
	case []bool:
		copy(d, src.([]bool)[from:])
	}
}

// floats returns the elements of a float32 view from its first on.
func (s *State) floats(v view) []float32 { return s.raw[v.buf.id].([]float32)[v.off:] }

// Fields of the word of a parallel section.
const (
	nextBits = 20
	nextMask = 1<<nextBits - 1
)

// parallel computes parts 0 to n-1 of t on all workers.
func (s *State) parallel(n int, t task) {
	if n <= 0 {
		return
	}
	if n == 1 || len(s.workers) == 1 {
		for i := range n {
			s.one(t, s.workers[0], i)
		}
		return
	}
	s.task = t
	s.done.Store(0)
	section := s.word.Load()>>(2*nextBits) + 1
	s.word.Store(section<<(2*nextBits) | uint64(n)<<nextBits)
	for _, w := range s.workers[1:min(n, len(s.workers))] {
		if w.helps.CompareAndSwap(false, true) {
			go w.help()
		}
	}
	for s.take(s.workers[0]) {
	}
	for range spins {
		if s.done.Load() == int64(n) {
			return
		}
	}
	for s.done.Load() < int64(n) { // one of an earlier section may wake it, late
		s.asleep.Store(true)
		if s.done.Load() == int64(n) && s.asleep.CompareAndSwap(true, false) {
			return // nobody saw it
		}
		<-s.woken
	}
}

// spins is how often a worker looks for work, and the caller for the end of a section,
// before it leaves the processor to others: some 30 µs. On a machine that has other work
// too, whom one waits for may want this very core.
const spins = 1 << 13

// take computes one part of the section that there is, if there is one left.
func (s *State) take(w *worker) bool {
	for {
		word := s.word.Load()
		i, n := word&nextMask, word>>nextBits&nextMask
		if i >= n {
			return false
		}
		if s.word.CompareAndSwap(word, word+1) {
			s.one(s.task, w, int(i))
			if s.done.Add(1) == int64(n) && s.asleep.CompareAndSwap(true, false) {
				s.woken <- struct{}{}
			}
			return true
		}
	}
}

// help takes parts as long as a run lasts and they follow soon. It may outlast the
// run, whose parts are all done by then, and help in the next.
func (s *State) help(w *worker) {
	defer w.helps.Store(false)
	for idle := 0; idle < spins && s.running.Load(); idle++ {
		if s.take(w) {
			idle = 0
		}
	}
}

// one computes a part unless the run has been stopped.
func (s *State) one(t task, w *worker, i int) {
	if s.stopped.Load() {
		return
	}
	if s.ctx.Err() != nil {
		s.stopped.Store(true)
		return
	}
	defer func() {
		if e := recover(); e != nil {
			s.failure.Store(&taskError{fmt.Errorf("kernels: operands or attributes do not fit the operators (%v)", e)})
			s.stopped.Store(true)
		}
	}()
	t.part(s, w, i)
}
