package models

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
)

// dcae is the deep convolutional autoencoder the project began with: Depth
// convolutions with max-pooling down, as many after nearest upsampling back, one
// to the image's channels. Its parameters are <layer>.weight [out,in,3,3] and
// <layer>.bias [out].
type dcae struct{ base }

var dcaeArchitecture = architecture{
	name: "dcae",
	step: func(s *Spec) int { return s.levelStep(3) },
	defaults: func(s *Spec) {
		s.imageDefaults(128)
		set(&s.Filters, 32)
		set(&s.Depth, 3)
	},
	validate: (*Spec).validateLevels,
	open:     func(s Spec, _ *Resources) (Network, error) { return &dcae{base{s}}, nil },
}

// A layer is one 3×3 convolution of the network, of stride 1, keeping the size.
type layer struct {
	name    string
	in, out int
}

// layers lists the convolutions in the order in which they run.
func (n *dcae) layers() []layer {
	var ls []layer
	in := n.spec.Channels
	for i := range n.spec.Depth {
		ls = append(ls, layer{fmt.Sprintf("encoder%d", i+1), in, n.spec.Filters})
		in = n.spec.Filters
	}
	for i := range n.spec.Depth {
		ls = append(ls, layer{fmt.Sprintf("decoder%d", i+1), n.spec.Filters, n.spec.Filters})
	}
	return append(ls, layer{"output", n.spec.Filters, n.spec.Channels})
}

func (n *dcae) Forward(x *graph.Value) Outputs {
	g := x.Graph()
	layers := n.layers()
	conv := func(x *graph.Value) *graph.Value {
		l := layers[0]
		layers = layers[1:]
		return graph.Conv(x, param(g, l.name+".weight", l.out, l.in, 3, 3), param(g, l.name+".bias", l.out), graph.Same(3))
	}
	for range n.spec.Depth {
		x = graph.MaxPool(graph.Relu(conv(x)), 2, 2, nil)
	}
	for range n.spec.Depth {
		x = graph.UpsampleNearest(graph.Relu(conv(x)), 2, 2)
	}
	return Outputs{Reconstruction: graph.Sigmoid(conv(x))}
}

func (n *dcae) Loss(x, target *graph.Value, l residual.Loss) *graph.Value {
	return l.Of(target, n.Forward(x).Reconstruction)
}

func (n *dcae) Init(seed uint64) map[string]*graph.Tensor {
	weights := map[string]*graph.Tensor{}
	for _, l := range n.layers() {
		weights[l.name+".weight"] = he(seed, l.name+".weight", l.in, l.out, l.in, 3, 3)
		weights[l.name+".bias"] = graph.Zeros(graph.Float32, l.out)
	}
	return weights
}

// Recipe is the article's, with a loss that sees structure.
func (n *dcae) Recipe() Recipe {
	return Recipe{
		Map:  residual.Options{Kind: residual.SSIMMap, Blur: 3 * float64(n.spec.Height) / 128},
		Loss: "ssim", Epochs: 50, LearningRate: 2e-3, Optimizer: "adam", Schedule: "trapezoid",
	}
}
