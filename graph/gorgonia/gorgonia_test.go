package gorgonia

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// rounding is how far sums of 17 float32 products near 1 may differ with their order.
const rounding = 1e-5

// Products of our reference equal gorgonia's, whose tensors go through both ways.
func TestProductsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(shape ...int) *graph.Tensor {
		data := make([]float32, graph.Elements(shape))
		for i := range data {
			data[i] = rng.Float32()*2 - 1
		}
		return graph.NewTensor(data, shape...)
	}
	a, b := random(5, 17), random(17, 3)
	g := graph.New("product")
	g.Output("y", graph.MatMul(g.Input("a", graph.Float32, 5, 17), g.Input("b", graph.Float32, 17, 3)))
	ours, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{"a": a, "b": b}, g.Lookup("y"))
	if err != nil {
		t.Fatal(err)
	}
	product, err := tensor.MatMul(ToDense(a), ToDense(b))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := FromDense(product.(*tensor.Dense))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(theirs.Shape(), []int{5, 3}) {
		t.Fatalf("got shape %v", theirs.Shape())
	}
	for i, x := range graph.Data[float32](theirs) {
		if d := x - graph.Data[float32](ours[0])[i]; d > rounding || d < -rounding {
			t.Errorf("element %d: got %v, want %v", i, x, graph.Data[float32](ours[0])[i])
		}
	}
}

func TestFromDense(t *testing.T) {
	d := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]int64{1, 2, 3, 4, 5, 6}))
	shared, err := FromDense(d)
	if err != nil {
		t.Fatal(err)
	}
	graph.Data[int64](shared)[0] = 9
	if x, _ := d.At(0, 0); x != int64(9) {
		t.Errorf("got %v, want elements that are shared", x)
	}
	column, err := d.Slice(nil, tensor.S(1))
	if err != nil {
		t.Fatal(err)
	}
	turned := d.Clone().(*tensor.Dense)
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		dense *tensor.Dense
		shape []int
		want  []int64
	}{
		{"a view", column.(*tensor.Dense), []int{2}, []int64{2, 5}},
		{"transposed", turned, []int{3, 2}, []int64{9, 4, 2, 5, 3, 6}},
	} {
		got, err := FromDense(tt.dense)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if !slices.Equal(got.Shape(), tt.shape) || !slices.Equal(graph.Data[int64](got), tt.want) {
			t.Errorf("%s: got %v %v, want %v %v", tt.name, got.Shape(), graph.Data[int64](got), tt.shape, tt.want)
		}
	}
	for _, bad := range []*tensor.Dense{nil, tensor.New(tensor.Of(tensor.Complex64), tensor.WithShape(2))} {
		if _, err := FromDense(bad); !errors.Is(err, ErrTensor) {
			t.Errorf("got %v, want %v", err, ErrTensor)
		}
	}
}

// Every element type goes there and back.
func TestThereAndBack(t *testing.T) {
	for _, x := range []*graph.Tensor{
		graph.NewTensor([]float32{1, 2}, 2), graph.NewTensor([]float64{1, 2}, 1, 2), graph.NewTensor([]uint8{1, 2}, 2, 1),
		graph.NewTensor([]int32{1, 2}, 2), graph.NewTensor([]int64{1, 2}, 2), graph.NewTensor([]bool{true, false}, 2),
	} {
		y, err := FromDense(ToDense(x))
		if err != nil || y.DType() != x.DType() || !slices.Equal(y.Shape(), x.Shape()) {
			t.Errorf("%v%v: got %v, %v", x.DType(), x.Shape(), y, err)
		}
	}
}
