package graph

import (
	"fmt"
	"math"
	"slices"
)

func init() {
	register("Resize", inferResize, vjpResize)
}

// UpsampleNearest repeats each pixel of x [N,C,H,W] sy times down and sx times across.
func UpsampleNearest(x *Value, sy, sx int) *Value {
	scales := x.g.Const("", NewTensor([]float32{1, 1, float32(sy), float32(sx)}, 4))
	return x.g.Op("Resize", []Attr{
		{"coordinate_transformation_mode", "asymmetric"},
		{"mode", "nearest"},
		{"nearest_mode", "floor"},
	}, x, nil, scales)
}

func inferResize(n *Node) ([]Type, error) {
	if len(n.Inputs) < 2 || len(n.Inputs) > 4 {
		return nil, errOperands
	}
	x := n.Inputs[0]
	if axes := n.Ints("axes"); axes != nil {
		return nil, fmt.Errorf("axes are not supported")
	}
	shape := slices.Clone(x.Shape)
	if sizes, err := constInts(n, 3); err != nil {
		return nil, err
	} else if len(sizes) > 0 {
		if len(sizes) != x.Rank() {
			return nil, fmt.Errorf("got %d sizes for %v", len(sizes), x.Type)
		}
		copy(shape, sizes)
		return []Type{{x.DType, shape}}, nil
	}
	s := n.In(2)
	if s == nil || s.konst == nil || s.konst.Len() != x.Rank() {
		return nil, fmt.Errorf("scales: want a constant with one scale for each axis of %v", x.Type)
	}
	for i, f := range Data[float32](s.konst) {
		if shape[i] != Dynamic {
			shape[i] = int(math.Floor(float64(shape[i]) * float64(f)))
		} else if f != 1 {
			return nil, fmt.Errorf("scales dynamic axis %d", i)
		}
	}
	return []Type{{x.DType, shape}}, nil
}

// vjpResize sums each block of pixels that nearest upsampling made of one.
func vjpResize(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x := n.Inputs[0]
	nearest := n.Text("mode", "nearest") == "nearest" && n.Text("nearest_mode", "") == "floor" &&
		n.Text("coordinate_transformation_mode", "") == "asymmetric"
	whole := x.Rank() == 4 && dy.Shape[2]%x.Shape[2] == 0 && dy.Shape[3]%x.Shape[3] == 0
	if s := n.In(2); whole && s != nil && s.konst != nil && s.konst.Len() == 4 {
		// A scale of 2.3 makes 4 pixels of 2, but not in blocks of 2.
		f := Data[float32](s.konst)
		whole = f[2] == float32(dy.Shape[2]/x.Shape[2]) && f[3] == float32(dy.Shape[3]/x.Shape[3])
	}
	if !nearest || !whole {
		return []*Value{dy.g.fail("gradient of Resize from %v to %v: only nearest upsampling by whole factors has one", x.Type, dy.Type)}
	}
	sy, sx := dy.Shape[2]/x.Shape[2], dy.Shape[3]/x.Shape[3]
	return []*Value{Mul(AveragePool(dy, sy, sx, nil), dy.g.Scalar(float64(sy*sx)))}
}
