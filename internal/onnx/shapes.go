package onnx

import (
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// shapeOperands are the operands that the shapes of results, or which branch is
// taken, depend on by their values, of operators that package graph does not
// have, or not with them: they have to be constant.
var shapeOperands = map[string][]int{
	"ConstantOfShape": {0}, "Pad": {3}, "Squeeze": {1}, "Tile": {1}, "Unsqueeze": {1}, "Upsample": {1},
	"ReduceL1": {1}, "ReduceL2": {1}, "ReduceLogSum": {1}, "ReduceLogSumExp": {1}, "ReduceMin": {1}, "ReduceSumSquare": {1},
	"Dropout": {2}, opIf: {0},
}

// shaping returns the names of all values of a graph that shapes depend on by
// their values. A Shape has only its operand's shape from it.
func shaping(nodes []*onnxpb.NodeProto) map[string]bool {
	names := map[string]bool{}
	for _, n := range slices.Backward(nodes) {
		for _, i := range slices.Concat(graph.ShapeOperands(n.GetOpType()), shapeOperands[n.GetOpType()]) {
			if i < len(n.Input) {
				names[n.Input[i]] = true
			}
		}
		op := n.GetOpType()
		if op == "Shape" || op == "Size" || !slices.ContainsFunc(n.Output, func(name string) bool { return names[name] }) {
			continue
		}
		for _, name := range n.Input {
			names[name] = true
		}
	}
	delete(names, "") // of omitted operands
	return names
}

// ShapeInputs returns the names of the inputs whose values, not their sizes
// alone, decide what shapes the model's values have.
func (s *Source) ShapeInputs() []string {
	var list []string
	names := shaping(s.graph.Node)
	for _, l := range s.leaves {
		delete(names, l.name)
	}
	for _, in := range s.graph.Input {
		if names[in.GetName()] {
			list = append(list, in.GetName())
		}
	}
	return list
}
