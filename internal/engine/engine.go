package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// Errors of this package wrap one of these, which are package runtime's.
var (
	ErrProvider = errors.New("runtime: provider")
	ErrModel    = errors.New("runtime: model")
	ErrInput    = errors.New("runtime: input")
)

// Options of [Open].
type Options struct {
	Threads int               // that compute an operator, on CPUs; 1 is the caller's alone
	Spin    bool              // threads of provider cpu wait busily for work
	Library string            // ONNX Runtime's; "" looks for it
	Entries map[string]string // options of the provider, as ONNX Runtime names them
	Memory  int64             // bytes that weights and values of a run may take
}

// A Plan is a file that is open on a provider. It is safe for concurrent use.
type Plan interface {
	// NewState returns what a worker needs to run the plan.
	NewState() State
	// Close frees what the plan holds, once its states are closed.
	Close() error
}

// A State runs a plan. It is used by one goroutine at a time.
type State interface {
	// Prepare gets ready to compute these outputs, in the file's order.
	Prepare(outputs []string) error
	// Run computes outputs from all inputs, in the file's order. It writes to
	// out[i], which has the right type, or sets it where it is nil. It uses no
	// tensor once it has returned. When ctx ends it stops.
	Run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) error
	Close() error
}

// kept is how many variants of a plan, by what is computed or by the sizes of the
// inputs, are kept ready: for whole batches, for the rest of one, for one image.
const kept = 4

// Open opens a file on exactly this provider.
func Open(f *onnx.File, p *Provider, o Options) (Plan, error) {
	if !p.ORT {
		return openGo(f, o)
	}
	if err := p.Elsewhere(); err != nil {
		return nil, err
	}
	return openORT(f, p, o)
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
