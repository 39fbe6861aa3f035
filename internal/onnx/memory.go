package onnx

import (
	"errors"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// ErrMemory is wrapped by errors of models that take more memory than they may.
var ErrMemory = errors.New("too much memory")

// An Estimator tells how much memory a file's values take. It is not safe for
// concurrent use.
type Estimator struct {
	source  *Source
	inputs  []Port
	weights int64
}

// Estimator returns one for the file; nil where package graph does not know all of
// its operators, or shapes depend on what the inputs hold.
func (f *File) Estimator() *Estimator {
	s, err := f.outline()
	if err != nil || len(s.ShapeInputs()) > 0 {
		return nil
	}
	e := &Estimator{source: s, inputs: f.Inputs}
	for _, t := range f.proto.GetGraph().GetInitializer() {
		if n, ok := rawSize(t); ok {
			e.weights += n
		}
	}
	return e
}

// guess is what an open dimension, other than the batch, is taken for before there
// are inputs.
const guess = 64

// Guess returns shapes that the inputs may have.
func (e *Estimator) Guess() map[string][]int {
	shapes := map[string][]int{}
	for _, p := range e.inputs {
		shape := slices.Clone(p.Shape)
		for i, d := range shape {
			if d == graph.Dynamic {
				shape[i] = guess
				if i == 0 {
					shape[i] = 1
				}
			}
		}
		shapes[p.Name] = shape
	}
	return shapes
}

// Peak returns how many bytes the weights and those values that are needed at a
// time take at most, for inputs of these shapes; 0 where that is not known. The
// error wraps [ErrMemory], or is of a hazard as [File.Hazard] reports them.
func (e *Estimator) Peak(shapes map[string][]int) (int64, error) {
	m, err := e.source.For(shapes, nil)
	switch {
	case e.source.hazard != nil:
		return 0, e.source.hazard
	case errors.Is(err, ErrMemory):
		return 0, err
	case err != nil:
		return 0, nil
	}
	size := func(v *graph.Value) int64 {
		if v.Const() != nil || v.IsParam() || v.Shape == nil || slices.Contains(v.Shape, graph.Dynamic) {
			return 0
		}
		return int64(graph.Elements(v.Shape)) * int64(elemSize[v.DType])
	}
	users := map[*graph.Value]int{}
	nodes := m.Graph.Nodes()
	for _, n := range nodes {
		for _, v := range n.Inputs {
			users[v]++
		}
	}
	for _, v := range m.Graph.Outputs() {
		users[v]++ // stays
	}
	now := e.weights
	for _, v := range m.Graph.Inputs() {
		now += size(v)
	}
	peak := now
	for _, n := range nodes {
		for _, v := range n.Outputs {
			now += size(v)
		}
		peak = max(peak, now)
		for _, v := range n.Inputs {
			if users[v]--; v != nil && users[v] == 0 && v.Node() != nil {
				now -= size(v)
			}
		}
		for _, v := range n.Outputs {
			if users[v] == 0 {
				now -= size(v)
			}
		}
	}
	return peak, nil
}
