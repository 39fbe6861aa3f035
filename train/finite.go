package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/lower"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// checkFinite returns an error that says where, if loss or a gradient is NaN or infinite.
func (t *trainer) checkFinite(ctx context.Context, st *state, b batch, loss float64, grads map[string][]float32) error {
	what := ""
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		what = fmt.Sprintf("the loss is %v", loss)
	}
	for _, name := range slices.Sorted(maps.Keys(grads)) {
		if what == "" && !finite(grads[name]) {
			what = "the gradient of " + name + " is not finite"
		}
	}
	if what == "" {
		return nil
	}
	where, err := t.findNonFinite(ctx, st.weights, b)
	if err != nil {
		where = "the place was not found: " + err.Error()
	}
	return fmt.Errorf("%w: epoch %d, step %d: %s; %s; a lower learning rate than %g may help",
		ErrDiverged, st.Epoch+1, st.Step+1, what, where, t.settings.LearningRate)
}

func finite(xs []float32) bool {
	for _, x := range xs {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// findNonFinite runs the images one by one through the step graph with every
// intermediate value as an output and names the first that is not finite.
func (t *trainer) findNonFinite(ctx context.Context, weights map[string]*graph.Tensor, b batch) (string, error) {
	for name, w := range weights {
		if !finite(graph.Data[float32](w)) {
			return fmt.Sprintf("weight %s is not finite already", name), nil
		}
	}
	g, err := t.lossGraph(1)
	if err != nil {
		return "", err
	}
	if _, err := lower.Plain(g, graph.ByShift, t.frozen); err != nil {
		return "", err
	}
	type place struct{ output, what string }
	var places []place
	for i, n := range g.Nodes() {
		v := n.Outputs[0]
		if !v.DType.IsFloat() || len(v.Shape) == 0 {
			continue
		}
		what := fmt.Sprintf("%s %q", n.Op, v.Name())
		for _, in := range n.Inputs {
			if in != nil && in.IsParam() {
				what += " of " + in.Name()
			}
		}
		name := v.Name()
		if !slices.Contains(g.Outputs(), v) {
			name = g.Output(fmt.Sprintf("value %d", i), v).Name()
		}
		places = append(places, place{name, what})
	}
	model, err := marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		return "", err
	}
	ses, err := t.session(model, 1, nil)
	if err != nil {
		return "", err
	}
	defer ses.Close()
	for i, image := range b.images {
		in := maps.Clone(weights)
		maps.Copy(in, t.inputs(b, i, i+1))
		out, err := ses.Run(ctx, in)
		if err != nil {
			return "", err
		}
		for _, p := range places {
			if !finite(graph.Data[float32](out[p.output])) {
				return fmt.Sprintf("first at %s, %s", t.imageName(image), p.what), nil
			}
		}
	}
	return "no single image shows it: it comes from the sum over the batch", nil
}
