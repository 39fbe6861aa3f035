package models

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

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
	taps    []int                    // channels of the backbone's features
	graphs  []*graph.Graph           // of a backbone of a file, by level; nil of an EfficientNet
	weights map[string]*graph.Tensor // of the backbone
	unmixed map[int]bool             // levels whose Gaussians have features as they are
}

const (
	cell  = 8  // pixels on each side of a place
	align = 16 // what the image's sides are multiples of: the coarsest tap's stride

	// ridge is what the covariance of EfficientNet's features, of a variance of
	// about 1 to 10 within places, is regularised by.
	ridge = 1
	// Twice as many features of a third more components find no more, and double the time of the comparison.
	coreset        = 1000
	mostComponents = 48
	// lanes is what the number of a place's directions is made a multiple of: a vector
	// times a matrix of 24 columns takes four fifths of the time of one of 20 on ONNX Runtime.
	lanes = 8
	// smoothing of the map, in places: half of the smallest defect that a place can show.
	smoothing = .75

	// mostChannels are taken of backbones that have more: the time of fitting grows
	// with their cube, and PaDiM's choice of a third of them costs it next to nothing.
	mostChannels = 512
	// mostDirections bounds the file: numbers of all places' directions.
	mostDirections = 11_000_000
	// mostFeatures bounds the memory of a fit: numbers of all images' features.
	mostFeatures = 1 << 28
)

var featuresArchitecture = architecture{
	name:  "features",
	least: LeastFeatures,
	step:  (*Spec).featureStep,
	defaults: func(s *Spec) {
		s.Backbone = cmp.Or(s.Backbone, string(Lite0))
		s.imageDefaults(384)
		set(&s.Scales, 1)
		set(&s.Rank, 16)
	},
	validate: func(s *Spec) error {
		step := s.featureStep()
		known := s.BackboneFile.SHA256 != ""
		for _, e := range EfficientNets() {
			known = known || s.Backbone == string(e)
		}
		switch {
		case !known:
			return bad("backbone", fmt.Sprintf("%q", s.Backbone), fmt.Sprintf("one of %q", EfficientNets()))
		case s.Channels != 1 && s.Channels != 3:
			return bad("channels", s.Channels, "1 or 3")
		case s.Height < LeastFeatures || s.Height%step != 0 || s.Height > 2048:
			return bad("height", s.Height, fmt.Sprintf("a multiple of %d from %d to 2048", step, LeastFeatures))
		case s.Width < LeastFeatures || s.Width%step != 0 || s.Width > 2048:
			return bad("width", s.Width, fmt.Sprintf("a multiple of %d from %d to 2048", step, LeastFeatures))
		case s.Scales < 1 || s.Scales > 3:
			return bad("scales", s.Scales, "1 to 3")
		case s.Rank < -1 || s.Rank > 64:
			return bad("rank", s.Rank, "-1 to 64")
		}
		return nil
	},
	open: func(s Spec, r *Resources) (Network, error) {
		n := &features{base: base{s}, weights: map[string]*graph.Tensor{}}
		if s.BackboneFile.SHA256 != "" {
			return n, n.openFile(r)
		}
		e := EfficientNet(s.Backbone)
		for _, tap := range e.Taps() {
			n.taps = append(n.taps, e.blocks()[tap].out)
		}
		g := graph.New("backbone")
		taps := e.Features(g.Input("x", graph.Float32, 1, 3, align, align), e.Taps())
		return n, n.take(g, r.Weights, taps...)
	},
}

// take keeps the weights of the parameters that values depend on.
func (n *features) take(g *graph.Graph, weights map[string]*graph.Tensor, values ...*graph.Value) error {
	for _, node := range g.Nodes(values...) {
		for _, p := range node.Inputs {
			if p == nil || !p.IsParam() {
				continue
			}
			w := weights[p.Name()]
			if w == nil {
				return fmt.Errorf("%w: %s: weights: got none of %s, want those of %s", ErrSpec, n.spec.Model, p.Name(), n.spec.Backbone)
			}
			n.weights[p.Name()] = w
		}
	}
	return g.Err()
}

