package onnx

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// divides reports whether an operator divides integers.
func divides(op string) bool { return op == "Div" || op == "Mod" }

// hazard is an error of a division by constant integers of which a processor faults:
// by 0, or of the smallest integer there is by -1. ONNX Runtime does not look, and
// the signal ends the process.
func hazard(node string, divisor *graph.Tensor) error {
	if divisor == nil {
		return nil
	}
	bad := int64(1)
	switch data := divisor.Raw().(type) {
	case []int64:
		if i := slices.IndexFunc(data, func(x int64) bool { return x == 0 || x == -1 }); i >= 0 {
			bad = data[i]
		}
	case []int32:
		if i := slices.IndexFunc(data, func(x int32) bool { return x == 0 || x == -1 }); i >= 0 {
			bad = int64(data[i])
		}
	case []uint8:
		if slices.Contains(data, 0) {
			bad = 0
		}
	}
	if bad == 1 {
		return nil
	}
	return fmt.Errorf("%s divides integers by %d, which can end the process", node, bad)
}

// Hazard reports an operator that is known to end the process on ONNX Runtime.
func (f *File) Hazard() error { return hazards(f.proto.GetGraph(), map[string]*onnxpb.TensorProto{}) }

// hazards looks at a graph and those within it; constants are those known outside.
func hazards(g *onnxpb.GraphProto, constants map[string]*onnxpb.TensorProto) error {
	for _, t := range g.GetInitializer() {
		constants[t.GetName()] = t
	}
	for i, n := range g.GetNode() {
		op, in := n.GetOpType(), n.GetInput()
		switch {
		case op == "Constant" && len(n.GetOutput()) == 1:
			for _, a := range n.GetAttribute() {
				if t := a.GetT(); t != nil {
					constants[n.GetOutput()[0]] = t
				}
			}
		case op == "Identity" && len(in) == 1 && len(n.GetOutput()) == 1 && constants[in[0]] != nil:
			constants[n.GetOutput()[0]] = constants[in[0]]
		case divides(op) && len(in) == 2 && constants[in[1]] != nil:
			t := constants[in[1]]
			if d := graph.DType(t.GetDataType()); d == graph.Int64 || d == graph.Int32 || d == graph.Uint8 {
				if x, err := tensor(t); err == nil {
					if err := hazard(describe(i, n), x); err != nil {
						return err
					}
				}
			}
		}
		for _, inner := range subgraphs(n) {
			if err := hazards(inner, constants); err != nil {
				return err
			}
		}
	}
	return nil
}
