package models

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
)

// ssimae is the autoencoder of Bergmann et al., Improving unsupervised defect
// segmentation by applying structural similarity to autoencoders (VISAPP 2019,
// table 1): nine convolutions down to a vector of Latent numbers, nine back, the
// same turned round. Four of them halve the image, and double it, by a stride of
// 2. All but the vector and the image are followed by LeakyRelu of slope 0.2.
//
// What the paper writes as a convolution of the whole 8×8 image, and back, is a
// product of matrices here, of images of other sizes too. The paper's last layer
// is linear; ours ends in a sigmoid, since reconstructions are images.
//
// Convolutions are <layer>.weight [out,in,k,k], those that double the image
// [in,out,4,4] as ConvTranspose has them, <layer>.bias [out]; the two matrices
// are encoder9.weight [Latent,C·h·w] and decoder1.weight [Latent,C·h·w].
type ssimae struct{ base }

// halvings is how often the network halves its images.
const halvings = 4

var ssimaeArchitecture = architecture{
	name: "ssimae",
	defaults: func(s *Spec) {
		s.imageDefaults(128)
		set(&s.Filters, 32)
		set(&s.Depth, halvings)
		set(&s.Latent, 100)
	},
	step: func(*Spec) int { return 1 << halvings },
	validate: func(s *Spec) error {
		switch {
		case s.Depth != halvings:
			return bad("depth", s.Depth, fmt.Sprintf("%d: ssimae has no other", halvings))
		case s.Latent < 1 || s.Latent > 1<<14:
			return bad("latent", s.Latent, fmt.Sprintf("1 to %d", 1<<14))
		}
		return s.validateLevels()
	},
	open: func(s Spec, _ *Resources) (Network, error) { return &ssimae{base{s}}, nil },
}

// A strided layer is a convolution of the network: of kernel 3, which keeps the
// size, or of kernel 4 and stride 2.
type strided struct {
	name       string
	in, out, k int
	transposed bool
}

// layers lists the convolutions before the vector and after it.
func (n *ssimae) layers() (encoder, decoder []strided) {
	f := n.spec.Filters
	in := n.spec.Channels
	for i, l := range []strided{{out: f, k: 4}, {out: f, k: 4}, {out: f, k: 3}, {out: 2 * f, k: 4}, {out: 2 * f, k: 3}, {out: 4 * f, k: 4}, {out: 2 * f, k: 3}, {out: f, k: 3}} {
		l.name, l.in = fmt.Sprintf("encoder%d", i+1), in
		encoder = append(encoder, l)
		in = l.out
	}
	for i := range encoder {
		l := encoder[len(encoder)-1-i]
		decoder = append(decoder, strided{fmt.Sprintf("decoder%d", i+2), l.out, l.in, l.k, l.k == 4})
	}
	return encoder, decoder
}

// bottom returns the size [C,h,w] of the images that the vector is made of.
func (n *ssimae) bottom() (c, h, w int) {
	return n.spec.Filters, n.spec.Height >> halvings, n.spec.Width >> halvings
}

func (n *ssimae) Forward(x *graph.Value) Outputs {
	g := x.Graph()
	const slope = .2
	conv := func(x *graph.Value, l strided) *graph.Value {
		bias := param(g, l.name+".bias", l.out)
		switch {
		case l.k == 3:
			return graph.Conv(x, param(g, l.name+".weight", l.out, l.in, 3, 3), bias, graph.Same(3))
		case l.transposed:
			return graph.ConvTranspose(x, param(g, l.name+".weight", l.in, l.out, 4, 4), bias, halving, 0, 0)
		}
		return graph.Conv(x, param(g, l.name+".weight", l.out, l.in, 4, 4), bias, halving)
	}
	encoder, decoder := n.layers()
	for _, l := range encoder {
		x = graph.LeakyRelu(conv(x, l), slope)
	}
	c, h, w := n.bottom()
	size, latent := c*h*w, n.spec.Latent
	x = graph.Gemm(graph.Reshape(x, 0, size), param(g, "encoder9.weight", latent, size), param(g, "encoder9.bias", latent), &graph.GemmOptions{TransB: true})
	x = graph.Gemm(x, param(g, "decoder1.weight", latent, size), param(g, "decoder1.bias", size), nil)
	x = graph.LeakyRelu(graph.Reshape(x, 0, c, h, w), slope)
	for i, l := range decoder {
		if x = conv(x, l); i < len(decoder)-1 {
			x = graph.LeakyRelu(x, slope)
		}
	}
	return Outputs{Reconstruction: graph.Sigmoid(x)}
}

// halving is how a kernel of 4 halves an image, and turned round doubles it.
var halving = &graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}

func (n *ssimae) Loss(x, target *graph.Value, l residual.Loss) *graph.Value {
	return l.Of(target, n.Forward(x).Reconstruction)
}

func (n *ssimae) Init(seed uint64) map[string]*graph.Tensor {
	weights := map[string]*graph.Tensor{}
	encoder, decoder := n.layers()
	for _, l := range append(encoder, decoder...) {
		name := l.name + ".weight"
		if l.transposed { // of whose 4×4 taps each result is made of 2×2
			weights[name] = heTaps(seed, name, 4*l.in, l.in, l.out, 4, 4)
		} else {
			weights[name] = heTaps(seed, name, l.k*l.k*l.in, l.out, l.in, l.k, l.k)
		}
		weights[l.name+".bias"] = graph.Zeros(graph.Float32, l.out)
	}
	c, h, w := n.bottom()
	size, latent := c*h*w, n.spec.Latent
	weights["encoder9.weight"] = heTaps(seed, "encoder9.weight", size, latent, size)
	weights["encoder9.bias"] = graph.Zeros(graph.Float32, latent)
	weights["decoder1.weight"] = heTaps(seed, "decoder1.weight", latent, latent, size)
	weights["decoder1.bias"] = graph.Zeros(graph.Float32, size)
	return weights
}

func (n *ssimae) Recipe() Recipe {
	return Recipe{
		Map:  residual.Options{Kind: residual.SSIMMap, Blur: 3 * float64(n.spec.Height) / 128},
		Loss: "ssim", Samples: 40000, LearningRate: 1e-3, Optimizer: "adam", Schedule: "trapezoid",
	}
}
