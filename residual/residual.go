package residual

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
)

// ErrOption is wrapped by errors about options of this package.
var ErrOption = errors.New("residual")

// A Kind of residual map: one of those below or, joined by + as in "ssim+msgms",
// the sum of several.
type Kind string

// Kinds of maps.
const (
	SSIMMap Kind = "ssim" // 1 - SSIM, mean of the channels, in [0,2]
	// 1 - SSIM of images half as large, brought back to their size, in [0,2]: windows of four
	// times the area, which say more of shapes and less of edges that are a pixel off (the
	// second scale of Wang, Simoncelli and Bovik, Multi-scale structural similarity, Asilomar 2003).
	HalfSSIMMap Kind = "ssim/2"
	MSGMSMap    Kind = "msgms" // 1 - gradient magnitude similarity, mean of up to four scales, in [0,1]
	L2Map       Kind = "l2"    // (x-y)², mean of the channels, in [0,1]
	L1Map       Kind = "l1"    // |x-y|, mean of the channels, in [0,1]

	// NetworkMap is none of a reconstruction: the map that the network makes itself.
	NetworkMap Kind = "network"
)

// Kinds lists the kinds of maps of a reconstruction.
func Kinds() []Kind { return []Kind{SSIMMap, HalfSSIMMap, MSGMSMap, L2Map, L1Map} }

// Summands returns the kinds that k is the sum of.
func (k Kind) Summands() []Kind {
	var kinds []Kind
	for _, s := range strings.Split(string(k), "+") {
		kinds = append(kinds, Kind(s))
	}
	return kinds
}

// valid reports whether k is NetworkMap, or a sum of different Kinds.
func (k Kind) valid() bool {
	kinds := k.Summands()
	for i, s := range kinds {
		if !slices.Contains(Kinds(), s) || slices.Contains(kinds[:i], s) {
			return k == NetworkMap
		}
	}
	return true
}

// Options of [Map]; nil is all defaults.
type Options struct {
	Kind Kind    // default SSIMMap
	Blur float64 // standard deviation, in pixels, of a Gaussian that smooths the map; 0 is none

	// BySums filters by adding up shifted images instead of multiplying matrices or
	// convolving. It is slower, and for engines that compute those two in half
	// precision by themselves, which SSIM does not survive: OpenVINO, on CPUs
	// that have bfloat16.
	BySums bool
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Kind == "" {
		c.Kind = SSIMMap
	}
	return c
}

// Validate reports what is wrong with the options.
func (o *Options) Validate() error {
	switch c := o.withDefaults(); {
	case !c.Kind.valid():
		return fmt.Errorf("%w: map: got %q, want one of %v or a sum such as ssim+msgms", ErrOption, c.Kind, append(Kinds(), NetworkMap))
	case !(c.Blur >= 0 && c.Blur <= 100):
		return fmt.Errorf("%w: blur: got %v, want 0 to 100 pixels", ErrOption, c.Blur)
	}
	return nil
}

// Top returns the largest residual that a map can have: 2 for SSIM, 1 for the
// others, of a sum the sum; 0 where that is not known, for the network's own.
func (o *Options) Top() float64 {
	top := 0.
	for _, k := range o.withDefaults().Kind.Summands() {
		switch k {
		case SSIMMap, HalfSSIMMap:
			top += 2
		case NetworkMap:
		default:
			top++
		}
	}
	return top
}

// Map returns the anomaly map [N,1,H,W] of images x and their reconstructions y
// [N,C,H,W]: the larger, the worse a pixel is reconstructed. It keeps the size of the image.
func Map(x, y *graph.Value, o *Options) *graph.Value {
	c := o.withDefaults()
	var sum *graph.Value
	for _, k := range c.Kind.Summands() {
		var m *graph.Value
		switch k {
		case L2Map:
			m = graph.ReduceMean(graph.Square(graph.Sub(x, y)), true, 1)
		case L1Map:
			m = graph.ReduceMean(graph.Abs(graph.Sub(x, y)), true, 1)
		case MSGMSMap:
			m = msgms(x, y)
		case HalfSSIMMap:
			half := func(x *graph.Value) *graph.Value {
				return graph.AveragePool(x, min(2, x.Dim(2)), min(2, x.Dim(3)), nil)
			}
			m = graph.ResizeLinear(dissimilarity(half(x), half(y), c.filter()), x.Dim(2), x.Dim(3), nil)
		default:
			m = dissimilarity(x, y, c.filter())
		}
		if sum == nil {
			sum = m
		} else {
			sum = graph.Add(sum, m)
		}
	}
	return Smooth(sum, &c)
}

