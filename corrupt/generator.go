package corrupt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
)

// ErrImages is wrapped by errors about images and options.
var ErrImages = errors.New("corrupt")

// Options of a [Generator]; nil is all defaults.
type Options struct {
	Seed uint64 // that everything random depends on
	// Clean is the share of images, in [0,1), that stay as they are; default 0.
	Clean float64
}

// A Generator corrupts the images of a set. It is safe for concurrent use.
type Generator struct {
	pixels  []uint8 // [N,H,W,C], never written to
	n       int
	h, w, c int
	o       Options

	foreground [][]bool  // [H·W] of each image; nil is everywhere
	extent     []float64 // of each image's foreground: the root of its share of the image
}

// New returns a generator for images [N,H,W,C], one or more, of 8 by 8 pixels or
// more, with 1 or 3 channels. They are kept, not copied.
func New(pixels []uint8, height, width, channels int, o *Options) (*Generator, error) {
	if o == nil {
		o = &Options{}
	}
	size := height * width * channels
	switch {
	case height < 8 || width < 8 || channels != 1 && channels != 3:
		return nil, fmt.Errorf("%w: got images of %dx%d with %d channels, want 8x8 or more with 1 or 3", ErrImages, height, width, channels)
	case len(pixels) == 0 || len(pixels)%size != 0:
		return nil, fmt.Errorf("%w: got %d bytes, want images of %d", ErrImages, len(pixels), size)
	case !(o.Clean >= 0 && o.Clean < 1):
		return nil, fmt.Errorf("%w: clean share: got %v, want 0 or more and less than 1", ErrImages, o.Clean)
	}
	g := &Generator{pixels: pixels, n: len(pixels) / size, h: height, w: width, c: channels, o: *o}
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
// none, up to 255. The image is given as src [H,W,C]: as it is in the set, or
// turned and shifted a little, which its foreground allows. Equal seeds, counters
// and i give equal results. It reports whether anything was changed.
func (g *Generator) Corrupt(dst, mask, src []uint8, i int, counter uint64) bool {
	// Two counters of 32 bit: more images or epochs repeat.
	rng := rand.New(rand.NewPCG(g.o.Seed, counter<<32|uint64(uint32(i))))
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.fit(g.h, g.w, g.c)
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
		m := g.mask(rng, s, i)
		if m == nil {
			continue
		}
		g.fill(rng, s, src)
		opacity := float32(.3 + .7*rng.Float64())
		changed = true
		for p, a := range m {
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
	return changed
}

// A scratch is what one call of Corrupt works with.
type scratch struct {
	source       []float32 // [H,W,C], what a mask is filled with, 0 to 255
	mask         []float32 // [H,W], 0 to 1
	field, other []float32 // [H,W]
	planes       []float32 // [H,W,C]
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) fit(h, w, c int) {
	size := func(p *[]float32, n int) {
		if cap(*p) < n {
			*p = make([]float32, n)
		}
		*p = (*p)[:n]
	}
	size(&s.source, h*w*c)
	size(&s.planes, h*w*c)
	for _, p := range []*[]float32{&s.mask, &s.field, &s.other} {
		size(p, h*w)
	}
}

// parallel calls f for 0 to n-1 on all cores.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), n)
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}
