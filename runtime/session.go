package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// plans is how many variants of a residual, by the size of images, are kept ready.
const plans = 4

// A plan is a model open on a provider, shared by the sessions that run it.
type plan struct {
	engine.Plan
	model    *onnx.File
	provider Provider

	mu    sync.Mutex
	users int
}

// openPlan opens a model on exactly this provider, for one session.
func openPlan(m *onnx.File, provider Provider, o SessionOptions) (*plan, error) {
	if err := permit(provider, o.ProviderOptions); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrProvider, provider, err)
	}
	p, err := engine.Open(m, provider.row(), o.engine(provider))
	if err != nil {
		return nil, err
	}
	return &plan{Plan: p, model: m, provider: provider, users: 1}, nil
}

// leave closes the plan when its last session does.
func (p *plan) leave() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users > 0 {
		return nil
	}
	return p.Close()
}

// A Session is a model ready to run on a provider.
//
// It is safe for concurrent use: one Run at a time computes, the others wait (a
// session of ONNX Runtime is not safe for concurrent runs on every provider, and
// batches use the cores better). Tensors belong to the caller before and after a
// Run, which shares none of their memory.
type Session struct {
	plan    *plan
	state   engine.State
	outputs []string      // that Run computes by default
	turn    chan struct{} // holds a value while the state is in use
	closed  bool          // guarded by turn
	logf    func(format string, args ...any)
	leak    goruntime.Cleanup
}

// OpenSession opens an ONNX model given as the bytes of its file, which the
// session keeps: do not change them. The outputs are those that [Session.Run]
// computes when none are named; all that the model has where none are named here
// either. Close it when it is no longer needed.
func OpenSession(model []byte, o *SessionOptions, outputs ...string) (*Session, error) {
	f, err := readModel(model)
	if err != nil {
		return nil, err
	}
	return openAlone(f, o, outputs, caller())
}

// openAlone opens a session of its own, for a line of some file.
func openAlone(m *onnx.File, o *SessionOptions, outputs []string, at string) (*Session, error) {
	opts := o.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if err := ready(m); err != nil {
		return nil, err
	}
	var s *Session
	err := withProvider(m, outputs, opts, func(provider Provider) error {
		var err error
		s, err = openSession(m, provider, opts, outputs)
		return err
	})
	if err != nil {
		return nil, err
	}
	release(m, s.Provider())
	s.leak = reportLeak(s, at, opts.Logf)
	return s, nil
}

