package models

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/normality"
	"github.com/anomaly-go/anomaly/residual"
)

// features compares what a pretrained backbone makes of an image with what it
// makes of good ones: the sum of two distances for each place of a grid of 8×8
// pixels, from a Gaussian of that place and from the nearest feature of any
// place (package normality). Its levels do so at several sizes of the image, and
// are added.
type features struct {
	base
	backbone EfficientNet
	weights  map[string]*graph.Tensor // of the backbone
}

const (
	cell  = 8  // pixels on each side of a place
	align = 16 // what the image's sides are multiples of: the coarsest tap's stride

	// ridge is what the covariance of EfficientNet's features, of a variance of
	// about 1 to 10 within places, is regularised by.
	ridge = 1
	// Twice as many features of a third more components find no more, and double the time of the comparison.
	coreset    = 1000
	components = 48
	// smoothing of the map, in places: half of the smallest defect that a place can show.
	smoothing = .75

	// mostDirections bounds the file: numbers of all places' directions.
	mostDirections = 11_000_000
	// mostFeatures bounds the memory of a fit: numbers of all images' features.
	mostFeatures = 1 << 28
)

var featuresArchitecture = architecture{
	name:  "features",
	least: LeastFeatures,
	step:  func(*Spec) int { return align },
	defaults: func(s *Spec) {
		s.Backbone = cmp.Or(s.Backbone, string(Lite0))
		s.imageDefaults(384)
		set(&s.Scales, 1)
		set(&s.Rank, 20)
	},
	validate: func(s *Spec) error {
		known := false
		for _, e := range EfficientNets() {
			known = known || s.Backbone == string(e)
		}
		switch {
		case !known:
			return bad("backbone", fmt.Sprintf("%q", s.Backbone), fmt.Sprintf("one of %q", EfficientNets()))
		case s.Channels != 1 && s.Channels != 3:
			return bad("channels", s.Channels, "1 or 3")
		case s.Height < LeastFeatures || s.Height%align != 0 || s.Height > 2048:
			return bad("height", s.Height, fmt.Sprintf("a multiple of %d from %d to 2048", align, LeastFeatures))
		case s.Width < LeastFeatures || s.Width%align != 0 || s.Width > 2048:
			return bad("width", s.Width, fmt.Sprintf("a multiple of %d from %d to 2048", align, LeastFeatures))
		case s.Scales < 1 || s.Scales > 3:
			return bad("scales", s.Scales, "1 to 3")
		case s.Rank < -1 || s.Rank > 64:
			return bad("rank", s.Rank, "-1 to 64")
		}
		return nil
	},
	open: func(s Spec, r *Resources) (Network, error) {
		n := &features{base: base{s}, backbone: EfficientNet(s.Backbone), weights: map[string]*graph.Tensor{}}
		g := graph.New("backbone")
		n.backbone.Features(g.Input("x", graph.Float32, 1, 3, align, align), n.backbone.Taps())
		for _, p := range g.Params() {
			w := r.Weights[p.Name()]
			if w == nil {
				return nil, fmt.Errorf("%w: %s: weights: got none of %s, want those of %s", ErrSpec, s.Model, p.Name(), s.Backbone)
			}
			n.weights[p.Name()] = w
		}
		return n, g.Err()
	},
}

// LeastFeatures is the shortest side of an image, in pixels, for the network features.
const LeastFeatures = 64

// featureSide returns the side, in pixels, that images of the network features
// can have and that is nearest to the one given.
func featureSide(side float64) int { return max(LeastFeatures, int(math.Round(side/align))*align) }

// A level is the image at one size.
type level struct {
	height, width int // pixels
	rank          int
}

func (l level) places() int { return l.height / cell * (l.width / cell) }

