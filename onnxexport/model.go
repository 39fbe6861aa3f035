package onnxexport

import (
	"errors"
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// Errors of this package wrap one of these, or are those of the writer.
var (
	ErrModel  = errors.New("onnxexport: model")  // of a file that Reopen cannot use, of a model that cannot become a file
	ErrOption = errors.New("onnxexport: option") // of options
)

func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrModel, fmt.Errorf(format, args...))
}

func optionErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrOption, fmt.Errorf(format, args...))
}

// A Model is what an ONNX file holds.
type Model struct {
	Graph    *graph.Graph
	Weights  map[string]*graph.Tensor // values of the graph's parameters, by name
	Metadata map[string]string        // the file's metadata_props
}

// Marshal returns m as the bytes of an ONNX file. Equal models give equal bytes, and
// no part of them from the beginning is a model.
//
// The graph's inputs come first, then its parameters without a weight: so a
// training step takes its parameters as inputs. Parameters with a weight and
// constants become initializers under their own names, in the order of their
// first use. Operators that no output depends on are left out, and so are
// the parameters and constants that only those use.
func Marshal(m *Model) ([]byte, error) {
	b, err := onnx.Marshal((*onnx.Model)(m))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return b, nil
}

func (m *Model) validate() error {
	if err := (*onnx.Model)(m).Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	return nil
}
