package models

import (
	"github.com/anomaly-go/anomaly/graph"
)

// descent is a network whose reconstruction is the image itself, moved down the
// gradient of what the network within makes of it wrong, so many times:
//
//	E(x) = Σ(x - f(x))² + λ·Σ|x - x₀|
//	x ← clip(x - α·∂E/∂x·(x - f(x))², 0, 1)
//
// from x = x₀ on, sums over an image, the gradient through encoder and decoder
// (Dehaene et al., Iterative energy-based projection on a normal data manifold for
// anomaly localization, ICLR 2020, section 3, equations 4 and 6). Only what the
// network cannot make is changed, so that fine detail, which its own
// reconstruction loses, stays. An image stops where its first sum is no more than
// spec.AEGradStop, whatever others of its batch do.
type descent struct {
	Trainable
	spec Spec
}

// Constants of AE-Grad, for a summed squared error of images in [0,1].
const (
	descentRate = .5  // α
	descentNear = .05 // λ
	mostDescent = 100 // steps: the graph grows with each
)

func (n *descent) Spec() Spec { return n.spec }

func (n *descent) Forward(x0 *graph.Value) Outputs {
	g, x := x0.Graph(), x0
	for range n.spec.AEGrad {
		diff := graph.Sub(x, n.Trainable.Forward(x).Reconstruction)
		squares := graph.Square(diff)
		e := graph.ReduceSum(squares, false)
		d, err := graph.Gradients(e, []*graph.Value{x}, &graph.GradOptions{Custom: map[*graph.Value]graph.CustomVJP{
			// Written out, since no sum over a batch of any size has a gradient.
			e: {X: diff, VJP: func(*graph.Value, bool) *graph.Value { return graph.Mul(diff, g.Scalar(2)) }},
		}})
		if err != nil {
			return Outputs{Reconstruction: x} // the graph has the error
		}
		slope := graph.Add(d[0], graph.Mul(graph.Sign(graph.Sub(x, x0)), g.Scalar(descentNear)))
		moved := graph.Clip(graph.Sub(x, graph.Mul(graph.Mul(slope, g.Scalar(descentRate)), squares)), 0, 1)
		if stop := n.spec.AEGradStop; stop > 0 {
			moved = graph.Where(graph.Greater(graph.ReduceSum(squares, true, 1, 2, 3), g.Scalar(stop)), moved, x)
		}
		x = moved
	}
	return Outputs{Reconstruction: x}
}
