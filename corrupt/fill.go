package corrupt

import (
	"math"
	"math/rand/v2"

	"github.com/anomaly-go/anomaly/internal/mirror"
)

// fill writes to s.source what a mask shows instead of src.
func (g *Generator) fill(rng *rand.Rand, s *scratch, src []uint8) {
	switch rng.IntN(6) {
	case 0: // the image itself, moved and turned
		g.moved(s.source, src, between(rng, g.h/8, g.h), between(rng, g.w/8, g.w), rng.IntN(2) == 0, g.h == g.w && rng.IntN(2) == 0)
	case 1: // another image, in other colours
		g.moved(s.source, g.Image(rng.IntN(g.n)), rng.IntN(g.h), rng.IntN(g.w), false, false)
		gain := float32(uniform(rng, .5, 1.5))
		var offset [3]float32
		for k := range g.c {
			offset[k] = float32(255 * (.5 + uniform(rng, -.2, .2)))
		}
		for at := range s.source {
			s.source[at] = float32((s.source[at]-127.5)*gain) + offset[at%g.c]
		}
	case 2: // a colour, with a little noise
		g.colour(rng, s.source, 0, 255)
		clear(s.field)
		amount := float32(255 * .05 * rng.Float64())
		for p := range s.field {
			n := float32(amount * float32(rng.NormFloat64()))
			for k := range g.c {
				s.source[p*g.c+k] += n
			}
		}
	case 3: // smooth noise in colours
		g.colour(rng, s.source, .25*255, .75*255)
		cells := octave(rng, 8, float64(max(min(g.h, g.w)/2, 9)))
		for k := range g.c {
			clear(s.field)
			noise(rng, s.field, g.h, g.w, cells, .25*255)
			for p, n := range s.field {
				s.source[p*g.c+k] += n
			}
		}
	case 4: // the image, warped
		cells, reach := octave(rng, 4, 16), uniform(rng, .01, .06)
		clear(s.field)
		clear(s.other)
		noise(rng, s.field, g.h, g.w, cells, float32(reach*float64(g.h)))
		noise(rng, s.other, g.h, g.w, cells, float32(reach*float64(g.w)))
		g.warped(s.source, src, s.field, s.other)
	default: // the image, of other brightness or contrast, or blurred
		gain, offset := float32(uniform(rng, .3, 1.7)), float32(255*uniform(rng, -.3, .3))
		for at, v := range src {
			s.source[at] = float32(gain*float32(v)) + offset
		}
		if rng.IntN(2) == 0 {
			g.blur(s.source, s.planes, uniform(rng, 1, 4)*float64(g.h)/256)
		}
	}
	for at, v := range s.source {
		s.source[at] = min(max(v, 0), 255)
	}
}

// between returns a whole number in [lo,hi), lo if there is none.
func between(rng *rand.Rand, lo, hi int) int { return lo + rng.IntN(max(hi-lo, 1)) }

// colour fills dst with one colour, each channel in [lo,hi).
func (g *Generator) colour(rng *rand.Rand, dst []float32, lo, hi float64) {
	var colour [3]float32
	for k := range g.c {
		colour[k] = float32(uniform(rng, lo, hi))
	}
	for at := range dst {
		dst[at] = colour[at%g.c]
	}
}

// moved writes src rolled by dy and dx, upside down with flip, rows and columns
// exchanged, of a square image, with transpose.
func (g *Generator) moved(dst []float32, src []uint8, dy, dx int, flip, transpose bool) {
	for y := range g.h {
		for x := range g.w {
			r, c := y, x
			if transpose {
				r, c = c, r
			}
			if flip {
				r = g.h - 1 - r
			}
			from := ((r+dy)%g.h*g.w + (c+dx)%g.w) * g.c
			to := (y*g.w + x) * g.c
			for k := range g.c {
				dst[to+k] = float32(src[from+k])
			}
		}
	}
}

// warped writes src read at each pixel's place plus dy, dx [H,W], in pixels,
// linear between pixels, the image being continued by reflection.
func (g *Generator) warped(dst []float32, src []uint8, dy, dx []float32) {
	for y := range g.h {
		for x := range g.w {
			p := y*g.w + x
			r, c := float64(y)+float64(dy[p]), float64(x)+float64(dx[p])
			r0, c0 := math.Floor(r), math.Floor(c)
			fr, fc := float32(r-r0), float32(c-c0)
			top, bottom := mirror.Index(int(r0), g.h)*g.w, mirror.Index(int(r0)+1, g.h)*g.w
			left, right := mirror.Index(int(c0), g.w), mirror.Index(int(c0)+1, g.w)
			for k := range g.c {
				at := func(p int) float32 { return float32(src[p*g.c+k]) }
				a := at(top+left) + float32(fc*(at(top+right)-at(top+left)))
				b := at(bottom+left) + float32(fc*(at(bottom+right)-at(bottom+left)))
				dst[p*g.c+k] = a + float32(fr*(b-a))
			}
		}
	}
}

// blur smooths x [H,W,C] by a Gaussian of standard deviation sigma, in pixels, the
// image being continued by reflection.
func (g *Generator) blur(x, tmp []float32, sigma float64) {
	radius := int(3*sigma + .5)
	if radius < 1 {
		return
	}
	weights := make([]float32, 2*radius+1)
	sum := 0.
	for i := range weights {
		d := float64(i-radius) / sigma
		sum += math.Exp(-d * d / 2)
	}
	for i := range weights {
		d := float64(i-radius) / sigma
		weights[i] = float32(math.Exp(-d*d/2) / sum)
	}
	line := func(dst, src []float32, n, stride int) { // one line of n pixels, stride apart
		for i := range n {
			for k := range g.c {
				v := float32(0)
				for t, w := range weights {
					v += float32(w * src[mirror.Index(i+t-radius, n)*stride+k])
				}
				dst[i*stride+k] = v
			}
		}
	}
	for y := range g.h {
		line(tmp[y*g.w*g.c:], x[y*g.w*g.c:], g.w, g.c)
	}
	for c := range g.w {
		line(x[c*g.c:], tmp[c*g.c:], g.h, g.w*g.c)
	}
}
