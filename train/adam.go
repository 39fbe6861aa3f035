package train

import (
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// Constants of Adam (Kingma and Ba, Adam: a method for stochastic optimization,
// ICLR 2015, algorithm 1).
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// adam takes step number step (from 1 on) of size lr: it changes weights and
// the moments m and v in place.
func adam(weights map[string]*graph.Tensor, grads map[string][]float32, m, v map[string]*graph.Tensor, lr float64, step int) {
	lr *= math.Sqrt(1-math.Pow(beta2, float64(step))) / (1 - math.Pow(beta1, float64(step)))
	eps := epsilon * math.Sqrt(1-math.Pow(beta2, float64(step)))
	inParts(weights, func(name string, lo, hi int) {
		w, g := graph.Data[float32](weights[name])[lo:hi], grads[name][lo:hi]
		m, v := graph.Data[float32](m[name])[lo:hi], graph.Data[float32](v[name])[lo:hi]
		for i, g := range g {
			// Products are rounded by themselves, so that no machine fuses them with the sum.
			mi := float32(beta1*m[i]) + float32((1-beta1)*g)
			vi := float32(beta2*v[i]) + float32((1-beta2)*float32(g*g))
			m[i], v[i] = mi, vi
			w[i] -= float32(lr * float64(mi) / (math.Sqrt(float64(vi)) + eps))
		}
	})
}

func zerosLike(weights map[string]*graph.Tensor) map[string]*graph.Tensor {
	z := make(map[string]*graph.Tensor, len(weights))
	for name, w := range weights {
		z[name] = graph.Zeros(graph.Float32, w.Shape()...)
	}
	return z
}
