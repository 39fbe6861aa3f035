package onnxexport

import (
	"github.com/anomaly-go/anomaly/graph"
)

// fit turns RGB images of any size, float32 [N,3,H,W] in [0,1], into what the
// network takes, float32 [N,channels,height,width] in [0,1]: bit for bit the
// pixels that package dataset makes of the 8 bit images they come from, where no
// side shrinks more than 16 times; beyond that some are 1/255 away. Images of the
// network's size stay as they are.
//
// That is Pillow's BILINEAR: rows, then columns, with integer weights of 22 bit
// and 8 bit in between (Resample.c). All numbers here are integers that float32
// holds exactly, so that neither the order of sums nor the engine matters. ONNX's
// Resize would not do: not all engines have its antialias, and none the 8 bit.
func fit(x *graph.Value, channels, height, width int) *graph.Value {
	g := x.Graph()
	h, w := graph.Size(x, 2), graph.Size(x, 3)
	x = round(graph.Mul(x, g.Scalar(255)))
	if channels == 1 { // ITU-R 601, as Pillow rounds it
		luma := g.Const("", graph.NewTensor([]float32{19595, 38470, 7471}, 3, 1, 1))
		x = round(graph.Mul(graph.ReduceSum(graph.Mul(x, luma), true, 1), g.Scalar(1.0/(1<<16))))
	}
	high, low := triangles(w, width, false)
	x = merge(graph.MatMul(x, high), graph.MatMul(x, low))
	high, low = triangles(h, height, true)
	x = merge(graph.MatMul(high, x), graph.MatMul(low, x))
	return graph.Mul(x, g.Scalar(1.0/255))
}

// round rounds halves up.
func round(x *graph.Value) *graph.Value {
	return graph.Floor(graph.Add(x, x.Graph().Scalar(0.5)))
}

// Weights have 22 bit, in two halves: the product of one with pixels adds up in
// 24 bit, which is what float32 has.
const halfWeight = 1 << 11

// merge adds up the products with both halves of the weights and rounds.
func merge(high, low *graph.Value) *graph.Value {
	g := low.Graph()
	shift := g.Scalar(1.0 / halfWeight)
	low = graph.Add(low, g.Scalar(halfWeight*halfWeight/2))
	carry := graph.Floor(graph.Mul(low, shift))
	return graph.Floor(graph.Mul(graph.Add(high, carry), shift))
}

// triangles returns the weights with which n places of an image, an int64 of
// rank 0, make one side of out places, [n,out] or, transposed, [out,n].
//
// The weight of place j for place i falls off as a triangle around i's centre, as
// wide as two places of the smaller side: in units of 1/(2·out) places,
//
//	t = max(0, 2·max(n,out) - |(2j+1)·out - (2i+1)·n|)
//
// The result is t·2²²/Σt, rounded, as high·2¹¹ + low. The quotient is computed in
// two steps of 8 and 14 bit, the second of the first one's exact remainder.
func triangles(n *graph.Value, out int, transposed bool) (high, low *graph.Value) {
	g := n.Graph()
	scaled := func(x *graph.Value, by float64) *graph.Value { return graph.Mul(x, g.Scalar(by)) }
	integer := func(x int64) *graph.Value { return g.Const("", graph.NewTensor([]int64{x})) }
	odd := make([]int64, out)
	for i := range odd {
		odd[i] = int64(2*i + 1)
	}
	to, from, axis := []int{1, out}, []int{-1, 1}, 0
	if transposed {
		to, from, axis = []int{out, 1}, []int{1, -1}, 1
	}
	// Whole numbers, which nothing rounds.
	center := graph.Mul(g.Const("", graph.NewTensor(odd, to...)), n)
	place := graph.Reshape(graph.Range(integer(0), n, integer(1)), from...)
	place = graph.Add(graph.Mul(place, integer(int64(2*out))), integer(int64(out)))
	reach := graph.Mul(graph.Max(n, integer(int64(out))), integer(2))
	whole := graph.Max(graph.Sub(reach, graph.Abs(graph.Sub(place, center))), integer(0))
	sum := graph.Cast(graph.ReduceSum(whole, true, axis), graph.Float32)

	t := graph.Cast(whole, graph.Float32)
	t = scaled(t, 1<<8)
	first := graph.Floor(graph.Div(t, sum))
	rest := graph.Sub(t, graph.Mul(first, sum))
	second := round(graph.Div(scaled(rest, 1<<14), sum))
	weight := graph.Add(scaled(first, 1<<14), second)
	high = graph.Floor(scaled(weight, 1.0/halfWeight))
	return high, graph.Sub(weight, scaled(high, halfWeight))
}
