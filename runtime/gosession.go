package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// A goEngine interprets the graph in Go: the provider that is always there.
type goEngine struct {
	graph *graph.Graph
	feeds map[string]*graph.Tensor // the weights
}

func openGo(m *model) (engine, error) {
	parsed, err := onnxexport.Parse(m.bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: provider %s: %w", ErrModel, Go, err)
	}
	return &goEngine{parsed.Graph, parsed.Weights}, nil
}

// prepare has nothing to do: the interpreter computes just what is wanted.
func (e *goEngine) prepare([]string) error { return nil }

func (e *goEngine) run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error {
	feeds := maps.Clone(e.feeds)
	for i, v := range e.graph.Inputs() {
		feeds[v.Name()] = in[i]
	}
	want := make([]*graph.Value, len(outputs))
	for i, name := range outputs {
		want[i] = e.graph.Lookup(name)
	}
	results, err := ref.Eval[float32](ctx, e.graph, feeds, want...)
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
