package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// A goPlan computes the graph in Go: the provider that is always there. Its graphs
// share the file's weights.
type goPlan struct {
	inputs  []onnx.Port
	shaping []string // names of inputs whose values decide shapes
	threads int
	budget  budget

	mu       sync.Mutex
	source   *onnx.Source
	graphs   []*madeFor // the one used last first
	programs []*program // likewise
}

// madeFor is the graph for inputs of certain shapes, and certain values of those
// that decide shapes.
type madeFor struct {
	graph  *graph.Graph
	values map[string]*graph.Tensor
}

// A program computes some outputs of a graph. It is immutable.
type program struct {
	of      *madeFor
	outputs string        // joined
	plan    *kernels.Plan // nil where some shape is known only when the graph runs
	want    []*graph.Value
}

// openGo also makes the graph for one image where the model leaves only the batch
// open, so that what cannot be run is known before there are images.
func openGo(f *onnx.File, o Options) (Plan, error) {
	source, err := f.Source()
	if err != nil {
		return nil, fmt.Errorf("%w: provider go: %w", ErrModel, err)
	}
	p := &goPlan{inputs: f.Inputs, source: source, shaping: source.ShapeInputs(), threads: o.Threads, budget: budget{limit: o.Memory}}
	shapes := map[string][]int{}
	for _, in := range f.Inputs {
		shape := slices.Clone(in.Shape)
		if len(shape) > 0 && shape[0] == graph.Dynamic {
			shape[0] = 1
		}
		if in.Shape == nil || slices.Contains(shape, graph.Dynamic) {
			return p, nil
		}
		shapes[in.Name] = shape
	}
	if len(p.shaping) == 0 {
		if _, err := p.make(shapes, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// make makes the graph for inputs of these shapes and values the one used last.
func (p *goPlan) make(shapes map[string][]int, values map[string]*graph.Tensor) (*madeFor, error) {
	m, err := p.source.For(shapes, values)
	if err != nil {
		return nil, fmt.Errorf("%w: provider go: %w", ErrModel, err)
	}
	made := &madeFor{m.Graph, values}
	p.graphs = keep(p.graphs, made)
	return made, nil
}

// keep puts x before the others, of which those used last stay.
func keep[T comparable](list []T, x T) []T {
	if i := slices.Index(list, x); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	list = slices.Insert(list, 0, x)
	clear(list[min(len(list), kept):])
	return list[:min(len(list), kept)]
}

// graphFor returns the graph for these inputs.
func (p *goPlan) graphFor(feeds map[string]*graph.Tensor) (*madeFor, error) {
	for _, made := range p.graphs {
		if made.fits(feeds) {
			p.graphs = keep(p.graphs, made)
			return made, nil
		}
	}
	shapes, values := map[string][]int{}, map[string]*graph.Tensor{}
	for name, x := range feeds {
		shapes[name] = x.Shape()
	}
	for _, name := range p.shaping {
		values[name] = feeds[name].Clone() // the caller may change its own
	}
	return p.make(shapes, values)
}

func (m *madeFor) fits(feeds map[string]*graph.Tensor) bool {
	for _, v := range m.graph.Inputs() {
		if !slices.Equal(v.Shape, feeds[v.Name()].Shape()) {
			return false
		}
	}
	for name, x := range m.values {
		if !reflect.DeepEqual(x.Raw(), feeds[name].Raw()) {
			return false
		}
	}
	return true
}

// program returns what computes the outputs from these inputs.
func (p *goPlan) program(feeds map[string]*graph.Tensor, outputs []string) (*program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	made, err := p.graphFor(feeds)
	if err != nil {
		return nil, err
	}
	key := strings.Join(outputs, "\x00")
	for _, q := range p.programs {
		if q.of == made && q.outputs == key {
			p.programs = keep(p.programs, q)
			return q, nil
		}
	}
	q := &program{of: made, outputs: key}
	for _, name := range outputs {
		q.want = append(q.want, made.graph.Lookup(name))
	}
	if q.plan, err = kernels.Compile(made.graph, nil, outputs, &kernels.Options{Threads: p.threads}); err != nil && !errors.Is(err, kernels.ErrShape) {
		return nil, fmt.Errorf("%w: provider go: %w", ErrModel, err)
	}
	if q.plan != nil {
		if err := p.budget.take(int64(q.plan.Bytes())); err != nil {
			return nil, err
		}
	}
	p.programs = keep(p.programs, q)
	return q, nil
}

func (p *goPlan) NewState() State { return &goState{plan: p, feeds: map[string]*graph.Tensor{}} }

func (p *goPlan) Close() error { return nil }

// A goState runs a goPlan.
type goState struct {
	plan     *goPlan
	feeds    map[string]*graph.Tensor
	memories []*memory // the one used last first
}

// A memory is what a state runs a program in.
type memory struct {
	of *program
	*kernels.State
}

// memory returns what q runs in.
func (s *goState) memory(q *program) *memory {
	i := slices.IndexFunc(s.memories, func(m *memory) bool { return m.of == q })
	if i == 0 {
		return s.memories[0]
	}
	var m *memory
	if i > 0 {
		m = s.memories[i]
	} else {
		m = &memory{q, q.plan.NewState()}
	}
	s.memories = keep(s.memories, m)
	return m
}

// Prepare has nothing to do: shapes are not known yet.
func (s *goState) Prepare([]string) error { return nil }

func (s *goState) Run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	defer clear(s.feeds)
	for i, t := range in {
		s.feeds[s.plan.inputs[i].Name] = t
	}
	q, err := s.plan.program(s.feeds, outputs)
	if err != nil {
		return err
	}
	if q.plan == nil {
		return s.interpret(ctx, q, outputs, out)
	}
	switch err := s.memory(q).Run(ctx, s.feeds, out); {
	case err == nil || ctx.Err() != nil:
		return err
	default:
		return fmt.Errorf("%w: provider go: %w", ErrModel, err)
	}
}

// interpret computes a graph of shapes that are not known.
func (s *goState) interpret(ctx context.Context, q *program, outputs []string, out []*graph.Tensor) error {
	results, err := evaluate(ctx, q.of.graph, s.feeds, q.want)
	if err != nil {
		return fmt.Errorf("%w: provider go: %w", ErrModel, err)
	}
	for i, r := range results { // which may share memory with the inputs
		if out[i] == nil {
			out[i] = r.Clone()
		} else if err := copyTensor(out[i], r); err != nil {
			return fmt.Errorf("%w: output %q: %w", ErrModel, outputs[i], err)
		}
	}
	return nil
}

// evaluate runs a graph of a file that may hold anything: kernels trust those who
// build graphs.
func evaluate(ctx context.Context, g *graph.Graph, feeds map[string]*graph.Tensor, want []*graph.Value) (out []*graph.Tensor, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("operands or attributes do not fit the operators (%v)", e)
		}
	}()
	return ref.Eval[float32](ctx, g, feeds, want...)
}

func (s *goState) Close() error { return nil }