// levels lists the sizes, the largest first, each two thirds of the one before.
func (n *features) levels() []level {
	var out []level
	places := 0
	for i := range n.spec.Scales {
		scaled := func(side int) int { return featureSide(float64(side) * math.Pow(2./3, float64(i))) }
		out = append(out, level{height: scaled(n.spec.Height), width: scaled(n.spec.Width)})
		places += out[i].places()
	}
	for i := range out {
		out[i].rank = max(0, min(n.spec.Rank, mostDirections/(places*n.channels())))
	}
	return out
}

// channels is the number of features of a place.
func (n *features) channels() int {
	blocks, sum := n.backbone.blocks(), 0
	for _, tap := range n.backbone.Taps() {
		sum += blocks[tap].out
	}
	return sum
}

func (n *features) Init(uint64) map[string]*graph.Tensor { return n.copied() }

func (n *features) copied() map[string]*graph.Tensor {
	weights := map[string]*graph.Tensor{}
	for name, w := range n.weights {
		weights[name] = w
	}
	return weights
}

func (n *features) Recipe() Recipe {
	return Recipe{Map: residual.Options{Kind: residual.NetworkMap}}
}

func (n *features) Forward(x *graph.Value) Outputs { return n.Head(n.Features(x)) }

// Features returns the features [N,P,C] of all levels' places, row by row, the
// finest level first.
func (n *features) Features(x *graph.Value) *graph.Value {
	if n.spec.Channels == 1 {
		x = graph.Concat(1, x, x, x)
	}
	var levels []*graph.Value
	for _, l := range n.levels() {
		image := x
		if l.height != n.spec.Height || l.width != n.spec.Width {
			image = graph.ResizeLinear(x, l.height, l.width, nil)
		}
		h, w := l.height/cell, l.width/cell
		var taps []*graph.Value
		for _, f := range n.backbone.Features(image, n.backbone.Taps()) {
			// Zeros count: at the image's border, where a backbone sees nothing beyond,
			// features vary most and would make most of the false alarms.
			f = graph.Pad(f, "constant", []int{0, 0, 1, 1}, []int{0, 0, 1, 1})
			f = graph.AveragePool(f, 3, 3, &graph.PoolOptions{Strides: [2]int{1, 1}})
			switch {
			case f.Dim(2) == 2*h:
				f = graph.AveragePool(f, 2, 2, nil)
			case f.Dim(2) != h:
				f = graph.ResizeLinear(f, h, w, nil)
			}
			taps = append(taps, f)
		}
		levels = append(levels, graph.Transpose(graph.Reshape(graph.Concat(1, taps...), 0, n.channels(), h*w), 0, 2, 1))
	}
	if len(levels) == 1 {
		return levels[0]
	}
	return graph.Concat(1, levels...)
}

func (n *features) Head(f *graph.Value) Outputs {
	g, first := f.Graph(), 0
	var sum *graph.Value
	levels := n.levels()
	for i, l := range levels {
		places, h, w := l.places(), l.height/cell, l.width/cell
		m := n.distance(graph.SliceAxis(f, 1, first, first+places, 1), i, l)
		first += places
		m = graph.Reshape(m, 0, 1, h, w)
		if i == 0 {
			sum = m
		} else {
			sum = graph.Add(sum, graph.ResizeLinear(m, levels[0].height/cell, levels[0].width/cell, nil))
		}
	}
	sum = graph.Mul(sum, g.Scalar(1/float64(len(levels))))
	return Outputs{Map: residual.Smooth(sum, &residual.Options{Blur: smoothing})}
}