// OpenSessionFile is [OpenSession] for a model in a file and weights in other files
// of its folder.
func OpenSessionFile(path string, o *SessionOptions, outputs ...string) (*Session, error) {
	f, err := openFile(path, o.maxMemory())
	if err != nil {
		return nil, err
	}
	s, err := openAlone(f, o, outputs, caller())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// openSession opens a model on a provider, for outputs; none are all.
func openSession(m *onnx.File, provider Provider, o SessionOptions, wanted []string) (*Session, error) {
	s := &Session{plan: &plan{model: m}, turn: make(chan struct{}, 1), logf: o.Logf}
	if len(wanted) == 0 {
		for _, p := range m.Outputs {
			wanted = append(wanted, p.Name)
		}
	}
	var err error
	if s.outputs, err = s.order(wanted); err != nil {
		return nil, err
	}
	if s.plan, err = openPlan(m, provider, o); err != nil {
		return nil, err
	}
	s.state = s.plan.NewState()
	if err := s.state.Prepare(s.outputs); err != nil {
		s.state.Close()
		s.plan.leave()
		return nil, err
	}
	return s, nil
}

// Worker returns another session on the model, which runs beside this one: its
// weights are there once, whatever the number of workers, where the provider shares
// the processor's cores (go and cpu). It is closed by itself, before this one or after.
func (s *Session) Worker() (*Session, error) {
	if err := s.acquire(context.Background()); err != nil {
		return nil, err
	}
	defer s.release()
	w := &Session{plan: s.plan, state: s.plan.NewState(), outputs: s.outputs, turn: make(chan struct{}, 1), logf: s.logf}
	if err := w.state.Prepare(w.outputs); err != nil {
		w.state.Close()
		return nil, err
	}
	s.plan.mu.Lock()
	s.plan.users++
	s.plan.mu.Unlock()
	w.leak = reportLeak(w, caller(), w.logf)
	return w, nil
}

// Inputs describes the model's inputs, all of which Run needs.
func (s *Session) Inputs() []Info { return infos(s.plan.model.Inputs) }

// Outputs describes what the model can compute.
func (s *Session) Outputs() []Info { return infos(s.plan.model.Outputs) }

// Metadata returns the model's metadata, which is the caller's to change.
func (s *Session) Metadata() map[string]string {
	return maps.Clone(s.plan.model.Metadata)
}

// Provider returns the name of the provider in use: never "auto" nor a list.
func (s *Session) Provider() Provider { return s.plan.provider }

// Run computes the named outputs, those that [OpenSession] names where none are, from all inputs and returns them as new tensors. Only what these outputs need
// is computed; each set of outputs is prepared when it is first asked for, and
// the four used last are kept.
//
// When ctx ends, Run stops after the operator in hand and returns ctx.Err().
func (s *Session) Run(ctx context.Context, in map[string]*graph.Tensor, outputs ...string) (map[string]*graph.Tensor, error) {
	return s.runWith(ctx, in, outputs, fresh)
}

// runWith is [Session.Run] with tensors of alloc, where shapes are known.
func (s *Session) runWith(ctx context.Context, in map[string]*graph.Tensor, outputs []string, alloc allocator) (map[string]*graph.Tensor, error) {
	if len(outputs) == 0 {
		outputs = s.outputs
	}
	outputs, err := s.order(outputs)
	if err != nil {
		return nil, err
	}
	tensors := make([]*graph.Tensor, len(outputs))
	if err := s.run(ctx, in, outputs, tensors, alloc); err != nil {
		return nil, err
	}
	out := make(map[string]*graph.Tensor, len(outputs))
	for i, name := range outputs {
		out[name] = tensors[i]
	}
	return out, nil
}

// RunInto computes the outputs that out names, as [Session.Run] does, into the
// tensors it holds, which spares allocating them anew for each run. They must be
// of the right type and no input; after an error their contents are undefined.
func (s *Session) RunInto(ctx context.Context, in, out map[string]*graph.Tensor) error {
	if len(out) == 0 {
		return fmt.Errorf("%w: no output is asked for", ErrInput)
	}
	outputs, err := s.order(slices.Collect(maps.Keys(out)))
	if err != nil {
		return err
	}
	tensors := make([]*graph.Tensor, len(outputs))
	for i, name := range outputs {
		if tensors[i] = out[name]; tensors[i] == nil {
			return fmt.Errorf("%w: output %q: got no tensor", ErrInput, name)
		}
	}
	return s.run(ctx, in, outputs, tensors, fresh)
}

// order returns names of outputs in the model's order, so that equal sets are equal lists.
func (s *Session) order(names []string) ([]string, error) {
	list := make([]string, 0, len(names))
	for _, p := range s.plan.model.Outputs {
		if slices.Contains(names, p.Name) {
			list = append(list, p.Name)
		}
	}
	if len(list) == len(names) {
		return list, nil
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%w: output %q is asked for twice", ErrInput, name)
		}
		if !slices.Contains(list, name) {
			return nil, fmt.Errorf("%w: output %q is asked for, the model has %s", ErrInput, name, onnx.Describe(s.plan.model.Outputs))
		}
	}
	return nil, fmt.Errorf("%w: has two outputs of one name: %s", ErrModel, onnx.Describe(s.plan.model.Outputs))
}

// An allocator returns a tensor for an output, whatever it holds.
type allocator func(output string, dtype graph.DType, shape []int) *graph.Tensor

func fresh(_ string, dtype graph.DType, shape []int) *graph.Tensor {
	return graph.Zeros(dtype, shape...)
}

// run checks the tensors, allocates what is missing of out and can be, and runs.
// The outputs are in the model's order.
func (s *Session) run(ctx context.Context, in map[string]*graph.Tensor, outputs []string, out []*graph.Tensor, alloc allocator) error {
	m := s.plan.model
	sizes := map[string]int{}
	feeds := make([]*graph.Tensor, len(m.Inputs))
	for i := range m.Inputs {
		p := &m.Inputs[i]
		if feeds[i] = in[p.Name]; feeds[i] == nil {
			return fmt.Errorf("%w %q: missing, want %v", ErrInput, p.Name, p.Type)
		}
		if err := p.Bind(feeds[i], sizes); err != nil {
			return fmt.Errorf("%w %w", ErrInput, err)
		}
	}
	if len(in) > len(m.Inputs) {
		for name := range in {
			if onnx.Find(m.Inputs, name) == nil {
				return fmt.Errorf("%w %q: the model has %s", ErrInput, name, onnx.Describe(m.Inputs))
			}
		}
	}
	for i, name := range outputs {
		p := onnx.Find(m.Outputs, name)
		if out[i] != nil {
			if err := p.Bind(out[i], sizes); err != nil {
				return fmt.Errorf("%w: output %w", ErrInput, err)
			}
		} else if shape := p.Resolve(sizes); shape != nil && onnx.Known(p.DType) {
			out[i] = alloc(name, p.DType, shape)
		}
	}

	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if err := s.state.Run(ctx, feeds, outputs, out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// acquire waits for the engine.
func (s *Session) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.closed {
		s.release()
		return ErrClosed
	}
	return nil
}

func (s *Session) release() { <-s.turn }

// Close waits for the Run in flight and frees the model. Runs that wait for
// their turn, and later ones, return ErrClosed. Closing again does nothing. A
// Session that is garbage before it is closed is reported to Options.Logf; nobody
// frees it.
func (s *Session) Close() error {
	s.leak.Stop()
	s.turn <- struct{}{}
	defer s.release()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.state.Close(), s.plan.leave())
}
