package models

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/anomaly-go/anomaly/graph"
)

// ErrSpec is wrapped by errors about a Spec.
var ErrSpec = errors.New("models")

// A Spec names an architecture and its options. Zero fields have the defaults given.
type Spec struct {
	Model    string `json:"model"`    // "dcae" (default)
	Channels int    `json:"channels"` // of the image: 1 or 3 (default)
	Height   int    `json:"height"`   // of the image in pixels, default 128; a multiple of 2^Depth
	Width    int    `json:"width"`    // of the image in pixels, default Height
	Filters  int    `json:"filters"`  // output channels of each hidden convolution, default 32
	Depth    int    `json:"depth"`    // how often the image is halved, default 3
}

// Names lists the architectures there are.
func Names() []string { return []string{"dcae"} }

// WithDefaults returns the spec with its zero fields set.
func (s Spec) WithDefaults() Spec {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	if s.Model == "" {
		s.Model = "dcae"
	}
	def(&s.Channels, 3)
	def(&s.Height, 128)
	def(&s.Width, s.Height)
	def(&s.Filters, 32)
	def(&s.Depth, 3)
	return s
}

// Validate reports what is wrong with the spec, its defaults set.
func (s Spec) Validate() error {
	s = s.WithDefaults()
	bad := func(what string, got any, want string) error {
		return fmt.Errorf("%w: %s: got %v, want %s", ErrSpec, what, got, want)
	}
	switch step := 1 << min(max(s.Depth, 0), 16); {
	case s.Model != "dcae":
		return bad("model", fmt.Sprintf("%q", s.Model), fmt.Sprintf("one of %q", Names()))
	case s.Channels != 1 && s.Channels != 3:
		return bad("channels", s.Channels, "1 or 3")
	case s.Depth < 1 || s.Depth > 8:
		return bad("depth", s.Depth, "1 to 8")
	case s.Filters < 1 || s.Filters > 1024:
		return bad("filters", s.Filters, "1 to 1024")
	case s.Height < step || s.Height%step != 0 || s.Height > 1<<14:
		return bad("height", s.Height, fmt.Sprintf("a multiple of %d up to %d", step, 1<<14))
	case s.Width < step || s.Width%step != 0 || s.Width > 1<<14:
		return bad("width", s.Width, fmt.Sprintf("a multiple of %d up to %d", step, 1<<14))
	}
	return nil
}

// InputSize returns the channels, height and width of the network's images.
func (s Spec) InputSize() (channels, height, width int) {
	s = s.WithDefaults()
	return s.Channels, s.Height, s.Width
}

// A layer is one 3×3 convolution of the network, of stride 1, keeping the size.
type layer struct {
	name    string
	in, out int
}

// layers lists the convolutions in the order in which they run.
func (s Spec) layers() []layer {
	var ls []layer
	in := s.Channels
	for i := range s.Depth {
		ls = append(ls, layer{fmt.Sprintf("encoder%d", i+1), in, s.Filters})
		in = s.Filters
	}
	for i := range s.Depth {
		ls = append(ls, layer{fmt.Sprintf("decoder%d", i+1), s.Filters, s.Filters})
	}
	return append(ls, layer{"output", s.Filters, s.Channels})
}

// Forward appends the network to x's graph: images x [N,C,H,W] in [0,1] to
// reconstructions of the same shape and range. It declares the parameters
// <layer>.weight [out,in,3,3] and <layer>.bias [out].
func (s Spec) Forward(x *graph.Value) *graph.Value {
	s = s.WithDefaults()
	g := x.Graph()
	layers := s.layers()
	conv := func(x *graph.Value) *graph.Value {
		l := layers[0]
		layers = layers[1:]
		return graph.Conv(x, g.Param(l.name+".weight", l.out, l.in, 3, 3), g.Param(l.name+".bias", l.out), graph.Same(3))
	}
	for range s.Depth {
		x = graph.MaxPool(graph.Relu(conv(x)), 2, 2, nil)
	}
	for range s.Depth {
		x = graph.UpsampleNearest(graph.Relu(conv(x)), 2, 2)
	}
	return graph.Sigmoid(conv(x))
}

// Init returns initial weights, by parameter name. Equal seeds give equal
// weights; a parameter's values depend on the seed and its name alone.
//
// Weights are normal with variance 2/fan_in, biases zero (He, Zhang, Ren and
// Sun, Delving deep into rectifiers, ICCV 2015, equation 10), which keeps the
// size of signals through the layers. Smaller weights, such as PyTorch's default,
// lose a constant factor at every layer, and training stands still for
// hundreds of steps until they have grown.
func (s Spec) Init(seed uint64) map[string]*graph.Tensor {
	s = s.WithDefaults()
	weights := map[string]*graph.Tensor{}
	for _, l := range s.layers() {
		name := l.name + ".weight"
		h := fnv.New64a()
		h.Write([]byte(name))
		rng := rand.New(rand.NewPCG(seed, h.Sum64()))
		deviation := math.Sqrt(2 / float64(9*l.in))
		w := make([]float32, l.out*l.in*9)
		for i := range w {
			w[i] = float32(rng.NormFloat64() * deviation)
		}
		weights[name] = graph.NewTensor(w, l.out, l.in, 3, 3)
		weights[l.name+".bias"] = graph.Zeros(graph.Float32, l.out)
	}
	return weights
}
