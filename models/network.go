package models

import (
	"context"
	"fmt"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
)

// A Network is an architecture of one size. Its weights live outside, by
// parameter name. It is immutable and safe for concurrent use.
//
// Every network is [Trainable] or a [Fitter] too.
type Network interface {
	// Spec returns what the network was opened from, its defaults set.
	Spec() Spec
	// InputSize returns the channels, 1 or 3, height and width of its images.
	InputSize() (channels, height, width int)
	// Forward appends the network to x's graph, as it is exported: images x
	// [N,C,H,W] in [0,1], N dynamic, to what it makes of them.
	Forward(x *graph.Value) Outputs
	// Init returns the weights before training, by parameter name: all of those of
	// Loss, or those that Features has. Equal seeds give equal weights.
	Init(seed uint64) map[string]*graph.Tensor
	// Recipe returns what the network is best trained and judged with.
	Recipe() Recipe
}

// Outputs are what a network makes of images [N,C,H,W]: a reconstruction, a map,
// or both. What it does not make is nil.
type Outputs struct {
	// Reconstruction [N,C,H,W] in [0,1]. How it differs from the image is a map.
	Reconstruction *graph.Value
	// Map [N,1,h,w], 0 or more, says how anomalous each place is, in units of the
	// network's own. It is of any size: exporting brings it to the image's.
	Map *graph.Value
	// Score [N] of each image; nil is the maximum of the map that is exported.
	Score *graph.Value
}

// A Recipe is what package train takes where its settings say nothing, in its
// words. Networks that are not [Trainable] have a Map alone.
type Recipe struct {
	Map residual.Options // of the exported model

	Loss                string  // as residual.ParseLoss reads it
	Epochs              int     // 0 if Samples says how long
	Samples             int     // images shown in all, repeats counted
	Batch               int     // images a step of the optimiser; 0 is 16
	LearningRate        float64 // at its peak
	Clip                float64 // largest norm of all gradients together; 0 is any
	Optimizer, Schedule string
	Corruption          string // of the images that the network is shown; "" is none
}

// Trainable is a network that learns by gradient descent.
type Trainable interface {
	Network
	// Loss appends the form that is trained and returns its loss, of shape [1]: x
	// are the images as the network is shown them and target what it is to make of
	// them, both [N,C,H,W] in [0,1]. They are one value where nothing is corrupted.
	// Its parameters are those of Forward, and may be more.
	Loss(x, target *graph.Value, l residual.Loss) *graph.Value
}

// Frozen is implemented by networks of whose parameters some keep the values of Init.
type Frozen interface {
	// Frozen reports whether a parameter does.
	Frozen(param string) bool
}

// A Fitter is a network that is fitted in closed form to features of images,
// Forward(x) being Head(Features(x)).
type Fitter interface {
	Network
	// Features appends what is fitted to: of images x [N,C,H,W] in [0,1] one
	// float32 value [N,…] of known shape but for N. Its parameters are those of Init.
	Features(x *graph.Value) *graph.Value
	// Head appends what the fit adds: features as they come from Features to
	// the network's outputs. Its parameters are those that [Fit.Solve] returns.
	Head(features *graph.Value) Outputs
	// NewFit begins a fit to n images, one or more. Whatever is random in it depends on the seed.
	NewFit(n int, seed uint64) (Fit, error)
}

// A Fit is one fit under way. It is not safe for concurrent use.
type Fit interface {
	// Passes returns how often Add sees all images: 1 or more.
	Passes() int
	// Add takes the features of the next image, [...] as Features has them for one.
	// Images come in order, 0 to n-1, then again for each pass. The slice is not kept.
	Add(features []float32) error
	// Solve returns the weights of Head, after the last pass.
	Solve(ctx context.Context) (map[string]*graph.Tensor, error)
}

// A Choice is one that a fit made from the images: what it was of, what was tried,
// how each did, and what was taken.
type Choice struct {
	Of      string  `json:"of"`
	Measure string  `json:"measure"` // of Trials; the largest is taken
	Trials  []Trial `json:"trials"`
	Taken   string  `json:"taken"`
}

// A Trial is one of the candidates of a [Choice].
type Trial struct {
	Candidate string  `json:"candidate"`
	Value     float64 `json:"value"`
}

// Chooser is implemented by fits that choose.
type Chooser interface {
	// Choices returns them, after Solve.
	Choices() []Choice
}

// String says it in a line.
func (c Choice) String() string {
	var tried []string
	for _, t := range c.Trials {
		tried = append(tried, fmt.Sprintf("%s: %.5g", t.Candidate, t.Value))
	}
	return fmt.Sprintf("%s: took %s, by %s (%s)", c.Of, c.Taken, c.Measure, strings.Join(tried, ", "))
}

// Simplifier is implemented by networks that some weights make cheaper to compute.
type Simplifier interface {
	// Simplified returns the network without what the weights make the identity, and the
	// weights without those of it, which may be left out already. Outputs stay the same bit by bit.
	Simplified(weights map[string]*graph.Tensor) (Network, map[string]*graph.Tensor)
}

// Resources are what a network needs beside its [Spec].
type Resources struct {
	// Backbone returns, for images of a size, the graph that features are taken from,
	// of a Spec with a BackboneFile: its input is images float32 [N,3,height,width] in
	// [0,1], N dynamic, its outputs features [N,C,h,w], two or more places a side. Its
	// parameters are named apart from all others, those of several sizes too unless
	// they are equal, and have the weights beside it.
	Backbone func(height, width int) (*graph.Graph, map[string]*graph.Tensor, error)
	// Exported is the graph of an exported model, which has what Backbone returns in it.
	Exported *graph.Graph
	// Weights of the architecture's own backbone by name, or of all that is Exported.
	Weights map[string]*graph.Tensor
}

// Open returns the network of a spec. r may be nil for those that need nothing.
func Open(s Spec, r *Resources) (Network, error) {
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if r == nil {
		r = &Resources{}
	}
	net, err := s.architecture().open(s, r)
	if err != nil || s.AEGrad == 0 {
		return net, err
	}
	t, ok := net.(Trainable)
	if !ok {
		return nil, bad("aegrad", s.AEGrad, "none: "+s.Model+" makes no reconstruction")
	}
	return &descent{t, s}, nil
}

// base has what all networks have in common.
type base struct{ spec Spec }

func (b base) Spec() Spec { return b.spec }

func (b base) InputSize() (channels, height, width int) {
	return b.spec.Channels, b.spec.Height, b.spec.Width
}
