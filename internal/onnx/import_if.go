package onnx

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// An If decides, in what exporters write of networks, on shapes alone: whether a
// dimension is 1 and can be dropped, say. So the decision is known here, and the
// branch becomes part of the graph.
const opIf = "If"

// branch reads the branch that an If takes.
func (r *reader) branch(p *onnxpb.NodeProto) error {
	if len(p.Input) != 1 || r.values[p.Input[0]] == nil {
		return fmt.Errorf("got operands %q, want the condition", p.Input)
	}
	condition := r.values[p.Input[0]]
	t := condition.Const()
	if t == nil || t.DType() != graph.Bool || t.Len() != 1 {
		return fmt.Errorf("condition %q: got %v that depends on the images, or on more than their sizes", condition.Name(), condition.Type)
	}
	name := "else_branch"
	if graph.Data[bool](t)[0] {
		name = "then_branch"
	}
	for _, a := range p.Attribute {
		if body := a.GetG(); a.GetName() == name && body != nil {
			if err := r.body(p, body, r.fixed[condition]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("got no %s", name)
}

// body reads a graph within the node p, whose results are the body's outputs.
// What it names is known in it alone. Where it is not always the one to be taken,
// its constants are results that depend on the inputs' shapes.
func (r *reader) body(p *onnxpb.NodeProto, body *onnxpb.GraphProto, always bool) error {
	if len(body.Output) != len(p.Output) || len(body.SparseInitializer) > 0 {
		return fmt.Errorf("got %d outputs for %d results", len(body.Output), len(p.Output))
	}
	if err := checkOperators(body.Node); err != nil {
		return err
	}
	outside := len(r.local)
	r.depth++
	for _, t := range body.Initializer {
		x, err := tensor(t)
		if err == nil {
			err = r.leaf(t.GetName(), x)
		}
		if err != nil {
			return fmt.Errorf("initializer %q: %w", t.GetName(), err)
		}
	}
	for i, n := range body.Node {
		if err := r.node(i, n); err != nil {
			return fmt.Errorf("%s: %w", describe(i, n), err)
		}
	}
	results := make([]*graph.Value, len(body.Output))
	for i, o := range body.Output {
		if results[i] = r.values[o.GetName()]; results[i] == nil {
			return fmt.Errorf("output %q: no node gives it", o.GetName())
		}
		if t := results[i].Const(); t != nil && !always {
			results[i] = r.graph.Const("", t)
		}
	}
	for _, name := range r.local[outside:] {
		delete(r.values, name)
	}
	r.local = r.local[:outside]
	r.depth--
	for i, name := range p.Output {
		if r.values[name] != nil {
			return fmt.Errorf("two values are named %q", name)
		}
		r.define(name, results[i])
	}
	return nil
}
