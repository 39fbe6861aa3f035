package kernels

import (
	"errors"
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
)

// rates are what one thread does in a nanosecond.
type rates struct {
	products float64 // of dense convolutions and products of matrices
	banded   float64 // of products of matrices whose band alone is computed, all products counted
	tiles    float64 // channels of tiles that are transformed
}

// measured are the instruction sets whose rates are known, on a Xeon (Sapphire Rapids).
// Tiles were measured on an EPYC (Zen 3), in AVX2; in AVX-512 they are taken to be faster
// by as much as products are.
var measured = map[string]rates{
	"avx512": {products: 70, banded: 150, tiles: .14},
	"avx2":   {products: 45, banded: 120, tiles: .09},
}

// What of a step is not products, in nanoseconds an element of one thread.
const (
	stepTime    = 1000 // to begin any step
	depthwise   = .3   // of what goes into and comes out of convolutions of one channel each
	subsampled  = .75  // the same, where strides pass pixels over
	rowTime     = 25   // of a row of their results, for up to 15 places
	stored      = .5   // of results that are many beside the products, and leave the caches
	loaded      = .5   // of a matrix of which each element is used once
	termTime    = .04  // of a term of an elementwise step
	elementTime = .3   // of its results
	movedTime   = .5   // of elements that are copied
	reducedTime = .3   // of what goes into a reduction
	windowTime  = 1.3  // of a place of a window
	joinedTime  = .15  // of a row or column of windows that are at each pixel
	halvedTime  = .1   // of what goes into a pool of 2×2
)

// ErrUnmeasured is wrapped by errors of [Estimate] about what nothing was measured of.
var ErrUnmeasured = errors.New("kernels: not measured")

// Estimate returns about how many nanoseconds one thread takes for a run of the plan
// that [Compile] makes of these. It goes by the operators, their shapes and the
// instructions that the processor has: it is the same each time.
func Estimate(g *graph.Graph, outputs []string, o *Options) (float64, error) {
	opts := Options{}
	if o != nil {
		opts = *o
	}
	opts.Threads, opts.unlaid = 1, true
	p, err := Compile(g, nil, outputs, &opts)
	if err != nil {
		return 0, err
	}
	r, ok := measured[p.isa.name]
	if !ok {
		return 0, fmt.Errorf("%w: instruction set %s", ErrUnmeasured, p.isa.name)
	}
	ns := 0.
	for _, s := range p.steps {
		ns += stepTime
		switch s := s.(type) {
		case *conv:
			ns += s.nanoseconds(r)
		case *winograd:
			ns += s.nanoseconds(r)
		case *matMul:
			ns += s.nanoseconds(r)
		case *dots:
			products := float64(len(s.aOff)) * float64(s.m) * float64(s.k) * float64(s.n)
			ns += products/r.products + loaded*products/float64(max(1, min(s.m, s.n)))
		case *elementwise:
			ns += float64(s.rows) * float64(s.n) * (elementTime + termTime*float64(len(s.terms)))
		case *pooling:
			switch {
			case s.half == 1:
				ns += halvedTime * float64(s.x.len())
			case s.dense():
				ns += joinedTime * float64(s.y.len()*(s.kh+s.kw))
			default:
				ns += windowTime * float64(s.y.len()*s.kh*s.kw)
			}
		case *reduction:
			ns += reducedTime * float64(s.x.len())
		case *copying:
			ns += movedTime * float64(s.dst.len())
		case *fill:
			ns += movedTime * float64(s.dst.len())
		case *repeat:
			ns += movedTime * float64(s.dst.len())
		case *fallback:
			return 0, fmt.Errorf("%w: operator %s", ErrUnmeasured, s.node.Op)
		default: // of gradients
			return 0, fmt.Errorf("%w: %T", ErrUnmeasured, s)
		}
	}
	return ns, nil
}

func (s *winograd) nanoseconds(r rates) float64 {
	tiles := float64(s.n * s.grid.rows * s.grid.cols)
	return tiles * (winogradArea*float64(s.in*s.out)/r.products + float64(s.in+s.out)/r.tiles)
}

// nanoseconds of a convolution: fewer products a nanosecond where images are small or
// subsampled, or the results have few channels.
func (s *conv) nanoseconds(r rates) float64 {
	taps := 0
	for _, p := range s.phases {
		taps += len(p.taps)
	}
	area := s.hq * s.wq
	if s.groups > 1 && s.in == 1 {
		planes, element := float64(s.n*s.groups), depthwise
		if s.sy*s.sx > 1 {
			element = subsampled
		}
		return element*planes*float64(s.ih*s.iw+s.out*area) + rowTime*planes*float64(s.out*s.hq)*max(1, float64(taps)/15)
	}
	products := float64(s.n*s.groups*s.out) * float64(area) * float64(s.in*taps)
	slower := 1 + 96/float64(area)
	if rows := min(s.out, 8); rows < 8 {
		slower *= (1 + 4/float64(rows)) / 1.5
	}
	if s.sy*s.sx > 1 {
		slower *= 1.8
	}
	return products / r.products * slower
}

func (m *matMul) nanoseconds(r rates) float64 {
	batches := float64(len(m.aOff))
	products := batches * float64(m.m) * float64(m.k) * float64(m.n)
	if m.rowBand != nil || m.colBand != nil {
		return products / r.banded
	}
	ns := products/r.products + stored*batches*float64(m.m*m.n)
	if m.m < 8 { // b is used for few rows
		ns += loaded * products / float64(m.m)
	}
	return ns
}
