package models

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/anomaly-go/anomaly/graph"
)

// he returns initial weights [out,in,kh,kw] of a convolution before Relu, of whose
// results each is made of fan channels. They depend on the seed and the
// parameter's name alone.
//
// They are normal with variance 2/(kh·kw·fan); biases are zero (He, Zhang, Ren and
// Sun, Delving deep into rectifiers, ICCV 2015, equation 10), which keeps the
// size of signals through the layers. Smaller weights, such as PyTorch's default,
// lose a constant factor at every layer, and training stands still for
// hundreds of steps until they have grown.
func he(seed uint64, name string, fan, out, in, kh, kw int) *graph.Tensor {
	return heTaps(seed, name, kh*kw*fan, out, in, kh, kw)
}

// heTaps is [he] for weights of any shape, of whose results each is a sum of so
// many products.
func heTaps(seed uint64, name string, taps int, shape ...int) *graph.Tensor {
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	deviation := math.Sqrt(2 / float64(taps))
	w := make([]float32, graph.Elements(shape))
	for i := range w {
		w[i] = float32(rng.NormFloat64() * deviation)
	}
	return graph.NewTensor(w, shape...)
}
