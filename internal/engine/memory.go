package engine

import (
	"fmt"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A budget refuses what takes more memory than a model may, before it is taken.
type budget struct {
	limit int64 // bytes

	mu        sync.Mutex
	estimator *onnx.Estimator // nil where nothing can be told
	fits      map[string]bool // shapes of inputs that were looked at
}

// start looks at the file before it is opened: what its constants become does not
// depend on its inputs.
func (b *budget) start(f *onnx.File) error {
	b.fits = map[string]bool{}
	if b.estimator = f.Estimator(); b.estimator == nil {
		return nil
	}
	return b.check(b.estimator.Guess())
}

// run looks at the inputs of a run.
func (b *budget) run(inputs []onnx.Port, in []*graph.Tensor) error {
	if b.estimator == nil {
		return nil
	}
	shapes := map[string][]int{}
	for i, t := range in {
		shapes[inputs[i].Name] = t.Shape()
	}
	return b.check(shapes)
}

func (b *budget) check(shapes map[string][]int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprint(shapes) // in the order of the names
	if b.fits[key] {
		return nil
	}
	peak, err := b.estimator.Peak(shapes)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	if err := b.take(peak); err != nil {
		return err
	}
	b.fits[key] = true
	return nil
}

// take refuses more bytes than there may be.
func (b *budget) take(bytes int64) error {
	if bytes <= b.limit {
		return nil
	}
	return fmt.Errorf("%w: memory: got a model that takes %s, want at most %s: %w", ErrModel, size(bytes), size(b.limit), onnx.ErrMemory)
}

// size is a number of bytes, for a person.
func size(bytes int64) string {
	const mega, giga = 1 << 20, 1 << 30
	if bytes < giga {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/mega)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/giga)
}
