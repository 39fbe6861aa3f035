package graph

import (
	"fmt"
	"slices"
)

// A DType is the element type of a tensor. The values are those of ONNX's
// TensorProto.DataType.
type DType int32

// Element types.
const (
	Float32 DType = 1
	Uint8   DType = 2
	Int32   DType = 6
	Int64   DType = 7
	Bool    DType = 9
	Float64 DType = 11
)

var dtypeNames = map[DType]string{
	Float32: "float32", Uint8: "uint8", Int32: "int32", Int64: "int64", Bool: "bool", Float64: "float64",
}

// String returns the type's name as NumPy spells it.
func (d DType) String() string {
	if s, ok := dtypeNames[d]; ok {
		return s
	}
	return fmt.Sprintf("dtype(%d)", int32(d))
}

// IsFloat reports whether gradients flow through values of the type.
func (d DType) IsFloat() bool { return d == Float32 || d == Float64 }

// Dynamic is a dimension that is known only when a graph runs: the batch, mostly.
const Dynamic = -1

// Type is the element type and the shape of a tensor. A nil Shape is unknown;
// a scalar's is empty.
type Type struct {
	DType DType
	Shape []int
}

// String formats the type as float32[N,3,128,128], N for [Dynamic].
func (t Type) String() string { return t.DType.String() + formatShape(t.Shape) }

func formatShape(shape []int) string {
	if shape == nil {
		return "[?]"
	}
	b := []byte{'['}
	for i, d := range shape {
		if i > 0 {
			b = append(b, ',')
		}
		if d == Dynamic {
			b = append(b, 'N')
		} else {
			b = fmt.Append(b, d)
		}
	}
	return string(append(b, ']'))
}

// Elem are the Go types of tensor elements.
type Elem interface {
	float32 | float64 | uint8 | int32 | int64 | bool
}

// A Tensor is an array in row-major order. Treat it as immutable once it is part of a graph.
type Tensor struct {
	dtype DType
	shape []int
	data  any
}

// NewTensor returns a tensor that holds (does not copy) data. It panics if
// len(data) is not the product of shape.
func NewTensor[T Elem](data []T, shape ...int) *Tensor {
	if n := Elements(shape); n != len(data) {
		panic(fmt.Sprintf("graph: tensor of shape %s: got %d elements, want %d", formatShape(shape), len(data), n))
	}
	return &Tensor{dtype: DTypeOf[T](), shape: append([]int{}, shape...), data: data}
}

// Zeros returns a tensor of zeros.
func Zeros(dtype DType, shape ...int) *Tensor {
	n := Elements(shape)
	t := &Tensor{dtype: dtype, shape: append([]int{}, shape...)}
	switch dtype {
	case Float32:
		t.data = make([]float32, n)
	case Float64:
		t.data = make([]float64, n)
	case Uint8:
		t.data = make([]uint8, n)
	case Int32:
		t.data = make([]int32, n)
	case Int64:
		t.data = make([]int64, n)
	case Bool:
		t.data = make([]bool, n)
	default:
		panic(fmt.Sprintf("graph: zeros of %v", dtype))
	}
	return t
}

// DTypeOf returns the DType of T.
func DTypeOf[T Elem]() DType {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case uint8:
		return Uint8
	case int32:
		return Int32
	case int64:
		return Int64
	}
	return Bool
}

// Data returns t's elements, shared with t. It panics if they are not of type T.
func Data[T Elem](t *Tensor) []T {
	d, ok := t.data.([]T)
	if !ok {
		panic(fmt.Sprintf("graph: data of a %v tensor as %v", t.dtype, DTypeOf[T]()))
	}
	return d
}

// DType returns t's element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns t's dimensions; do not change them.
func (t *Tensor) Shape() []int { return t.shape }

// Len returns the number of elements.
func (t *Tensor) Len() int { return Elements(t.shape) }

// Raw returns the elements as a slice of the Go type for t.DType.
func (t *Tensor) Raw() any { return t.data }

// Clone returns a deep copy.
func (t *Tensor) Clone() *Tensor {
	c := &Tensor{dtype: t.dtype, shape: slices.Clone(t.shape)}
	switch d := t.data.(type) {
	case []float32:
		c.data = slices.Clone(d)
	case []float64:
		c.data = slices.Clone(d)
	case []uint8:
		c.data = slices.Clone(d)
	case []int32:
		c.data = slices.Clone(d)
	case []int64:
		c.data = slices.Clone(d)
	case []bool:
		c.data = slices.Clone(d)
	}
	return c
}

// Reshape returns a tensor of another shape that shares t's elements. It panics
// if the number of elements differs.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	if Elements(shape) != t.Len() {
		panic(fmt.Sprintf("graph: reshape %s to %s", formatShape(t.shape), formatShape(shape)))
	}
	return &Tensor{dtype: t.dtype, shape: append([]int{}, shape...), data: t.data}
}

// Elements returns the product of shape: the number of elements.
func Elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
