package onnx

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
	maxFoldWork = 1 << 30 // operations, as graph.Node.Cost counts them: about a second
)

// fold computes the results of node i if its operands are all constants.
func (r *reader) fold(i int, operands, vs []*graph.Value) ([]*graph.Value, error) {
	fixed := true
	for _, v := range operands {
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
			r.source.folded[i] = tensors
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
	room, work := r.room, r.work
	for _, m := range r.graph.Nodes(pending...) {
		elements, operations := m.Cost()
		if elements > room || operations > work {
			return vs, nil
		}
		room, work = room-elements, work-operations
	}
	tensors, err := ref.Eval[float32](context.Background(), r.graph, nil, pending...)
	if err != nil {
		return nil, err
	}
	r.room, r.work = room, work
	vs = slices.Clone(vs)
	for j, v := range vs {
		if at := slices.Index(pending, v); at >= 0 {
			vs[j] = r.graph.Const("", tensors[at])
		}
	}
	return vs, nil
}
