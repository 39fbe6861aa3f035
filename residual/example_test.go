package residual_test

import (
	"context"
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/runtime"
)

// A graph that maps where two images differ, on any provider.
func ExampleMap() {
	g := graph.New("difference")
	x, y := g.Input("x", graph.Float32, 1, 1, 16, 16), g.Input("y", graph.Float32, 1, 1, 16, 16)
	m := residual.Map(x, y, &residual.Options{Kind: residual.L1Map})
	g.Output("map", m)
	g.Output("score", residual.Score(m))
	model, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := runtime.OpenSession(model, &runtime.SessionOptions{Provider: runtime.Go})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	a, b := make([]float32, 256), make([]float32, 256)
	b[5*16+3] = .75
	out, err := session.Run(context.Background(), map[string]*graph.Tensor{"x": graph.NewTensor(a, 1, 1, 16, 16), "y": graph.NewTensor(b, 1, 1, 16, 16)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(graph.Data[float32](out["score"])[0], graph.Data[float32](out["map"])[5*16+3])
	// Output: 0.75 0.75
}

func ExampleParseLoss() {
	loss, err := residual.ParseLoss("ssim+mse:0.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := graph.New("training")
	x, y := g.Input("x", graph.Float32, 4, 3, 32, 32), g.Input("y", graph.Float32, 4, 3, 32, 32)
	fmt.Println(loss, loss.Of(x, y).Type)
	// Output: ssim+mse:0.1 float32[1]
}
