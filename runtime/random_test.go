package runtime

import (
	"fmt"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/randgraph"
)

const (
	randomGraphs = 60
	randomSteps  = 8
	// randomTol is relative to max(1, |want|): each of the steps, and of those of
	// the gradient, rounds sums of up to a few hundred terms to float32.
	randomTol = 1e-4
)

// TestProvidersAgreeOnRandomGraphs runs every operator and its gradient, as they
// happen to be composed, on ONNX Runtime and in Go.
func TestProvidersAgreeOnRandomGraphs(t *testing.T) {
	needProvider(t, CPU)
	for seed := range uint64(randomGraphs) {
		r := randgraph.New(seed, randomSteps, 1+int(seed%3), false)
		grads, err := graph.Gradients(r.Loss, r.Leaves, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range append(r.Values, grads...) {
			r.Output(fmt.Sprint("out", i), v)
		}
		b := marshal(t, r.Graph, nil)
		var results []map[string]*graph.Tensor
		for _, p := range []Provider{Go, CPU} {
			s, err := OpenSession(b, &SessionOptions{Provider: p, Threads: 1})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			feeds := map[string]*graph.Tensor{}
			for _, in := range s.Inputs() {
				feeds[in.Name] = r.Feeds[in.Name]
			}
			out, err := s.Run(t.Context(), feeds)
			if err != nil {
				t.Fatalf("seed %d, provider %s: %v", seed, p, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			results = append(results, out)
		}
		for name, x := range results[0] {
			got, want := graph.Data[float32](results[1][name]), graph.Data[float32](x)
			for j, w := range want {
				if d := math.Abs(float64(got[j]) - float64(w)); !(d <= randomTol*max(1, math.Abs(float64(w)))) {
					t.Errorf("seed %d, %s, element %d: %s %v, %s %v", seed, name, j, CPU, got[j], Go, w)
					break
				}
			}
		}
	}
}
