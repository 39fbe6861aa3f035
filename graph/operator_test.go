package graph_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// TestShapeOperands: what shapes depend on has to be constant. (A Range of open
// bounds is of open length; a Resize that crops, by operand 1, there is not.)
func TestShapeOperands(t *testing.T) {
	for _, op := range graph.Operators() {
		shaping := graph.ShapeOperands(op)
		for _, i := range shaping {
			if op == "Range" || op == "Resize" && i == 1 {
				continue
			}
			g := graph.New("g")
			operands := []*graph.Value{g.Input("x", graph.Float32, 1)}
			for len(operands) <= slices.Max(shaping) {
				operands = append(operands, g.Const("", graph.NewTensor([]int64{0}, 1)))
			}
			if op == "Resize" { // by scales or by sizes
				operands[2], operands[3] = nil, nil
			}
			operands[i] = g.Input("open", graph.Int64, 1)
			g.Op(op, nil, operands...)
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), "want a constant") {
				t.Errorf("%s, operand %d open: got %v, want that it has to be constant", op, i, err)
			}
		}
	}
}

func TestCost(t *testing.T) {
	g := graph.New("g")
	x := g.Input("x", graph.Float32, graph.Dynamic, 6, 8, 8)
	rows := g.Input("rows", graph.Float32, 2, 7)
	open := g.Input("open", graph.Float32, 1, 6, graph.Dynamic, 8)
	weight := func(shape ...int) *graph.Value { return g.Const("", graph.Zeros(graph.Float32, shape...)) }
	for _, c := range []struct {
		name                       string
		v                          *graph.Value
		macs, elements, operations int64
	}{
		{"convolution", graph.Conv(x, weight(4, 6, 3, 3), nil, nil), 144 * 54, 144, 144*54 + 384 + 216 + 144},
		{"transposed", graph.ConvTranspose(x, weight(6, 4, 3, 3), nil, nil, 0, 0), 384 * 36, 400, 384*36 + 384 + 216 + 400},
		{"product", graph.MatMul(rows, weight(7, 5)), 70, 10, 70 + 14 + 35 + 10},
		{"transposed factor", graph.Gemm(weight(7, 2), weight(7, 5), nil, &graph.GemmOptions{TransA: true}), 70, 10, 70 + 14 + 35 + 10},
		{"pool", graph.MaxPool(x, 2, 4, nil), 0, 48, 48*8 + 384 + 48},
		{"sum", graph.Add(rows, g.Scalar(1)), 0, 14, 14 + 1 + 14},
		{"image of any size", graph.Conv(open, weight(4, 6, 3, 3), nil, nil), graph.Open, graph.Open, graph.Open},
		{"more than there can be", graph.MatMul(g.Input("a", graph.Float32, 1<<30, 1<<30), g.Input("b", graph.Float32, 1<<30, 1<<30)), graph.Open, 1 << 60, graph.Open},
	} {
		n := c.v.Node()
		if n == nil {
			t.Fatalf("%s: %v", c.name, g.Err())
		}
		elements, operations := n.Cost()
		if n.MACs() != c.macs || elements != c.elements || operations != c.operations {
			t.Errorf("%s: got %d MACs, %d elements, %d operations, want %d, %d, %d", c.name, n.MACs(), elements, operations, c.macs, c.elements, c.operations)
		}
	}
}
