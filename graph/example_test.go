package graph_test

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
)

// The gradient of a mean squared error is a graph of ONNX operators like its
// formula.
func Example() {
	g := graph.New("linear")
	x := g.Input("x", graph.Float32, 8, 4)
	target := g.Input("target", graph.Float32, 8, 2)
	w := g.Param("w", 4, 2)

	y := graph.MatMul(x, w)
	loss := graph.MeanAll(graph.Square(graph.Sub(y, target)))
	grads, err := graph.Gradients(loss, []*graph.Value{w}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	g.Output("loss", loss)
	g.Output("dw", grads[0])

	for _, v := range g.Outputs() {
		fmt.Println(v.Name(), v.Type)
	}
	for _, n := range g.Nodes(grads[0]) {
		fmt.Println(n.Op, n.Outputs[0].Type)
	}
	// Output:
	// loss float32[1]
	// dw float32[4,2]
	// MatMul float32[8,2]
	// Sub float32[8,2]
	// Reshape float32[]
	// Mul float32[]
	// Reshape float32[1,1]
	// Expand float32[8,2]
	// Mul float32[8,2]
	// Mul float32[8,2]
	// Transpose float32[4,8]
	// MatMul float32[4,2]
}
