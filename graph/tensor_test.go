package graph_test

import (
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

func TestZerosAndClone(t *testing.T) {
	for _, d := range []graph.DType{graph.Float32, graph.Float64, graph.Uint8, graph.Int32, graph.Int64, graph.Bool} {
		x := graph.Zeros(d, 2, 3)
		c := x.Clone()
		if x.DType() != d || x.Len() != 6 || c.DType() != d || !slices.Equal(c.Shape(), []int{2, 3}) {
			t.Errorf("%v: got %v%v and clone %v%v", d, x.DType(), x.Shape(), c.DType(), c.Shape())
		}
	}
	x := graph.NewTensor([]int64{1, 2}, 2)
	c, r := x.Clone(), x.Reshape(1, 2)
	graph.Data[int64](x)[0] = 9
	if graph.Data[int64](c)[0] != 1 {
		t.Error("a clone shares elements")
	}
	if graph.Data[int64](r)[0] != 9 || !slices.Equal(x.Shape(), []int{2}) {
		t.Error("a reshaped tensor does not share elements, or changed the original's shape")
	}
}

func TestTensorPanics(t *testing.T) {
	x := graph.NewTensor([]float32{1, 2, 3}, 3)
	for _, c := range []struct {
		want string
		f    func()
	}{
		{"graph: tensor of shape [2,2]: got 3 elements, want 4", func() { graph.NewTensor([]bool{true, true, true}, 2, 2) }},
		{"graph: data of a float32 tensor as float64", func() { graph.Data[float64](x) }},
		{"graph: reshape [3] to [2]", func() { x.Reshape(2) }},
		{"graph: zeros of dtype(16)", func() { graph.Zeros(16, 1) }},
	} {
		t.Run(c.want, func(t *testing.T) {
			defer func() {
				if got := recover(); got != c.want {
					t.Errorf("got panic %v, want %s", got, c.want)
				}
			}()
			c.f()
		})
	}
}

func TestTypeString(t *testing.T) {
	for _, c := range []struct {
		typ  graph.Type
		want string
	}{
		{graph.Type{DType: graph.Float32, Shape: []int{graph.Dynamic, 3, 128, 128}}, "float32[N,3,128,128]"},
		{graph.Type{DType: graph.Bool, Shape: []int{}}, "bool[]"},
		{graph.Type{DType: graph.Int64}, "int64[?]"},
		{graph.Type{DType: 16, Shape: []int{1}}, "dtype(16)[1]"},
	} {
		if got := c.typ.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	if graph.DTypeOf[uint8]() != graph.Uint8 || graph.DTypeOf[bool]() != graph.Bool || graph.DTypeOf[float64]() != graph.Float64 {
		t.Error("DTypeOf")
	}
}
