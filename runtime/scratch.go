package runtime

import (
	"context"

	"github.com/anomaly-go/anomaly/graph"
)

// A scratch is memory that a run needs and its results do not, used again by
// later runs of a model. Its contents are what the last one left.
type scratch struct {
	bytes  map[string][]uint8
	floats map[string][]float32
}

func newScratch() *scratch {
	return &scratch{map[string][]uint8{}, map[string][]float32{}}
}

// reuse returns n elements for a purpose.
func reuse[T uint8 | float32](of map[string][]T, purpose string, n int) []T {
	if cap(of[purpose]) < n {
		of[purpose] = make([]T, n)
	}
	return of[purpose][:n]
}

// run is [Session.Run] whose outputs, where their shapes are known, are valid until
// the next run for the same purpose.
func (s *scratch) run(ctx context.Context, purpose string, session *Session, in map[string]*graph.Tensor, outputs ...string) (map[string]*graph.Tensor, error) {
	return session.runWith(ctx, in, outputs, func(output string, dtype graph.DType, shape []int) *graph.Tensor {
		if dtype != graph.Float32 {
			return fresh(output, dtype, shape)
		}
		n := 1
		for _, d := range shape {
			n *= d
		}
		return graph.NewTensor(reuse(s.floats, purpose+output, n), shape...)
	})
}
