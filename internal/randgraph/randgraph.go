package randgraph

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A Random is a random graph with values for its inputs.
type Random struct {
	*graph.Graph
	// Values are the results of the steps, each [N,C,H,W].
	Values []*graph.Value
	// Loss is a mean over all values that no step uses, nil if the batch is dynamic.
	Loss *graph.Value
	// Leaves are what to differentiate by: the images and the parameters.
	Leaves []*graph.Value
	// Feeds are float32 tensors for the leaves, by name.
	Feeds map[string]*graph.Tensor
}

// maxElements bounds the values, so that evaluating a graph takes milliseconds.
const maxElements = 500

// New composes a graph of so many steps, an operator or a few each, on images of
// a batch of the given size. If dynamic is set the graph leaves that size open.
func New(seed uint64, steps, batch int, dynamic bool) *Random {
	b := &builder{
		Random: &Random{Graph: graph.New(fmt.Sprint("random ", seed)), Feeds: map[string]*graph.Tensor{}},
		Rand:   rand.New(rand.NewPCG(seed, 1)), batch: batch, dynamic: dynamic,
	}
	for i := range 2 {
		shape := []int{batch, 1 + b.IntN(6), 1 + b.IntN(7), 1 + b.IntN(7)}
		feed := b.noise(shape)
		if dynamic {
			shape[0] = graph.Dynamic
		}
		x := b.Input(fmt.Sprint("x", i), graph.Float32, shape...)
		b.Feeds[x.Name()] = feed
		b.Leaves, b.Values = append(b.Leaves, x), append(b.Values, x)
	}
	for done := 0; done < steps; {
		x := b.Values[b.IntN(len(b.Values))]
		if b.IntN(2) == 0 { // deep rather than wide
			x = b.Values[len(b.Values)-1]
		}
		y := families[b.IntN(len(families))](b, x)
		if y == nil || y == x || b.elements(y) > maxElements {
			continue
		}
		b.Values = append(b.Values, y)
		done++
	}
	used := map[*graph.Value]bool{}
	for _, n := range b.Nodes(b.Values...) {
		for _, in := range n.Inputs {
			used[in] = true
		}
	}
	b.Leaves = slices.DeleteFunc(b.Leaves, func(v *graph.Value) bool { return v.IsParam() && !used[v] }) // of steps that were not taken
	if !dynamic {
		var sums []*graph.Value
		for _, v := range b.Values {
			if !used[v] {
				weights := b.Const("", b.noise([]int{1, v.Dim(1), v.Dim(2), v.Dim(3)}))
				sums = append(sums, graph.MeanAll(graph.Mul(v, weights)))
			}
		}
		b.Loss = graph.ReduceSum(graph.Concat(0, sums...), false)
	}
	return b.Random
}

type builder struct {
	*Random
	*rand.Rand
	batch   int
	dynamic bool
}

// elements returns the number of elements that v has for the batch.
func (b *builder) elements(v *graph.Value) int {
	n := graph.Elements(v.Shape)
	if b.dynamic {
		n *= -b.batch
	}
	return n
}

// noise returns numbers in (-1,1), of a few digits so that they are as good in float32.
func (b *builder) noise(shape []int) *graph.Tensor {
	t := graph.Zeros(graph.Float32, shape...)
	d := graph.Data[float32](t)
	for i := range d {
		d[i] = float32(b.IntN(4095)-2047) / 2048
	}
	return t
}

// param declares a parameter of that shape, with random values.
func (b *builder) param(shape ...int) *graph.Value {
	v := b.Param(fmt.Sprint("p", len(b.Params())), shape...)
	b.Feeds[v.Name()] = b.noise(shape)
	b.Leaves = append(b.Leaves, v)
	return v
}

// maybe returns a parameter of that shape or nil.
func (b *builder) maybe(shape ...int) *graph.Value {
	if b.IntN(2) == 0 {
		return nil
	}
	return b.param(shape...)
}

// other returns a second operand that broadcasts with x: an earlier value of the
// same shape if there is one, or a parameter.
func (b *builder) other(x *graph.Value) *graph.Value {
	var same []*graph.Value
	for _, v := range b.Values {
		if slices.Equal(v.Shape, x.Shape) {
			same = append(same, v)
		}
	}
	if len(same) > 1 && b.IntN(3) > 0 {
		return same[b.IntN(len(same))]
	}
	shape := slices.Clone(x.Shape[1+b.IntN(3):])
	for i := range shape {
		if b.IntN(2) == 0 {
			shape[i] = 1
		}
	}
	return b.param(shape...)
}

func (b *builder) scaled(x *graph.Value, by float64) *graph.Value {
	return graph.Mul(x, b.Scalar(by))
}

// positive returns 1 + x².
func (b *builder) positive(x *graph.Value) *graph.Value {
	return graph.Add(graph.Square(x), b.Scalar(1))
}

// conv returns options for a kernel of the given size on images of h x w, and
// whether the kernel fits.
func (b *builder) conv(h, w int, k [2]int) (o graph.ConvOptions, fits bool) {
	for i := range 2 {
		o.Strides[i], o.Dilations[i] = 1+b.IntN(3), 1+b.IntN(2)
	}
	for i := range o.Pads {
		o.Pads[i] = b.IntN(3)
	}
	return o, h+o.Pads[0]+o.Pads[2] > o.Dilations[0]*(k[0]-1) && w+o.Pads[1]+o.Pads[3] > o.Dilations[1]*(k[1]-1)
}

// divisor returns a random divisor of n.
func (b *builder) divisor(n int) int {
	for {
		if d := 1 + b.IntN(n); n%d == 0 {
			return d
		}
	}
}