// dissimilarity returns 1 - SSIM, the mean of the channels, [N,1,H,W].
func dissimilarity(x, y *graph.Value, by filter) *graph.Value {
	return graph.Sub(x.Graph().Scalar(1), graph.ReduceMean(ssim(x, y, by), true, 1))
}

// Smooth returns a map [N,1,H,W] filtered as the options say, whatever its kind.
func Smooth(m *graph.Value, o *Options) *graph.Value {
	c := o.withDefaults()
	return blur(m, c.Blur, c.filter())
}

func (o *Options) filter() filter {
	if o.BySums {
		return bySums
	}
	return reflected
}

// Score returns the score [N] of each map [N,1,H,W]: its maximum, edges included.
func Score(m *graph.Value) *graph.Value { return graph.ReduceMax(m, false, 1, 2, 3) }

// A Loss is a weighted sum of mse, l1 and ssim, as [ParseLoss] makes it; the zero
// Loss is ssim.
type Loss struct{ terms []term }

// A term is one summand of a loss.
type term struct {
	name   string // of losses
	weight float64
}

// losses are what a [Loss] can be made of, each of shape [1].
var losses = map[string]func(x, y *graph.Value) *graph.Value{
	"mse": func(x, y *graph.Value) *graph.Value { return graph.MeanAll(graph.Square(graph.Sub(x, y))) },
	"l1":  func(x, y *graph.Value) *graph.Value { return graph.MeanAll(graph.Abs(graph.Sub(x, y))) },
	"ssim": func(x, y *graph.Value) *graph.Value {
		return graph.Sub(x.Graph().Scalar(1), graph.MeanAll(SSIM(x, y, true)))
	},
}

// ParseLoss reads a loss such as "ssim" or "ssim+mse:0.1": names joined by +,
// each with an optional weight (default 1, positive).
func ParseLoss(s string) (Loss, error) {
	var l Loss
	for _, part := range strings.Split(s, "+") {
		name, weight, weighted := strings.Cut(part, ":")
		t := term{strings.TrimSpace(name), 1}
		if weighted {
			w, err := strconv.ParseFloat(weight, 64)
			if err != nil || !(w > 0 && w < 1e9) {
				return Loss{}, fmt.Errorf("%w: loss %q: weight: got %q, want a positive number", ErrOption, s, weight)
			}
			t.weight = w
		}
		if losses[t.name] == nil {
			return Loss{}, fmt.Errorf("%w: loss %q: got %q, want mse, l1 or ssim", ErrOption, s, t.name)
		}
		l.terms = append(l.terms, t)
	}
	return l, nil
}

// summands returns the terms, those of the zero Loss included.
func (l Loss) summands() []term {
	if len(l.terms) == 0 {
		return []term{{"ssim", 1}}
	}
	return l.terms
}

// String formats the loss so that ParseLoss reads it.
func (l Loss) String() string {
	var parts []string
	for _, t := range l.summands() {
		s := t.name
		if t.weight != 1 {
			s += ":" + strconv.FormatFloat(t.weight, 'g', -1, 64)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "+")
}

// Of appends the loss of reconstructions y of x [N,C,H,W] and returns it with
// shape [1]: the mean over the batch and all pixels of (x-y)² for mse, |x-y| for
// l1, 1-SSIM over the valid region for ssim.
func (l Loss) Of(x, y *graph.Value) *graph.Value {
	var sum *graph.Value
	g := x.Graph()
	for _, t := range l.summands() {
		v := losses[t.name](x, y)
		if t.weight != 1 {
			v = graph.Mul(v, g.Scalar(t.weight))
		}
		if sum == nil {
			sum = v
		} else {
			sum = graph.Add(sum, v)
		}
	}
	return sum
}