// featureStep is what the sides of images are multiples of.
func (s *Spec) featureStep() int { return max(cmp.Or(s.BackboneFile.Step, align), 1) }

// LeastFeatures is the shortest side of an image, in pixels, for the network features.
const LeastFeatures = 64

// featureSide returns the side, in pixels, that images of the network can have and
// that is nearest to the one given.
func (s *Spec) featureSide(side float64) int {
	step := s.featureStep()
	return max((LeastFeatures+step-1)/step, int(math.Round(side/float64(step)))) * step
}

// A level is the image at one size.
type level struct {
	height, width int // pixels
	rank          int
}

func (l level) places() int { return l.height / cell * (l.width / cell) }

// levelSizes lists the sizes, the largest first, each two thirds of the one before.
func (n *features) levelSizes() []level {
	var out []level
	for i := range n.spec.Scales {
		scaled := func(side int) int { return n.spec.featureSide(float64(side) * math.Pow(2./3, float64(i))) }
		out = append(out, level{height: scaled(n.spec.Height), width: scaled(n.spec.Width)})
	}
	return out
}

// levels lists the sizes with the rank that there is room for.
func (n *features) levels() []level {
	out := n.levelSizes()
	places := 0
	for _, l := range out {
		places += l.places()
	}
	for i := range out {
		out[i].rank = max(0, min(n.spec.Rank, mostDirections/(places*n.channels())))
	}
	return out
}

// channels is the number of features of a place.
func (n *features) channels() int {
	sum := 0
	for _, c := range n.kept() {
		sum += c
	}
	return sum
}

// kept is how many channels are taken of each tap: all, or an even share of mostChannels.
func (n *features) kept() []int {
	sum := 0
	for _, c := range n.taps {
		sum += c
	}
	out := slices.Clone(n.taps)
	for i, c := range out {
		if sum > mostChannels {
			out[i] = max(1, c*mostChannels/sum)
		}
	}
	return out
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
	for i, l := range n.levels() {
		image := x
		if l.height != n.spec.Height || l.width != n.spec.Width {
			image = graph.ResizeLinear(x, l.height, l.width, nil)
		}
		h, w := l.height/cell, l.width/cell
		var taps []*graph.Value
		for j, f := range n.backbone(image, i) {
			if of, most := f.Dim(1), n.kept()[j]; most < of { // which ones says nothing: networks have them in no order
				index := make([]int, most)
				for k := range index {
					index[k] = k * of / most
				}
				f = graph.Gather(f, 1, index...)
			}
			// Zeros count: at the image's border, where a backbone sees nothing beyond,
			// features vary most and would make most of the false alarms.
			f = graph.Pad(f, "constant", []int{0, 0, 1, 1}, []int{0, 0, 1, 1})
			f = graph.AveragePool(f, 3, 3, &graph.PoolOptions{Strides: [2]int{1, 1}})
			if f.Dim(2) == 2*h {
				f = graph.AveragePool(f, 2, 2, nil)
			}
			taps = append(taps, rows(f, h, w))
		}
		levels = append(levels, graph.Concat(2, taps...))
	}
	if len(levels) == 1 {
		return levels[0]
	}
	return graph.Concat(1, levels...)
}

// components is how many components features are compared by.
func (n *features) components() int { return min(mostComponents, n.channels()) }

// backbone returns what the backbone makes of images of a level.
func (n *features) backbone(x *graph.Value, level int) []*graph.Value {
	if n.graphs != nil {
		return n.inline(x, level)
	}
	e := EfficientNet(n.spec.Backbone)
	return e.Features(x, e.Taps())
}

