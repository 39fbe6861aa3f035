package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// keptGraphs is how many a goEngine keeps of those it has made: for whole
// batches, for the rest of one, for a single image. They share their weights.
const keptGraphs = 4

// A goEngine interprets the graph in Go: the provider that is always there.
type goEngine struct {
	model  *model
	file   *onnxexport.File
	graphs []*graph.Graph // for inputs of certain shapes, the one used last first
}

// openGo also makes the graph for one image where the model leaves but the batch
// open, so that what cannot be run is known before there are images.
func openGo(m *model) (engine, error) {
	file, err := onnxexport.Read(m.bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
	}
	e := &goEngine{model: m, file: file}
	shapes := make([][]int, len(m.inputs))
	for i, p := range m.inputs {
		shapes[i] = slices.Clone(p.Shape)
		if len(p.Shape) > 0 && p.Shape[0] == graph.Dynamic {
			shapes[i][0] = 1
		}
		if p.Shape == nil || slices.Contains(shapes[i], graph.Dynamic) {
			return e, nil
		}
	}
	if _, err := e.graphFor(shapes); err != nil {
		return nil, err
	}
	return e, nil
}

// graphFor returns the graph for inputs of the given shapes.
func (e *goEngine) graphFor(shapes [][]int) (*graph.Graph, error) {
	i := slices.IndexFunc(e.graphs, func(g *graph.Graph) bool {
		return slices.EqualFunc(g.Inputs(), shapes, func(v *graph.Value, shape []int) bool { return slices.Equal(v.Shape, shape) })
	})
	var g *graph.Graph
	if i >= 0 {
		g = e.graphs[i]
		e.graphs = slices.Delete(e.graphs, i, i+1)
	} else {
		named := map[string][]int{}
		for i, p := range e.model.inputs {
			named[p.Name] = shapes[i]
		}
		m, err := e.file.For(named)
		if err != nil {
			return nil, fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
		}
		g = m.Graph
	}
	e.graphs = slices.Insert(e.graphs, 0, g)
	e.graphs = e.graphs[:min(len(e.graphs), keptGraphs)]
	return g, nil
}

// prepare has nothing to do: the interpreter computes just what is wanted.
func (e *goEngine) prepare([]string) error { return nil }

func (e *goEngine) run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	shapes := make([][]int, len(in))
	feeds := map[string]*graph.Tensor{}
	for i, t := range in {
		shapes[i] = t.Shape()
		feeds[e.model.inputs[i].Name] = t
	}
	g, err := e.graphFor(shapes)
	if err != nil {
		return err
	}
	want := make([]*graph.Value, len(outputs))
	for i, name := range outputs {
		want[i] = g.Lookup(name)
	}
	results, err := ref.Eval[float32](ctx, g, feeds, want...)
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
