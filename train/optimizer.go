package train

import (
	"maps"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/parallel"
)

// An Optimizer says how gradients change the weights.
type Optimizer string

const (
	// OptimizerAdam is Adam (Kingma and Ba, ICLR 2015, algorithm 1).
	OptimizerAdam Optimizer = "adam"
	// OptimizerAdamW is Adam with decoupled weight decay (Loshchilov and Hutter,
	// Decoupled weight decay regularization, ICLR 2019, algorithm 2).
	OptimizerAdamW Optimizer = "adamw"
	// OptimizerSGD is stochastic gradient descent with momentum, v = µv + g and
	// w = w - lr·v (Sutskever et al., On the importance of initialization and
	// momentum in deep learning, ICML 2013, in the form that torch.optim.SGD has).
	OptimizerSGD Optimizer = "sgd"
)

// Optimizers lists them.
func Optimizers() []Optimizer { return []Optimizer{OptimizerAdam, OptimizerAdamW, OptimizerSGD} }

// update takes step number step (from 1 on) of size lr: it changes the weights
// given, which are of st, moments and average of st in place.
func (s *Settings) update(st *state, weights map[string]*graph.Tensor, grads map[string][]float32, lr float64, step int) {
	if *s.WeightDecay > 0 {
		decay(weights, float32(1-lr**s.WeightDecay))
	}
	if s.Optimizer == OptimizerSGD {
		sgd(weights, grads, st.m, float32(lr), float32(*s.Momentum))
	} else {
		adam(weights, grads, st.m, st.v, lr, step)
	}
	if st.ema != nil {
		average(st.ema, st.weights, s.EMA, step)
	}
}

// decay shrinks the weights but not the biases, which have one dimension.
func decay(weights map[string]*graph.Tensor, keep float32) {
	inParts(weights, func(name string, lo, hi int) {
		if w := weights[name]; len(w.Shape()) > 1 {
			for i := range graph.Data[float32](w)[lo:hi] {
				graph.Data[float32](w)[lo+i] *= keep
			}
		}
	})
}

// inParts calls f for all elements of the weights, side by side on all cores:
// each time for those of one of them from lo on, below hi.
func inParts(weights map[string]*graph.Tensor, f func(name string, lo, hi int)) {
	const size = 1 << 15
	type part struct {
		name   string
		lo, hi int
	}
	var parts []part
	for name, w := range weights {
		for lo := 0; lo < w.Len(); lo += size {
			parts = append(parts, part{name, lo, min(lo+size, w.Len())})
		}
	}
	parallel.Each(len(parts), func(i int) { f(parts[i].name, parts[i].lo, parts[i].hi) })
}

// sgd takes a step of gradient descent with velocities v. Products are rounded by
// themselves, so that no machine fuses them with the sum.
func sgd(weights map[string]*graph.Tensor, grads map[string][]float32, v map[string]*graph.Tensor, lr, momentum float32) {
	inParts(weights, func(name string, lo, hi int) {
		w, v := graph.Data[float32](weights[name])[lo:hi], graph.Data[float32](v[name])[lo:hi]
		for i, g := range grads[name][lo:hi] {
			v[i] = float32(momentum*v[i]) + g
			w[i] -= float32(lr * v[i])
		}
	})
}

// average moves the average toward the weights after step number step (from 1
// on). Its memory grows with the steps up to the decay asked for, so that the
// initial weights are soon forgotten (tf.train.ExponentialMovingAverage, num_updates).
func average(ema, weights map[string]*graph.Tensor, decay float64, step int) {
	keep := float32(min(decay, float64(1+step)/float64(10+step)))
	inParts(weights, func(name string, lo, hi int) {
		e := graph.Data[float32](ema[name])[lo:hi]
		for i, w := range graph.Data[float32](weights[name])[lo:hi] {
			e[i] = float32(keep*e[i]) + float32((1-keep)*w)
		}
	})
}

// clip scales gradients down to the norm limit, if theirs, all together, is
// larger (Pascanu, Mikolov and Bengio, On the difficulty of training recurrent
// neural networks, ICML 2013, algorithm 1), and returns the norm they had. No
// limit is 0.
func clip(grads map[string][]float32, limit float64) float64 {
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(grads)) { // in an order, since sums of floats depend on it
		for _, g := range grads[name] {
			sum += float64(float64(g) * float64(g))
		}
	}
	norm := math.Sqrt(sum)
	if limit > 0 && norm > limit {
		scale := float32(limit / norm)
		for _, g := range grads {
			for i := range g {
				g[i] *= scale
			}
		}
	}
	return norm
}

func clone(weights map[string]*graph.Tensor) map[string]*graph.Tensor {
	c := make(map[string]*graph.Tensor, len(weights))
	for name, w := range weights {
		c[name] = w.Clone()
	}
	return c
}
