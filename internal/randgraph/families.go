package randgraph

import (
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A step appends to x an operator, or a few, of a family. It returns nil where x
// does not allow what chance chose.
type step func(b *builder, x *graph.Value) *graph.Value

var families = []step{
	curve, curve, binary, binary, convolution, transposed, pool, resize, reduce, reduce,
	rearrange, rearrange, pieces, blocks, product, normalise,
}

// eps is large, so that constant channels do not make a normalisation steep.
const eps = 0.25

func curve(b *builder, x *graph.Value) *graph.Value {
	switch b.IntN(22) {
	case 0:
		return graph.Tanh(x)
	case 1:
		return graph.Sigmoid(x)
	case 2:
		return graph.Softplus(x)
	case 3:
		return graph.Elu(x, 0.5)
	case 4:
		return graph.LeakyRelu(x, 0.125)
	case 5:
		return graph.Relu(x)
	case 6:
		return graph.Gelu(x)
	case 7:
		return graph.GeluTanh(x)
	case 8:
		return graph.Erf(x)
	case 9:
		return graph.Abs(x)
	case 10:
		return graph.Neg(x)
	case 11:
		return graph.Exp(graph.Tanh(x))
	case 12:
		return graph.Log(b.positive(x))
	case 13:
		return graph.Sqrt(b.positive(x))
	case 14:
		return graph.Clip(x, -0.7, 0.9)
	case 15:
		return graph.Softmax(x, 1+b.IntN(3))
	case 16:
		return graph.Square(graph.Tanh(x))
	case 17:
		return graph.Pow(b.positive(graph.Tanh(x)), b.Scalar(1.5))
	case 18:
		return graph.Pow(graph.Tanh(x), b.Scalar(3))
	case 19:
		return b.Op("Identity", nil, x)
	case 20:
		return graph.Cast(graph.Cast(x, graph.Float64), graph.Float32)
	}
	return graph.Where(graph.Greater(x, b.Scalar(0)), x, b.scaled(x, 0.25))
}

func binary(b *builder, x *graph.Value) *graph.Value {
	y := b.other(x)
	switch b.IntN(8) {
	case 0:
		return graph.Add(x, y)
	case 1:
		return graph.Sub(y, x)
	case 2:
		return graph.Mul(graph.Tanh(x), y)
	case 3:
		return graph.Div(x, b.positive(y))
	case 4:
		return graph.Max(x, y, b.Scalar(-0.3))
	case 5:
		return graph.Min(x, y)
	case 6:
		return graph.Where(graph.Greater(x, y), x, y)
	}
	return graph.Pow(b.positive(graph.Tanh(x)), graph.Tanh(y))
}

func convolution(b *builder, x *graph.Value) *graph.Value {
	k := [2]int{1 + b.IntN(3), 1 + b.IntN(3)}
	o, fits := b.conv(x.Dim(2), x.Dim(3), k)
	if !fits {
		return nil
	}
	o.Groups = b.divisor(x.Dim(1))
	in, out := x.Dim(1)/o.Groups, o.Groups*(1+b.IntN(2))
	w := b.scaled(b.param(out, in, k[0], k[1]), 1/math.Sqrt(float64(in*k[0]*k[1])))
	return graph.Conv(x, w, b.maybe(out), &o)
}

func transposed(b *builder, x *graph.Value) *graph.Value {
	k := [2]int{1 + b.IntN(3), 1 + b.IntN(3)}
	o, _ := b.conv(x.Dim(2), x.Dim(3), k)
	var more [2]int
	for i, d := range x.Shape[2:] {
		more[i] = b.IntN(o.Strides[i])
		if o.Strides[i]*(d-1)+more[i]+o.Dilations[i]*(k[i]-1)+1 <= o.Pads[i]+o.Pads[i+2] {
			return nil
		}
	}
	o.Groups = b.divisor(x.Dim(1))
	out := 1 + b.IntN(2)
	w := b.scaled(b.param(x.Dim(1), out, k[0], k[1]), 1/math.Sqrt(float64(x.Dim(1)/o.Groups*k[0]*k[1])))
	return graph.ConvTranspose(x, w, b.maybe(out*o.Groups), &o, more[0], more[1])
}

func pool(b *builder, x *graph.Value) *graph.Value {
	kh, kw := 1+b.IntN(min(3, x.Dim(2))), 1+b.IntN(min(3, x.Dim(3)))
	o := &graph.PoolOptions{
		Pads:    [4]int{b.IntN(kh), b.IntN(kw), b.IntN(kh), b.IntN(kw)},
		Strides: [2]int{b.IntN(4), b.IntN(4)},
	}
	if b.IntN(2) == 0 {
		o = nil
	}
	switch b.IntN(5) {
	case 0, 1:
		return graph.MaxPool(x, kh, kw, o)
	case 2, 3:
		return graph.AveragePool(x, kh, kw, o)
	}
	return graph.GlobalAveragePool(x)
}

func resize(b *builder, x *graph.Value) *graph.Value {
	if b.IntN(3) == 0 {
		return graph.UpsampleNearest(x, 1+b.IntN(3), 1+b.IntN(3))
	}
	o := &graph.ResizeOptions{Antialias: b.IntN(2) == 0}
	o.AlignCorners = !o.Antialias && b.IntN(2) == 0
	return graph.ResizeLinear(x, 1+b.IntN(9), 1+b.IntN(9), o)
}

func reduce(b *builder, x *graph.Value) *graph.Value {
	axes, count := []int{}, 1
	for i := range 4 {
		if b.IntN(2) == 0 && x.Dim(i) != graph.Dynamic {
			axes = append(axes, i)
			count *= x.Dim(i)
		}
	}
	if len(axes) == 0 || slices.Contains(axes, 0) {
		return nil // the batch stays
	}
	keep := b.IntN(2) == 0
	var y *graph.Value
	switch b.IntN(3) {
	case 0:
		y = b.scaled(graph.ReduceSum(x, keep, axes...), 1/float64(count))
	case 1:
		y = graph.ReduceMean(x, keep, axes...)
	default:
		y = graph.ReduceMax(x, keep, axes...)
	}
	if !keep {
		y = graph.Reshape(y, append([]int{0, -1}, slices.Repeat([]int{1}, 2)...)...)
	}
	return y
}

func rearrange(b *builder, x *graph.Value) *graph.Value {
	c, h, w := x.Dim(1), x.Dim(2), x.Dim(3)
	axis := 1 + b.IntN(3)
	d := x.Dim(axis)
	switch b.IntN(8) {
	case 0:
		perms := [][]int{{0, 1, 3, 2}, {0, 2, 1, 3}, {0, 3, 2, 1}, {0, 2, 3, 1}}
		return graph.Transpose(x, perms[b.IntN(len(perms))]...)
	case 1:
		return graph.Reshape(x, 0, w, c, h)
	case 2:
		return graph.Reshape(x, 0, -1, 1, h)
	case 3:
		return graph.SliceAxis(x, axis, b.IntN(d), d, 1+b.IntN(2))
	case 4:
		return graph.SliceAxis(x, axis, -1, -d-1, -1-b.IntN(2))
	case 5:
		before, after := []int{0, 0, b.IntN(h), b.IntN(w)}, []int{0, 0, b.IntN(h), b.IntN(w)}
		return graph.Pad(x, []string{"constant", "reflect", "edge"}[b.IntN(3)], before, after)
	case 6:
		shape := []int{1, c, h, w}
		for i := 1; i < 4; i++ {
			if shape[i] == 1 {
				shape[i] += b.IntN(3)
			}
		}
		return graph.Expand(x, shape...)
	}
	indices := make([]int, 1+b.IntN(4))
	for i := range indices {
		indices[i] = b.IntN(2*d) - d
	}
	return graph.Gather(x, axis, indices...)
}

func pieces(b *builder, x *graph.Value) *graph.Value {
	axis := 1 + b.IntN(3)
	d := x.Dim(axis)
	if d < 2 || b.IntN(3) == 0 {
		return graph.Concat(axis, x, graph.Tanh(x), x)
	}
	cut := 1 + b.IntN(d-1)
	parts := graph.Split(x, axis, cut, d-cut)
	switch b.IntN(3) {
	case 0:
		return graph.Concat(axis, parts[1], graph.Tanh(parts[0]))
	case 1:
		return parts[0]
	}
	return graph.Softplus(parts[1])
}

func blocks(b *builder, x *graph.Value) *graph.Value {
	size := 1 + b.IntN(3)
	order := []graph.BlockOrder{graph.DCR, graph.CRD}[b.IntN(2)]
	if x.Dim(1)%(size*size) == 0 {
		return graph.DepthToSpace(x, size, order)
	}
	if x.Dim(2)%size == 0 && x.Dim(3)%size == 0 {
		return graph.SpaceToDepth(x, size, order)
	}
	return nil
}

func product(b *builder, x *graph.Value) *graph.Value {
	out := 1 + b.IntN(4)
	switch b.IntN(3) {
	case 0:
		in := x.Dim(3)
		return graph.MatMul(x, b.scaled(b.param(in, out), 1/math.Sqrt(float64(in))))
	case 1:
		in := x.Dim(2)
		return graph.MatMul(b.scaled(b.param(x.Dim(1), out, in), 1/math.Sqrt(float64(in))), x)
	}
	in := x.Dim(1) * x.Dim(2) * x.Dim(3)
	w := b.scaled(b.param(out, in), 1/math.Sqrt(float64(in)))
	y := graph.Gemm(graph.Reshape(x, 0, in), w, b.maybe(out), &graph.GemmOptions{TransB: true})
	return graph.Reshape(y, 0, out, 1, 1)
}

func normalise(b *builder, x *graph.Value) *graph.Value {
	c := x.Dim(1)
	switch b.IntN(5) {
	case 0:
		y, mean, variance := graph.BatchNorm(x, b.maybe(c), b.maybe(c), eps)
		if b.IntN(2) == 0 {
			return y
		}
		return graph.Mul(graph.Tanh(x), graph.Reshape(graph.Add(mean, variance), 1, c, 1, 1))
	case 1:
		return graph.BatchNormInference(x, b.maybe(c), b.maybe(c), b.param(c), b.positive(b.param(c)), eps)
	case 2:
		return graph.InstanceNorm(x, b.maybe(c), b.maybe(c), eps)
	case 3:
		return graph.GroupNorm(x, b.divisor(c), b.maybe(c), b.maybe(c), eps)
	}
	axis := 1 + b.IntN(3)
	return graph.LayerNorm(x, axis, b.maybe(x.Shape[axis:]...), b.maybe(x.Shape[axis:]...), eps)
}
