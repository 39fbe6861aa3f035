package corrupt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/augment"
)

// ErrImages is wrapped by errors about images and options.
var ErrImages = errors.New("corrupt")

// LeastSide is the shortest side, in pixels, of images that can be corrupted.
const LeastSide = 8

// Options of a [Generator]; nil is all defaults.
type Options struct {
	Seed uint64 // that everything random depends on
	// Clean is the share of images, in [0,1), that are not corrupted; default 0.
	Clean float64
	// Region, where not nil, is where defects may lie: for each pixel [H·W], some of
	// which are set.
	Region []bool
	// Augment is how [Generator.Sample] changes images before.
	Augment augment.Augmentation
}

// A Generator corrupts the images of a set. It is safe for concurrent use.
type Generator struct {
	pixels  []uint8 // [N,H,W,C], never written to
	n       int
	h, w, c int
	o       Options

	grey       bool      // three channels that are one
	foreground [][]bool  // [H·W] of each image; nil is everywhere
	extent     []float64 // of each image's foreground: the root of its share of the image
}

// New returns a generator for images [N,H,W,C], one or more, of LeastSide pixels
// or more on each side, with 1 or 3 channels. They are kept, not copied.
func New(pixels []uint8, height, width, channels int, o *Options) (*Generator, error) {
	if o == nil {
		o = &Options{}
	}
	size := height * width * channels
	switch {
	case min(height, width) < LeastSide || channels != 1 && channels != 3:
		return nil, fmt.Errorf("%w: got images of %dx%d with %d channels, want %dx%d or more with 1 or 3", ErrImages, height, width, channels, LeastSide, LeastSide)
	case len(pixels) == 0 || len(pixels)%size != 0:
		return nil, fmt.Errorf("%w: got %d bytes, want images of %d", ErrImages, len(pixels), size)
	case o.Region != nil && (len(o.Region) != height*width || !slices.Contains(o.Region, true)):
		return nil, fmt.Errorf("%w: region: got %d pixels, want %dx%d, some of them set", ErrImages, len(o.Region), height, width)
	case !(o.Clean >= 0 && o.Clean < 1):
		return nil, fmt.Errorf("%w: clean share: got %v, want 0 or more and less than 1", ErrImages, o.Clean)
	}
	g := &Generator{pixels: pixels, n: len(pixels) / size, h: height, w: width, c: channels, o: *o}
	g.grey = g.colourless()
	g.findForeground()
	return g, nil
}

// Image returns image i, [H,W,C], shared.
func (g *Generator) Image(i int) []uint8 {
	size := g.h * g.w * g.c
	return g.pixels[i*size : (i+1)*size : (i+1)*size]
}

// Corrupt writes image i of the set, corrupted, to dst [H,W,C], and to mask [H,W],
// unless that is nil, how opaque the corruption is at each pixel: 0 where it is
// none, up to 255. Equal seeds, counters and i give equal results. It reports
// whether anything was changed.
func (g *Generator) Corrupt(dst, mask []uint8, i int, counter uint64) bool {
	s := g.scratch()
	defer scratches.Put(s)
	return g.corrupt(g.random(i, counter), s, dst, mask, g.Image(i), g.foreground[i], g.extent[i])
}

// Sample writes image i, augmented, to target [H,W,C] and, corrupted besides, to
// dst. The rest is as [Generator.Corrupt] has it.
func (g *Generator) Sample(dst, target, mask []uint8, i int, counter uint64) bool {
	s := g.scratch()
	defer scratches.Put(s)
	rng := g.random(i, counter)
	t := g.o.Augment.Draw(rng)
	t.Image(target, g.Image(i), g.h, g.w, g.c)
	part := g.foreground[i]
	if part != nil {
		t.Mask(s.part, part, g.h, g.w)
		part = s.part
	}
	return g.corrupt(rng, s, dst, mask, target, part, g.extent[i])
}

// random returns the random numbers of image i: two counters of 32 bit, so that
// more images or epochs repeat.
func (g *Generator) random(i int, counter uint64) *rand.Rand {
	return rand.New(rand.NewPCG(g.o.Seed, counter<<32|uint64(uint32(i))))
}

// corrupt writes src, whose foreground is part, to dst.
func (g *Generator) corrupt(rng *rand.Rand, s *scratch, dst, mask, src []uint8, part []bool, extent float64) bool {
	copy(dst, src)
	if mask != nil {
		clear(mask)
	}
	if rng.Float64() < g.o.Clean {
		return false
	}
	regions := 1 + rng.IntN(2)
	changed := false
	for range regions {
		if !g.mask(rng, s, part, extent) {
			continue
		}
		g.fill(rng, s, src)
		changed = true
		g.lay(s, dst, mask, float32(.3+.7*rng.Float64()))
	}
	return changed
}

// lay puts the scratch's source on dst, as opaque as its mask times opacity, and
// that in mask, unless it is nil.
func (g *Generator) lay(s *scratch, dst, mask []uint8, opacity float32) {
	for p, a := range s.mask {
		if a == 0 {
			continue
		}
		a *= opacity
		for k := range g.c {
			at := p*g.c + k
			// Products are rounded by themselves, so that no machine fuses them with the sum.
			v := float32((1-a)*float32(dst[at])) + float32(a*s.source[at])
			dst[at] = uint8(min(max(v, 0), 255) + .5)
		}
		if mask != nil {
			mask[p] = max(mask[p], uint8(255*a+.5))
		}
	}
}

// A scratch is what one call of Corrupt works with.
type scratch struct {
	source       []float32 // [H,W,C], what a mask is filled with, 0 to 255
	mask         []float32 // [H,W], 0 to 1
	field, other []float32 // [H,W]
	planes       []float32 // [H,W,C]
	part         []bool    // [H·W]
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// scratch returns one of the images' size, to be put back.
func (g *Generator) scratch() *scratch {
	s := scratches.Get().(*scratch)
	n := g.h * g.w
	fit(&s.source, n*g.c)
	fit(&s.planes, n*g.c)
	fit(&s.mask, n)
	fit(&s.field, n)
	fit(&s.other, n)
	fit(&s.part, n)
	return s
}

func fit[T any](p *[]T, n int) {
	if cap(*p) < n {
		*p = make([]T, n)
	}
	*p = (*p)[:n]
}
