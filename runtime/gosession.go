package runtime

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// keptGraphs is how many a goEngine keeps of those it has made: for whole
// batches, for the rest of one, for a single image. They share their weights.
const keptGraphs = 4

// A goEngine interprets the graph in Go: the provider that is always there.
type goEngine struct {
	model   *onnx.File
	source  *onnx.Source
	shaping []string  // names of inputs whose values decide shapes
	graphs  []madeFor // the one used last first
}

// madeFor is the graph for inputs of certain shapes, and certain values of those
// that decide shapes.
type madeFor struct {
	graph  *graph.Graph
	values map[string]*graph.Tensor
}

// openGo also makes the graph for one image where the model leaves only the batch
// open, so that what cannot be run is known before there are images.
func openGo(m *onnx.File) (engine, error) {
	source, err := m.Source()
	if err != nil {
		return nil, fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
	}
	e := &goEngine{model: m, source: source, shaping: source.ShapeInputs()}
	shapes := map[string][]int{}
	for _, p := range m.Inputs {
		shape := slices.Clone(p.Shape)
		if len(shape) > 0 && shape[0] == graph.Dynamic {
			shape[0] = 1
		}
		if p.Shape == nil || slices.Contains(shape, graph.Dynamic) {
			return e, nil
		}
		shapes[p.Name] = shape
	}
	if len(e.shaping) == 0 {
		if err := e.make(shapes, nil); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// make makes the graph for inputs of these shapes and values the one used last.
func (e *goEngine) make(shapes map[string][]int, values map[string]*graph.Tensor) error {
	m, err := e.source.For(shapes, values)
	if err != nil {
		return fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
	}
	e.graphs = slices.Insert(e.graphs, 0, madeFor{m.Graph, values})
	e.graphs = e.graphs[:min(len(e.graphs), keptGraphs)]
	return nil
}

// graphFor returns the graph for these inputs.
func (e *goEngine) graphFor(feeds map[string]*graph.Tensor) (*graph.Graph, error) {
	if i := slices.IndexFunc(e.graphs, func(g madeFor) bool { return g.fits(feeds) }); i >= 0 {
		g := e.graphs[i]
		e.graphs = slices.Insert(slices.Delete(e.graphs, i, i+1), 0, g)
		return g.graph, nil
	}
	shapes, values := map[string][]int{}, map[string]*graph.Tensor{}
	for name, x := range feeds {
		shapes[name] = x.Shape()
	}
	for _, name := range e.shaping {
		values[name] = feeds[name].Clone() // the caller may change its own
	}
	if err := e.make(shapes, values); err != nil {
		return nil, err
	}
	return e.graphs[0].graph, nil
}

func (g madeFor) fits(feeds map[string]*graph.Tensor) bool {
	for _, v := range g.graph.Inputs() {
		if !slices.Equal(v.Shape, feeds[v.Name()].Shape()) {
			return false
		}
	}
	for name, x := range g.values {
		if !reflect.DeepEqual(x.Raw(), feeds[name].Raw()) {
			return false
		}
	}
	return true
}

// prepare has nothing to do: the interpreter computes just what is wanted.
func (e *goEngine) prepare([]string) error { return nil }

func (e *goEngine) run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	feeds := map[string]*graph.Tensor{}
	for i, t := range in {
		feeds[e.model.Inputs[i].Name] = t
	}
	g, err := e.graphFor(feeds)
	if err != nil {
		return err
	}
	want := make([]*graph.Value, len(outputs))
	for i, name := range outputs {
		want[i] = g.Lookup(name)
	}
	results, err := evaluate(ctx, g, feeds, want)
	if err != nil {
		return fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
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

func copyTensor(dst, src *graph.Tensor) error {
	if dst.DType() != src.DType() || !slices.Equal(dst.Shape(), src.Shape()) {
		return fmt.Errorf("got %v%v, want %v%v", src.DType(), src.Shape(), dst.DType(), dst.Shape())
	}
	switch d := dst.Raw().(type) {
	case []float32:
		copy(d, graph.Data[float32](src))
	case []float64:
		copy(d, graph.Data[float64](src))
	case []uint8:
		copy(d, graph.Data[uint8](src))
	case []int32:
		copy(d, graph.Data[int32](src))
	case []int64:
		copy(d, graph.Data[int64](src))
	case []bool:
		copy(d, graph.Data[bool](src))
	}
	return nil
}

func (e *goEngine) close() error { return nil }
