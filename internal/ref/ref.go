package ref

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// float are the types that values of dtype float32 are held as.
type float interface{ float32 | float64 }

// number are the element types with an order and arithmetic.
type number interface {
	float | integer
}

type integer interface{ uint8 | int32 | int64 }

// A Kernel computes the results of a node from its operands; an omitted operand
// is nil. Results may share elements with operands.
type Kernel func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error)

// kernels holds, by the element type that a node works on, the kernel of each operator.
var kernels = map[graph.DType]map[string]Kernel{
	graph.Float32: floatKernels[float32](),
	graph.Float64: floatKernels[float64](),
	graph.Uint8:   intKernels[uint8](),
	graph.Int32:   intKernels[int32](),
	graph.Int64:   intKernels[int64](),
	graph.Bool:    boolKernels(),
}

// merge joins the tables of several operator families.
func merge(tables ...map[string]Kernel) map[string]Kernel {
	all := map[string]Kernel{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

func floatKernels[T float]() map[string]Kernel {
	return merge(shapeKernels[T](), numberKernels[T](), reduceKernels[T, float64](), map[string]Kernel{
		"Conv":              conv[T],
		"ConvTranspose":     convTranspose[T],
		"MaxPool":           maxPool[T],
		"AveragePool":       averagePool[T],
		"GlobalAveragePool": globalAveragePool[T],
		"MatMul":            matMul(product[T]),
		"Gemm":              gemm[T],
		"Softmax":           softmax[T],
		"Resize":            resize[T],
		"Mod":               fmod[T],
	}, searchKernels[T](), curveKernels[T]())
}

func intKernels[T integer]() map[string]Kernel {
	return merge(shapeKernels[T](), numberKernels[T](), reduceKernels[T, int64](), map[string]Kernel{
		"MatMul": matMul(integerProduct[T]),
	}, searchKernels[T](), divisionKernels[T]())
}

func boolKernels() map[string]Kernel { return merge(shapeKernels[bool](), logicKernels) }

// Eval computes the wanted values, g's outputs if none is named, from tensors
// for every input and parameter that they depend on, by name.
//
// Values of dtype float32 are held as T: Eval[float64] evaluates the same graph
// in double precision, takes float32 and float64 tensors for them, and returns
// float64 ones. The shapes of results follow from those of the tensors;
// dimensions that are [graph.Dynamic] take any size. Results may share
// elements with feeds and constants: treat both as immutable.
//
// Eval is safe for concurrent use. It looks at ctx between nodes, and frees
// intermediate values after their last use.
func Eval[T float32 | float64](ctx context.Context, g *graph.Graph, feeds map[string]*graph.Tensor, want ...*graph.Value) ([]*graph.Tensor, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	if len(want) == 0 {
		want = g.Outputs()
	}
	e := evaluation{float: graph.DTypeOf[T](), feeds: feeds, values: map[*graph.Value]*graph.Tensor{}, uses: map[*graph.Value]int{}}
	nodes := g.Nodes(want...)
	for _, n := range nodes {
		for _, v := range n.Inputs {
			e.uses[v]++
		}
	}
	for _, v := range want {
		if v.Graph() != g {
			return nil, fmt.Errorf("ref: value %q belongs to another graph", v.Name())
		}
		e.uses[v]++
	}
	for _, n := range nodes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := e.run(n); err != nil {
			return nil, err
		}
	}
	out := make([]*graph.Tensor, len(want))
	for i, v := range want {
		t, err := e.value(v)
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

// Node computes the results of one node of ONNX's own domain from its operands,
// nil for those that are omitted. Results may share elements with operands.
func Node(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	if n.Domain != "" {
		return nil, fmt.Errorf("domain %q is not known", n.Domain)
	}
	e := evaluation{float: graph.Float32}
	return e.compute(n, in)
}

// An evaluation is the state of one call of [Eval].
type evaluation struct {
	float  graph.DType // what float32 is held as
	feeds  map[string]*graph.Tensor
	values map[*graph.Value]*graph.Tensor
	uses   map[*graph.Value]int // still to come
}

// held returns the type that values of dtype d are held as.
func (e *evaluation) held(d graph.DType) graph.DType {
	if d == graph.Float32 {
		return e.float
	}
	return d
}

// value returns the tensor of a computed value, a constant or a feed.
func (e *evaluation) value(v *graph.Value) (*graph.Tensor, error) {
	if t, ok := e.values[v]; ok {
		return t, nil
	}
	t := v.Const()
	if t == nil {
		kind := "input"
		if v.IsParam() {
			kind = "parameter"
		}
		if t = e.feeds[v.Name()]; t == nil {
			return nil, fmt.Errorf("ref: %s %q: got no tensor, want %v", kind, v.Name(), v.Type)
		}
		if d := t.DType(); d != v.DType && d != e.held(v.DType) || !fits(t.Shape(), v.Shape) {
			return nil, fmt.Errorf("ref: %s %q: got %v, want %v", kind, v.Name(), typeOf(t), v.Type)
		}
	}
	t = cast(t, e.held(v.DType))
	e.values[v] = t
	return t, nil
}

func (e *evaluation) run(n *graph.Node) error {
	fail := func(err error) error {
		return fmt.Errorf("ref: %s %q: %w", n.Op, n.Outputs[0].Name(), err)
	}
	in := make([]*graph.Tensor, len(n.Inputs))
	for i, v := range n.Inputs {
		if v == nil {
			continue
		}
		var err error
		if in[i], err = e.value(v); err != nil {
			return err
		}
	}
	out, err := e.compute(n, in)
	if err != nil {
		return fail(err)
	}
	for i, v := range n.Outputs {
		if out[i].DType() != e.held(v.DType) || !fits(out[i].Shape(), v.Shape) {
			return fail(fmt.Errorf("result %d: got %v, want %v as inferred", i, typeOf(out[i]), v.Type))
		}
		if e.uses[v] > 0 {
			e.values[v] = out[i]
		}
	}
	for _, v := range n.Inputs {
		if e.uses[v]--; e.uses[v] == 0 {
			delete(e.values, v)
		}
	}
	return nil
}

func (e *evaluation) compute(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	k, err := kernelOf(n, e.held)
	if err != nil {
		return nil, err
	}
	return k(n, in)
}

// kernelOf returns what computes n where values of a type are held as another.
func kernelOf(n *graph.Node, held func(graph.DType) graph.DType) (Kernel, error) {
	if n.Domain != "" {
		return nil, fmt.Errorf("domain %q is not known", n.Domain)
	}
	works := n.In(0)
	switch n.Op {
	case "Cast":
		to := held(n.Outputs[0].DType)
		return func(_ *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) { return one(cast(in[0], to), nil) }, nil
	case "Where":
		works = n.In(1)
	}
	k, ok := kernels[held(works.DType)][n.Op]
	if !ok {
		return nil, fmt.Errorf("not known for %v", works.DType)
	}
	return k, nil
}

// one makes the results of an operator with one result.
func one(t *graph.Tensor, err error) ([]*graph.Tensor, error) { return []*graph.Tensor{t}, err }

func typeOf(t *graph.Tensor) graph.Type { return graph.Type{DType: t.DType(), Shape: t.Shape()} }

// fits reports whether a tensor's shape is one that a value's type allows.
func fits(shape, want []int) bool {
	return want == nil || slices.EqualFunc(shape, want, func(d, w int) bool { return d == w || w == graph.Dynamic })
}

// optInts returns the elements of an int64 operand, nil where it is omitted.
func optInts(in []*graph.Tensor, i int) []int {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	out := make([]int, in[i].Len())
	for j, x := range graph.Data[int64](in[i]) {
		out[j] = int(x)
	}
	return out
}

// fromFront turns the number of one of size things (what names them) that
// counts from the end, if negative, into one that counts from the front.
func fromFront(what string, i, size int) (int, error) {
	if i < -size || i >= size {
		return 0, fmt.Errorf("%s: got %d, want one of %d", what, i, size)
	}
	if i < 0 {
		i += size
	}
	return i, nil
}
