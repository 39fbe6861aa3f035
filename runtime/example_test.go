package runtime_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"log"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// grey stands for a trained network: it reconstructs every image as middle grey.
type grey struct{}

func (grey) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Add(graph.Mul(x, g.Scalar(0)), g.Scalar(.5))}
}

func (grey) InputSize() (channels, height, width int) { return 1, 16, 16 }

func ExampleOpenBytes() {
	m, err := onnxexport.Build(grey{}, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: .25})
	if err != nil {
		log.Fatal(err)
	}
	model, err := onnxexport.Marshal(m)
	if err != nil {
		log.Fatal(err)
	}

	det, err := anrt.OpenBytes(model, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}})
	if err != nil {
		log.Fatal(err)
	}
	defer det.Close()

	good, scratched := image.NewGray(image.Rect(0, 0, 64, 64)), image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range good.Pix {
		good.Pix[i], scratched.Pix[i] = 128, 128
	}
	for i := range 64 {
		for width := range 4 {
			scratched.SetGray(i, 20+width, color.Gray{250})
		}
	}
	results, err := det.Detect(context.Background(), good, scratched)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Printf("score %.2f, anomalous %v, map of %d×%d\n", r.Score, r.Anomalous, r.Map.Height, r.Map.Width)
	}
	// Output:
	// score 0.00, anomalous false, map of 16×16
	// score 0.36, anomalous true, map of 16×16
}

func ExampleSession_Run() {
	g := graph.New("double")
	x := g.Input("x", graph.Float32, graph.Dynamic, 2)
	g.Output("y", graph.Add(x, x))
	model, err := onnxexport.Marshal(&onnxexport.Model{Graph: g})
	if err != nil {
		log.Fatal(err)
	}

	ses, err := anrt.OpenSession(model, &anrt.SessionOptions{Provider: anrt.Go})
	if err != nil {
		log.Fatal(err)
	}
	defer ses.Close()
	out, err := ses.Run(context.Background(), map[string]*graph.Tensor{"x": graph.NewTensor([]float32{1, 2, 3, 4}, 2, 2)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ses.Inputs(), ses.Outputs())
	fmt.Println(graph.Data[float32](out["y"]))
	// Output:
	// ["x" float32[N,2]] ["y" float32[N,2]]
	// [2 4 6 8]
}
