package gorgonia

import (
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"github.com/anomaly-go/anomaly/graph"
)

// ErrTensor is wrapped by errors about tensors that have no counterpart.
var ErrTensor = errors.New("gorgonia")

// ToDense returns t as gorgonia's tensor of the same shape, row-major. They share
// their elements.
func ToDense(t *graph.Tensor) *tensor.Dense {
	return tensor.New(tensor.WithShape(t.Shape()...), tensor.WithBacking(t.Raw()))
}

// FromDense returns d as a tensor of the same shape. They share their elements,
// unless d is a view or in another order than row-major: then they are copied. An
// element type that package graph does not have is an error.
func FromDense(d *tensor.Dense) (*graph.Tensor, error) {
	if d == nil {
		return nil, fmt.Errorf("%w: got no tensor", ErrTensor)
	}
	if d.RequiresIterator() || d.IsView() || d.IsManuallyManaged() || d.DataOrder().IsColMajor() || !d.DataOrder().IsContiguous() {
		return rowMajor(d)
	}
	switch data := d.Data().(type) {
	case []float32:
		return graph.NewTensor(data, d.Shape()...), nil
	case []float64:
		return graph.NewTensor(data, d.Shape()...), nil
	case []uint8:
		return graph.NewTensor(data, d.Shape()...), nil
	case []int32:
		return graph.NewTensor(data, d.Shape()...), nil
	case []int64:
		return graph.NewTensor(data, d.Shape()...), nil
	case []bool:
		return graph.NewTensor(data, d.Shape()...), nil
	}
	return nil, fmt.Errorf("%w: got elements of type %v, want float32, float64, uint8, int32, int64 or bool", ErrTensor, d.Dtype())
}

// rowMajor copies what does not lie row-major.
func rowMajor(d *tensor.Dense) (*graph.Tensor, error) {
	switch d.Dtype() {
	case tensor.Float32:
		return gather[float32](d)
	case tensor.Float64:
		return gather[float64](d)
	case tensor.Uint8:
		return gather[uint8](d)
	case tensor.Int32:
		return gather[int32](d)
	case tensor.Int64:
		return gather[int64](d)
	case tensor.Bool:
		return gather[bool](d)
	}
	return nil, fmt.Errorf("%w: got elements of type %v, want float32, float64, uint8, int32, int64 or bool", ErrTensor, d.Dtype())
}

// gather reads d's elements by their coordinates.
func gather[T graph.Elem](d *tensor.Dense) (*graph.Tensor, error) {
	shape := d.Shape()
	data := make([]T, shape.TotalSize())
	at := make([]int, len(shape))
	for i := range data {
		rest := i
		for axis := len(shape) - 1; axis >= 0; axis-- {
			at[axis], rest = rest%shape[axis], rest/shape[axis]
		}
		x, err := d.At(at...)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTensor, err)
		}
		data[i] = x.(T)
	}
	return graph.NewTensor(data, shape...), nil
}
