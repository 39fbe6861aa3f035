package models

import (
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/normality"
)

// usualVariance is about that of an EfficientNet's features within places, the mean of a
// tap's channels, on images of products: ridge goes with it. Taps of other backbones
// are brought to it.
const usualVariance = 4

// Names that values of an exported model have at which its backbone begins and ends.
func imageName(level int) string    { return fmt.Sprintf("backbone.%d.image", level) }
func tapName(level, tap int) string { return fmt.Sprintf("backbone.%d.tap%d", level, tap) }

// openFile gets the backbone of a file for each level: from who has read it, or out of an exported model.
func (n *features) openFile(r *Resources) error {
	for i, l := range n.levelSizes() {
		g, weights, err := n.fileGraph(r, i, l)
		if err != nil {
			return fmt.Errorf("%w: %s: backbone %s: %w", ErrSpec, n.spec.Model, n.spec.Backbone, err)
		}
		var taps []int
		for _, v := range g.Outputs() {
			if v.Rank() != 4 || v.Dim(2) < 2 || v.Dim(3) < 2 {
				return bad("backbone", v.Type, "features [N,C,h,w]")
			}
			taps = append(taps, v.Dim(1))
		}
		if len(taps) == 0 || len(g.Inputs()) != 1 {
			return bad("backbone", fmt.Sprintf("%d inputs, %d taps", len(g.Inputs()), len(taps)), "one input, a tap or more")
		}
		n.taps = taps
		n.graphs = append(n.graphs, g)
		if err := n.take(g, weights); err != nil {
			return err
		}
	}
	return nil
}

func (n *features) fileGraph(r *Resources, i int, l level) (*graph.Graph, map[string]*graph.Tensor, error) {
	if r.Backbone != nil {
		return r.Backbone(l.height, l.width)
	}
	if r.Exported == nil {
		return nil, nil, fmt.Errorf("got no file, want one of SHA-256 %s", n.spec.BackboneFile.SHA256)
	}
	image := r.Exported.Lookup(imageName(i))
	var taps []*graph.Value
	for j := 0; ; j++ {
		v := r.Exported.Lookup(tapName(i, j))
		if v == nil {
			break
		}
		taps = append(taps, v.Node().In(0))
	}
	if image == nil || len(taps) == 0 {
		return nil, nil, fmt.Errorf("the model has no values %q and %q", imageName(i), tapName(i, 0))
	}
	return graph.Cut(image, taps, image.Type, "tap"), r.Weights, nil
}

// inline appends the backbone of a level, between values of names by which it is found again.
func (n *features) inline(x *graph.Value, level int) []*graph.Value {
	g := x.Graph()
	named := func(v *graph.Value, name string) *graph.Value {
		v = g.Op("Identity", nil, v)
		if v.Node() != nil && g.Lookup(name) == nil {
			v.Node().Rename(name)
		}
		return v
	}
	out := g.Inline(n.graphs[level], named(x, imageName(level)))
	for j, v := range out {
		out[j] = named(v, tapName(level, j))
	}
	return out
}

// scale multiplies the features x of images, each [places,channels], for their
// variance to be the usual one in each tap of a backbone of a file, and returns the
// factor of each channel; nil of an EfficientNet.
func (n *features) scale(x [][]float32, places int) []float32 {
	if n.graphs == nil {
		return nil
	}
	channels := n.channels()
	variances := make([]float64, channels) // sums of squared deviations
	for at := range places * channels {
		sum, square := 0., 0.
		for _, image := range x {
			v := float64(image[at])
			sum += v
			square += v * v
		}
		variances[at%channels] += max(square-sum*sum/float64(len(x)), 0)
	}
	var factors []float32
	for _, c := range n.kept() {
		sum := 0.
		for _, v := range variances[len(factors) : len(factors)+c] {
			sum += v / float64(c) / float64(places) / float64(len(x)-1)
		}
		factor := float32(1)
		if sum > 0 && !math.IsInf(sum, 0) {
			factor = float32(math.Sqrt(usualVariance / sum))
		}
		for range c {
			factors = append(factors, factor)
		}
	}
	for _, image := range x {
		for at := range image {
			image[at] *= factors[at%channels]
		}
	}
	return factors
}

// unscale makes a model of features that were multiplied by factors one of them as they are.
func unscale(m *normality.Model, factors []float32) {
	if factors == nil {
		return
	}
	rows := func(x []float32) { // [channels,…]
		for i := range x {
			x[i] *= factors[i/(len(x)/len(factors))]
		}
	}
	rows(m.White)
	rows(m.Project)
	directions := len(m.Directions) / len(m.Mean)
	for i := range m.Mean {
		f := factors[i%len(factors)]
		m.Mean[i] /= f
		for k := range directions {
			m.Directions[i*directions+k] *= f
		}
	}
}
