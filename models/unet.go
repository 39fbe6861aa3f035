package models

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
)

// unet is a U-Net (Ronneberger, Fischer and Brox, MICCAI 2015) that is trained to
// make of images with structured corruption the clean ones. Each level has two
// 3×3 convolutions with Relu down, at Filters channels doubled with each of Depth
// halvings up to eight times as many, and two up. It has no normalisation: He's
// initial weights keep signals in size, a training step costs little more than
// half of one with batch normalisation, and images of a batch do not depend on
// each other.
//
// The first convolution up reads the level below, upsampled, and its own level
// down. It is written as the sum of two, <level>.below and <level>.skip, which is
// what a convolution of both concatenated is.
type unet struct{ base }

var unetArchitecture = architecture{
	name: "unet",
	step: func(s *Spec) int { return s.levelStep(4) },
	defaults: func(s *Spec) {
		s.imageDefaults(128)
		set(&s.Filters, 16)
		set(&s.Passes, 1)
		if s.Depth == 0 { // as deep as leaves images of 8 by 8 pixels
			s.Depth = 1
			for s.Depth < 5 && (s.Height|s.Width)%(1<<(s.Depth+1)) == 0 && min(s.Height, s.Width)>>(s.Depth+1) >= 8 {
				s.Depth++
			}
		}
	},
	validate: func(s *Spec) error {
		if s.Passes < 1 || s.Passes > mostPasses {
			return bad("passes", s.Passes, fmt.Sprintf("1 to %d", mostPasses))
		}
		return s.validateLevels()
	},
	open: func(s Spec, _ *Resources) (Network, error) { return &unet{base{s}}, nil },
}

// mostPasses bounds the graph, which grows with each.
const mostPasses = 16

// widths returns the channels of each level, the image's size first.
func (n *unet) widths() []int {
	ws := make([]int, n.spec.Depth+1)
	for i := range ws {
		ws[i] = n.spec.Filters << min(i, 3)
	}
	return ws
}

// A convolution of the network keeps the size; fan is how many channels make its
// results, those of another convolution that is added included.
type convolution struct {
	name             string
	in, out, k, fan  int
	bias, activation bool
}

// convolutions lists them by name.
func (n *unet) convolutions() map[string]convolution {
	list := map[string]convolution{}
	add := func(c convolution) {
		if c.fan == 0 {
			c.fan = c.in
		}
		list[c.name] = c
	}
	in, ws := n.spec.Channels, n.widths()
	for i, w := range ws {
		add(convolution{name: fmt.Sprintf("down%d.a", i), in: in, out: w, k: 3, bias: true, activation: true})
		add(convolution{name: fmt.Sprintf("down%d.b", i), in: w, out: w, k: 3, bias: true, activation: true})
		in = w
	}
	for i, w := range ws[:len(ws)-1] {
		below := ws[i+1]
		add(convolution{name: fmt.Sprintf("up%d.below", i), in: below, out: w, k: 3, fan: below + w, bias: true})
		add(convolution{name: fmt.Sprintf("up%d.skip", i), in: w, out: w, k: 3, fan: below + w})
		add(convolution{name: fmt.Sprintf("up%d.b", i), in: w, out: w, k: 3, bias: true, activation: true})
	}
	add(convolution{name: "output", in: ws[0], out: n.spec.Channels, k: 1, bias: true})
	return list
}

// Forward takes the image through the network spec.Passes times: each pass makes a
// part of what is left of a defect good, large ones above all.
func (n *unet) Forward(x *graph.Value) Outputs {
	for range n.spec.Passes {
		x = n.pass(x)
	}
	return Outputs{Reconstruction: x}
}

func (n *unet) pass(x *graph.Value) *graph.Value {
	g, list := x.Graph(), n.convolutions()
	conv := func(x *graph.Value, format string, level ...any) *graph.Value {
		c := list[fmt.Sprintf(format, level...)]
		var bias *graph.Value
		if c.bias {
			bias = param(g, c.name+".bias", c.out)
		}
		y := graph.Conv(x, param(g, c.name+".weight", c.out, c.in, c.k, c.k), bias, graph.Same(c.k))
		if c.activation {
			y = graph.Relu(y)
		}
		return y
	}
	levels := make([]*graph.Value, n.spec.Depth+1)
	for i := range levels {
		if i > 0 {
			x = graph.MaxPool(x, 2, 2, nil)
		}
		x = conv(conv(x, "down%d.a", i), "down%d.b", i)
		levels[i] = x
	}
	for i := n.spec.Depth - 1; i >= 0; i-- {
		x = graph.Relu(graph.Add(conv(graph.UpsampleNearest(x, 2, 2), "up%d.below", i), conv(levels[i], "up%d.skip", i)))
		x = conv(x, "up%d.b", i)
	}
	return graph.Sigmoid(conv(x, "output"))
}

func (n *unet) Loss(x, target *graph.Value, l residual.Loss) *graph.Value {
	return l.Of(target, n.pass(x))
}

func (n *unet) Init(seed uint64) map[string]*graph.Tensor {
	weights := map[string]*graph.Tensor{}
	for _, c := range n.convolutions() {
		weights[c.name+".weight"] = he(seed, c.name+".weight", c.fan, c.out, c.in, c.k, c.k)
		if c.bias {
			weights[c.name+".bias"] = graph.Zeros(graph.Float32, c.out)
		}
	}
	return weights
}

func (n *unet) Recipe() Recipe {
	return Recipe{
		Map:  residual.Options{Kind: residual.SSIMMap, Blur: 3 * float64(n.spec.Height) / 256},
		Loss: "mse:10+ssim", Samples: 24000, Batch: 2, LearningRate: 1e-3, Clip: 1, Optimizer: "adamw", Schedule: "onecycle", Corruption: "structured",
	}
}
