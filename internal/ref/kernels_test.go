package ref

import (
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// TestOperatorsHaveKernels: each operator of package graph is computed, those
// on floats in both widths. Cast is no kernel, but part of [Eval].
func TestOperatorsHaveKernels(t *testing.T) {
	for _, op := range graph.Operators() {
		if _, logical := logicKernels[op]; logical || op == "Cast" {
			continue
		}
		for _, float := range []graph.DType{graph.Float32, graph.Float64} {
			if kernels[float][op] == nil {
				t.Errorf("%s of %v: no kernel", op, float)
			}
		}
	}
}

// TestKernelsHaveGoldens: each kernel is of an operator that package graph knows and has a golden.
func TestKernelsHaveGoldens(t *testing.T) {
	var cases []struct{ Op string }
	testenv.Golden(t, "gen_ref.py", "ops.json", &cases)
	golden := map[string]bool{}
	for _, c := range cases {
		golden[c.Op] = true
	}
	for dtype, table := range kernels {
		for op := range table {
			if !graph.Known(op) || !golden[op] {
				t.Errorf("%s of %v: known to package graph %t, golden %t", op, dtype, graph.Known(op), golden[op])
			}
		}
	}
}