func (n *features) Head(f *graph.Value) Outputs {
	g, first := f.Graph(), 0
	var sum *graph.Value
	levels := n.levels()
	for i, l := range levels {
		places, h, w := l.places(), l.height/cell, l.width/cell
		of := f
		if len(levels) > 1 {
			of = graph.SliceAxis(f, 1, first, first+places, 1)
		}
		m := n.distance(of, i, l)
		first += places
		m = graph.Reshape(m, 0, 1, h, w)
		if i == 0 {
			sum = m
		} else {
			sum = graph.Add(sum, interpolate(m, levels[0].height/cell, levels[0].width/cell))
		}
	}
	if len(levels) > 1 {
		sum = graph.Mul(sum, g.Scalar(1/float64(len(levels))))
	}
	sum = residual.Smooth(sum, &residual.Options{Blur: smoothing})
	return Outputs{Map: interpolate(sum, n.spec.Height, n.spec.Width)}
}

// distance returns the sum [N,P] of the weighted distances of a level's features [N,P,C].
func (n *features) distance(f *graph.Value, i int, l level) *graph.Value {
	g, places, channels := f.Graph(), l.places(), n.channels()
	param := func(name string, shape ...int) *graph.Value { return g.Param(n.param(i, name), shape...) }
	root := func(x *graph.Value) *graph.Value { return graph.Sqrt(graph.Max(x, g.Scalar(1e-12))) }

	y := graph.Sub(f, param("mean", places, channels))
	white := y
	if !n.unmixed[i] {
		white = graph.MatMul(y, param("white", channels, channels))
	}
	square := graph.ReduceSum(graph.Square(white), false, 2)
	square = graph.Mul(square, param("scale", places))
	if l.rank > 0 {
		directions := param("directions", places, channels, l.rank)
		if rest := l.rank % lanes; rest > 0 {
			// Files do not have the zeros: runtimes compute them once.
			directions = graph.Pad(directions, "constant", []int{0, 0, 0}, []int{0, 0, lanes - rest})
		}
		along := graph.MatMul(graph.Transpose(y, 1, 0, 2), directions) // [P,N,rank]
		square = graph.Sub(square, graph.Transpose(graph.ReduceSum(graph.Square(along), false, 2), 1, 0))
	}
	gaussian := graph.Mul(root(square), param("weight.gaussian", 1))

	z := graph.Add(graph.MatMul(f, param("project", channels, n.components()+1)), param("offset", n.components()+1))
	closest := graph.ReduceMax(graph.MatMul(z, param("coreset", n.components()+1, coreset)), false, 2)
	square = graph.Sub(graph.Sub(graph.ReduceSum(graph.Square(z), false, 2), g.Scalar(1)), closest)
	return graph.Add(gaussian, graph.Mul(root(square), param("weight.nearest", 1)))
}

// Simplified leaves out the products with common covariances that are none: where
// places have their own alone, they are those with the identity.
func (n *features) Simplified(weights map[string]*graph.Tensor) (Network, map[string]*graph.Tensor) {
	simple := *n
	weights = maps.Clone(weights)
	simple.unmixed = map[int]bool{}
	for i := range n.levels() {
		name := n.param(i, "white")
		if w := weights[name]; w == nil || identity(w) {
			simple.unmixed[i] = true
			delete(weights, name)
		}
	}
	return &simple, weights
}

// identity reports whether w is an identity matrix.
func identity(w *graph.Tensor) bool {
	side := w.Shape()[0]
	for at, x := range graph.Data[float32](w) {
		want := float32(0)
		if at%(side+1) == 0 {
			want = 1
		}
		if x != want {
			return false
		}
	}
	return true
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
		scale := n.scale(x, places)
		m, err := normality.Fit(ctx, x, normality.Options{
			Places: places, Channels: channels, Rank: l.rank, Ridge: ridge, Coreset: coreset, Dims: n.components(), Seed: f.seed,
		})
		if err != nil {
			return nil, err
		}
		unscale(m, scale)
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
		put("project", m.Project, channels, n.components()+1)
		put("offset", m.Offset, n.components()+1)
		put("coreset", m.Coreset, n.components()+1, coreset)
		put("weight.gaussian", m.Weights[:1], 1)
		put("weight.nearest", m.Weights[1:], 1)
	}
	return weights, nil
}
