package models

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
)

// An EfficientNet is a network trained on ImageNet, whose first blocks serve as
// features: EfficientNet-Lite (Tan and Le, EfficientNet: Rethinking model scaling
// for convolutional neural networks, ICML 2019; the lite ones have no
// squeeze-and-excitation and ReLU6 for swish).
type EfficientNet string

// Networks there are weights of.
const (
	Lite0 EfficientNet = "efficientnet-lite0"
	Lite2 EfficientNet = "efficientnet-lite2"
)

// EfficientNets lists the networks there are.
func EfficientNets() []EfficientNet { return []EfficientNet{Lite0, Lite2} }

// An mbconv is an inverted bottleneck: expanded by a 1×1 convolution, filtered
// channel by channel, projected by another; added to its input where both are alike.
type mbconv struct {
	kernel, stride, expand, in, out int
}

// stem is the number of channels of the convolution before the blocks.
const stem = 32

// blocks lists the network's inverted bottlenecks.
func (e EfficientNet) blocks() []mbconv {
	width, depth := 1.0, 1.0
	if e == Lite2 {
		width, depth = 1.1, 1.2
	}
	// Channels are scaled to multiples of 8, not below nine tenths.
	scaled := func(channels int) int {
		c := float64(channels) * width
		rounded := max(8, int(c+4)/8*8)
		if float64(rounded) < .9*c {
			rounded += 8
		}
		return rounded
	}
	stages := []struct{ repeat, kernel, stride, expand, out int }{
		{1, 3, 1, 1, 16}, {2, 3, 2, 6, 24}, {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320},
	}
	in := stem
	var out []mbconv
	for i, s := range stages {
		repeat := int(math.Ceil(float64(s.repeat) * depth))
		if i == 0 || i == len(stages)-1 {
			repeat = s.repeat // first and last are not scaled in depth
		}
		for j := range repeat {
			b := mbconv{s.kernel, s.stride, s.expand, in, scaled(s.out)}
			if j > 0 {
				b.stride = 1
			}
			out = append(out, b)
			in = b.out
		}
	}
	return out
}

// Taps are the blocks, from 0, whose outputs serve as features by default: the
// last of strides 4, 8 and 16.
func (e EfficientNet) Taps() []int {
	var taps []int
	stride := 2
	blocks := e.blocks()
	for i, b := range blocks {
		stride *= b.stride
		last := i+1 == len(blocks) || blocks[i+1].stride > 1
		if last && stride >= 4 && stride <= 16 {
			taps = append(taps, i)
		}
	}
	return taps
}

// Features appends the network to x's graph, up to the last of the blocks taps,
// ascending: from images [N,3,H,W] in [0,1] to the outputs [N,C,h,w] of those
// blocks. It declares the parameters that [EfficientNet.Weights] has.
func (e EfficientNet) Features(x *graph.Value, taps []int) []*graph.Value {
	g := x.Graph()
	// The network was trained on (p-127)/128, p being 0 to 255.
	x = graph.Sub(graph.Mul(x, g.Scalar(255./128)), g.Scalar(127./128))
	relu6 := func(x *graph.Value) *graph.Value { return graph.Clip(x, 0, 6) }
	conv := func(x *graph.Value, name string, out, kernel, stride, groups int) *graph.Value {
		w := param(g, name+".weight", out, x.Dim(1)/groups, kernel, kernel)
		return graph.Conv(x, w, param(g, name+".bias", out), &graph.ConvOptions{
			Pads: same(x.Dim(2), x.Dim(3), kernel, stride), Strides: [2]int{stride, stride}, Groups: groups,
		})
	}
	var out []*graph.Value
	x = relu6(conv(x, "backbone.stem", stem, 3, 2, 1))
	for i, b := range e.blocks() {
		if len(out) == len(taps) {
			break
		}
		name := fmt.Sprintf("backbone.block%d.", i)
		y, wide := x, b.in*b.expand
		if b.expand != 1 {
			y = relu6(conv(y, name+"expand", wide, 1, 1, 1))
		}
		y = relu6(conv(y, name+"depthwise", wide, b.kernel, b.stride, wide))
		y = conv(y, name+"project", b.out, 1, 1, 1)
		if b.stride == 1 && b.in == b.out {
			y = graph.Add(y, x)
		}
		x = y
		if i == taps[len(out)] {
			out = append(out, x)
		}
	}
	return out
}

// param declares a parameter, once for all images that the network is applied to.
func param(g *graph.Graph, name string, shape ...int) *graph.Value {
	if v := g.Lookup(name); v != nil {
		return v
	}
	return g.Param(name, shape...)
}

// same returns the padding that TensorFlow's SAME has: the odd pixel comes last.
func same(height, width, kernel, stride int) [4]int {
	var pads [4]int
	for i, n := range []int{height, width} {
		total := max(((n+stride-1)/stride-1)*stride+kernel-n, 0)
		pads[i], pads[i+2] = total/2, total-total/2
	}
	return pads
}

// Weights returns the parameters of Features from the state dict of the network's
// PyTorch package, each batch normalisation folded into the convolution before it.
func (e EfficientNet) Weights(state map[string]*graph.Tensor, taps []int) (map[string]*graph.Tensor, error) {
	weights := map[string]*graph.Tensor{}
	fold := func(to, conv, norm string) error {
		w := state[conv+".weight"]
		var of [4][]float32 // scale, bias, mean, variance
		for i, name := range []string{"weight", "bias", "running_mean", "running_var"} {
			t := state[norm+"."+name]
			if w == nil || t == nil || len(w.Shape()) != 4 || t.Len() != w.Shape()[0] {
				return fmt.Errorf("%w: %s: state dict without convolution %s and normalisation %s alike", ErrSpec, e, conv, norm)
			}
			of[i] = graph.Data[float32](t)
		}
		const epsilon = 1e-3
		n := w.Shape()[0]
		from, folded, bias := graph.Data[float32](w), make([]float32, w.Len()), make([]float32, n)
		for o := range n {
			scale := float64(of[0][o]) / math.Sqrt(float64(of[3][o])+epsilon)
			bias[o] = float32(float64(of[1][o]) - float64(of[2][o])*scale)
			for i := o * w.Len() / n; i < (o+1)*w.Len()/n; i++ {
				folded[i] = float32(float64(from[i]) * scale)
			}
		}
		weights[to+".weight"], weights[to+".bias"] = graph.NewTensor(folded, w.Shape()...), graph.NewTensor(bias, n)
		return nil
	}
	if err := fold("backbone.stem", "_conv_stem", "_bn0"); err != nil {
		return nil, err
	}
	for i, b := range e.blocks()[:taps[len(taps)-1]+1] {
		to, from := fmt.Sprintf("backbone.block%d.", i), fmt.Sprintf("_blocks.%d.", i)
		layers := [][3]string{{"expand", "_expand_conv", "_bn0"}, {"depthwise", "_depthwise_conv", "_bn1"}, {"project", "_project_conv", "_bn2"}}
		if b.expand == 1 {
			layers = layers[1:]
		}
		for _, l := range layers {
			if err := fold(to+l[0], from+l[1], from+l[2]); err != nil {
				return nil, err
			}
		}
	}
	return weights, nil
}