// distance returns the sum [N,P] of the weighted distances of a level's features [N,P,C].
func (n *features) distance(f *graph.Value, i int, l level) *graph.Value {
	g, places, channels := f.Graph(), l.places(), n.channels()
	param := func(name string, shape ...int) *graph.Value { return g.Param(n.param(i, name), shape...) }
	root := func(x *graph.Value) *graph.Value { return graph.Sqrt(graph.Max(x, g.Scalar(1e-12))) }

	y := graph.Sub(f, param("mean", places, channels))
	square := graph.ReduceSum(graph.Square(graph.MatMul(y, param("white", channels, channels))), false, 2)
	square = graph.Mul(square, param("scale", places))
	if l.rank > 0 {
		along := graph.MatMul(graph.Transpose(y, 1, 0, 2), param("directions", places, channels, l.rank)) // [P,N,rank]
		square = graph.Sub(square, graph.Transpose(graph.ReduceSum(graph.Square(along), false, 2), 1, 0))
	}
	gaussian := graph.Mul(root(square), param("weight.gaussian", 1))

	z := graph.Add(graph.MatMul(f, param("project", channels, components+1)), param("offset", components+1))
	closest := graph.ReduceMax(graph.MatMul(z, param("coreset", components+1, coreset)), false, 2)
	square = graph.Sub(graph.Sub(graph.ReduceSum(graph.Square(z), false, 2), g.Scalar(1)), closest)
	return graph.Add(gaussian, graph.Mul(root(square), param("weight.nearest", 1)))
}

// param names a parameter of a level's normality model.
func (n *features) param(level int, name string) string {
	return fmt.Sprintf("normality.%d.%s", level, name)
}

func (n *features) NewFit(images int, seed uint64) (Fit, error) {
	places := 0
	for _, l := range n.levels() {
		places += l.places()
	}
	size := places * n.channels()
	if images < 2 {
		return nil, fmt.Errorf("models: features: got %d images, want two or more", images)
	}
	// Of very many images an even share says the same.
	return &featuresFit{net: n, seed: seed, size: size, step: max(1, (images*size+mostFeatures-1)/mostFeatures)}, nil
}

type featuresFit struct {
	net        *features
	seed       uint64
	size, step int
	seen       int
	images     [][]float32
	choices    []Choice
}

func (f *featuresFit) Choices() []Choice { return f.choices }

func (*featuresFit) Passes() int { return 1 }

func (f *featuresFit) Add(x []float32) error {
	if len(x) != f.size {
		return fmt.Errorf("models: features: got %d features of an image, want %d", len(x), f.size)
	}
	if f.seen%f.step == 0 {
		f.images = append(f.images, append([]float32(nil), x...))
	}
	f.seen++
	return nil
}

func (f *featuresFit) Solve(ctx context.Context) (map[string]*graph.Tensor, error) {
	n, first := f.net, 0
	weights := map[string]*graph.Tensor{}
	for i, l := range n.levels() {
		places, channels := l.places(), n.channels()
		var x [][]float32
		for _, image := range f.images {
			x = append(x, image[first*channels:(first+places)*channels])
		}
		first += places
		m, err := normality.Fit(ctx, x, normality.Options{
			Places: places, Channels: channels, Rank: l.rank, Ridge: ridge, Coreset: coreset, Dims: components, Seed: f.seed,
		})
		if err != nil {
			return nil, err
		}
		if len(m.Trials) > 0 {
			choice := Choice{
				Of:      fmt.Sprintf("share of the common covariance in each place's own at %dx%d", l.width, l.height),
				Measure: "mean log-likelihood of images left out", Taken: fmt.Sprint(m.Shrinkage),
			}
			for _, t := range m.Trials {
				choice.Trials = append(choice.Trials, Trial{fmt.Sprint(t.Shrinkage), t.Likelihood})
			}
			f.choices = append(f.choices, choice)
		}
		put := func(name string, data []float32, shape ...int) {
			weights[n.param(i, name)] = graph.NewTensor(data, shape...)
		}
		put("mean", m.Mean, places, channels)
		put("white", m.White, channels, channels)
		put("scale", m.Scale, places)
		if l.rank > 0 {
			put("directions", m.Directions, places, channels, l.rank)
		}
		put("project", m.Project, channels, components+1)
		put("offset", m.Offset, components+1)
		put("coreset", m.Coreset, components+1, coreset)
		put("weight.gaussian", m.Weights[:1], 1)
		put("weight.nearest", m.Weights[1:], 1)
	}
	return weights, nil
}
