package onnxexport

import (
	"context"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// What folding may take: a few bytes can ask for any number of elements and of
// operations. Beyond these bounds nodes stay in the graph, and are computed
// when it runs.
const (
	minFoldRoom = 1 << 22 // elements that results may have together
	foldRatio   = 2       // and how many more for each that the file holds
	maxFoldWork = 1 << 30 // operations, as cost counts them: about a second
)

// fold computes the results of a node whose operands are all constants.
func (r *reader) fold(i int, n *node, vs []*graph.Value) ([]*graph.Value, error) {
	fixed := true
	for _, v := range n.in {
		if v != nil && v.Const() == nil {
			return vs, nil
		}
		fixed = fixed && (v == nil || r.fixed[v])
	}
	vs, err := r.compute(vs)
	if err != nil {
		return nil, fmt.Errorf("on constants: %w", err)
	}
	var tensors []*graph.Tensor
	for _, v := range vs {
		tensors = append(tensors, v.Const())
	}
	if fixed && !slices.Contains(tensors, nil) {
		for _, v := range vs {
			r.fixed[v] = true
		}
		if r.depth == 0 {
			r.file.folded[i] = tensors
		}
	}
	return vs, nil
}

// compute returns values that depend on constants alone as constants, or as
// they are where that would take too much.
func (r *reader) compute(vs []*graph.Value) (out []*graph.Value, err error) {
	defer func() { // kernels trust those who build graphs, as inference does
		if e := recover(); e != nil {
			err = fmt.Errorf("operands or attributes do not fit the operator (%v)", e)
		}
	}()
	var pending []*graph.Value
	for _, v := range vs {
		if v.Node() != nil {
			pending = append(pending, v)
		}
	}
	if len(pending) == 0 || r.shapes == nil || r.graph.Err() != nil {
		return vs, nil
	}
	room, work := 0, 0
	for _, m := range r.graph.Nodes(pending...) {
		elements, operations := cost(m)
		room, work = min(room+elements, maxElements), min(work+operations, 2*maxFoldWork)
	}
	if room > r.room || work > r.work {
		return vs, nil
	}
	tensors, err := ref.Eval[float32](context.Background(), r.graph, nil, pending...)
	if err != nil {
		return nil, err
	}
	r.room, r.work = r.room-room, r.work-work
	vs = slices.Clone(vs)
	for j, v := range vs {
		if at := slices.Index(pending, v); at >= 0 {
			vs[j] = r.graph.Const("", tensors[at])
		}
	}
	return vs, nil
}

// cost returns how many elements a node gives, and about how many operations
// it takes: of each result one for each element of a window, a row or whatever
// else it is made of.
func cost(n *graph.Node) (elements, operations int) {
	for _, v := range n.Outputs {
		elements += graph.Elements(v.Shape)
	}
	operations = elements
	each := 1
	for _, v := range n.Inputs {
		if v != nil {
			operations += graph.Elements(v.Shape)
		}
	}
	switch x := n.Inputs[0]; n.Op {
	case "Conv", "ConvTranspose":
		each = graph.Elements(n.Inputs[1].Shape[1:])
	case "MatMul":
		each = x.Dim(-1)
	case "Gemm":
		each = max(x.Dim(0), x.Dim(1))
	case "MaxPool", "AveragePool":
		for _, k := range n.Ints("kernel_shape") {
			each *= int(min(k, maxFoldWork))
		}
	}
	if each > maxFoldWork || elements > 0 && each > maxFoldWork/elements {
		return elements, 2 * maxFoldWork
	}
	return elements, operations + each*elements
}
