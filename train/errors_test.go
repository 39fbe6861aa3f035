package train

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// errorTolerance is what float32 leaves of a sum over an image, relative.
const errorTolerance = 1e-5

// The errors of training images are what the network makes of them wrong, summed
// over pixels and channels, and the metadata has their quantiles.
func TestErrors(t *testing.T) {
	data := stripes(24, 1, 16, 16)
	r := fit(t, tiny, data, Settings{Epochs: 2, Loss: "mse"})
	if n := len(stages(24, .1, 1)[0].train); len(r.Errors) != n || !slices.IsSorted(r.Errors) {
		t.Fatalf("got %v, want %d errors in ascending order", r.Errors, n)
	}
	g := graph.New("net")
	x := g.Input("x", graph.Float32, 24, 1, 16, 16)
	g.Output("e", graph.ReduceSum(graph.Square(graph.Sub(x, tiny.Forward(x).Reconstruction)), false, 1, 2, 3))
	pixels := make([]float64, len(data.Pixels))
	for i, p := range data.Pixels {
		pixels[i] = float64(p) / 255
	}
	feeds := map[string]*graph.Tensor{"x": graph.NewTensor(pixels, x.Shape...)}
	for name, w := range r.Weights {
		feeds[name] = w
	}
	out, err := ref.Eval[float64](context.Background(), g, feeds)
	if err != nil {
		t.Fatal(err)
	}
	all := graph.Data[float64](out[0])
	var want []float64
	for _, i := range stages(24, .1, 1)[0].train {
		want = append(want, all[i])
	}
	slices.Sort(want)
	for i, e := range r.Errors {
		if math.Abs(e-want[i]) > errorTolerance*want[i] {
			t.Errorf("error %d: got %v, want %v", i, e, want[i])
		}
	}
	md, err := r.Metadata("test")
	if err != nil {
		t.Fatal(err)
	}
	var quantiles map[string][]float64
	if err := json.Unmarshal([]byte(md["normal.quantiles"]), &quantiles); err != nil {
		t.Fatal(err)
	}
	if got := quantiles["error"]; len(got) != len(Levels()) || got[0] != r.Errors[0] || got[len(got)-1] != r.Errors[len(r.Errors)-1] {
		t.Errorf("got quantiles %v of errors %v", got, r.Errors)
	}
}
