package onnx

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// A Beginning is as much of a file as can be read, for inputs of given shapes.
type Beginning struct {
	Inputs  []*graph.Value
	Values  []*graph.Value // that nodes give, under their names in the file, in its order
	Stopped error          // what could not be read; nil if all was
}

// Beginning reads the nodes of a file up to the first that cannot be read, as
// [Source.For] does, for inputs of the given shapes, whatever other sizes the file
// declares. All of it belongs to one graph, whose outputs are not declared.
func (s *Source) Beginning(shapes map[string][]int) (*Beginning, error) {
	r := newReader(s, shapes, nil)
	r.anySize = true
	p := s.graph
	for _, n := range p.Node {
		r.graph.Reserve(n.Output...)
	}
	initialized := map[string]bool{}
	for _, l := range s.leaves {
		initialized[l.name] = true
		r.graph.Reserve(l.name)
	}
	for _, in := range p.Input {
		r.graph.Reserve(in.GetName())
	}
	out := &Beginning{}
	for _, in := range p.Input {
		if initialized[in.GetName()] {
			continue
		}
		if err := r.input(in); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		out.Inputs = append(out.Inputs, r.values[in.GetName()])
	}
	for _, l := range s.leaves {
		if err := r.leaf(l.name, l.tensor); err != nil {
			return nil, fmt.Errorf("initializer %q: %w", l.name, err)
		}
	}
	for i, n := range p.Node {
		err := checkOperators([]*onnxpb.NodeProto{n})
		if err == nil {
			err = r.node(i, n)
		}
		if err != nil {
			out.Stopped = fmt.Errorf("%s: %w", describe(i, n), err)
			break
		}
		for _, name := range n.Output {
			if v := r.values[name]; v != nil && v.Name() == name {
				out.Values = append(out.Values, v)
			}
		}
	}
	return out, nil
}

// Opening decodes a file as [File.Source] does, though it may have operators that
// cannot be read: [Source.Beginning] has what lies before them.
func (f *File) Opening() (*Source, error) { return f.source(math.MaxInt, true) }
