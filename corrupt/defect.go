package corrupt

import (
	"math"
	"math/rand/v2"
)

// Sizes of what [Generator.Defect] makes.
const (
	LeastDefect = .003 // of the part's area
	MostDefect  = .03
	LeastChange = 16. / 255 // of the range of values, the mean over the defect's pixels
	MostChange  = 80. / 255

	mostAspect = 8 // of a scratch's length to its width
)

// Defect writes image i of the set with one defect to dst [H,W,C], and to mask
// [H,W], unless that is nil, how opaque it is at each pixel: what stands for a real
// one where a detector is judged. What [Generator.Corrupt] makes for a network to
// learn from may be too faint to see or cover most of the image; this is a spot
// or a scratch on the part, of LeastDefect to MostDefect of the part's area,
// that changes its pixels by LeastChange to MostChange on average, both uniform
// in their logarithms, and has no colour where the images have none. Equal seeds,
// counters and i give equal results, whatever else the options say but for the region.
// It reports false, and the image is as it was, if nothing that it tried could be seen there.
func (g *Generator) Defect(dst, mask []uint8, i int, counter uint64) bool {
	s := g.scratch()
	defer scratches.Put(s)
	rng := rand.New(rand.NewPCG(g.o.Seed^defectStream, counter<<32|uint64(uint32(i))))
	src := g.Image(i)
	copy(dst, src)
	if mask != nil {
		clear(mask)
	}
	const tries = 24
	for range tries {
		g.spot(rng, s, g.foreground[i], g.extent[i])
		area, on := s.covers(g.foreground[i])
		want := logUniform(rng, LeastChange, MostChange)
		if area == 0 || 2*on < area {
			continue
		}
		g.fill(rng, s, src)
		if g.grey {
			for at := 0; at < len(s.source); at += 3 {
				v := (s.source[at] + s.source[at+1] + s.source[at+2]) / 3
				s.source[at], s.source[at+1], s.source[at+2] = v, v, v
			}
		}
		change, weight := 0., 0.
		for p, a := range s.mask {
			if a == 0 {
				continue
			}
			for k := range g.c {
				at := p*g.c + k
				change += float64(a) * math.Abs(float64(s.source[at])-float64(src[at]))
				weight += float64(a)
			}
		}
		if change /= 255 * weight; change >= want {
			g.lay(s, dst, mask, float32(want/change))
			return true
		}
	}
	return false
}

// defectStream keeps defects apart from what the generator corrupts.
const defectStream = 0xdefec7

// logUniform returns a number in [lo,hi), uniform in its logarithm.
func logUniform(rng *rand.Rand, lo, hi float64) float64 {
	return lo * math.Pow(hi/lo, rng.Float64())
}

// colourless reports whether images of three channels show grey alone.
func (g *Generator) colourless() bool {
	const most = 3 // that channels of a pixel differ by, as rounding and JPEG leave it
	if g.c != 3 {
		return false
	}
	for at := 0; at < len(g.pixels); at += 3 {
		r, gr, b := g.pixels[at], g.pixels[at+1], g.pixels[at+2]
		if max(r, gr, b)-min(r, gr, b) > most {
			return false
		}
	}
	return true
}

// spot writes a mask of 0 to 1: an ellipse of ragged outline, its centre on the part.
func (g *Generator) spot(rng *rand.Rand, s *scratch, part []bool, extent float64) {
	cy, cx := g.centre(rng, part)
	area := logUniform(rng, LeastDefect, MostDefect) * extent * extent * float64(g.h*g.w)
	aspect := math.Sqrt(logUniform(rng, 1, mostAspect))
	r := math.Sqrt(area / math.Pi)
	a, b := max(r*aspect, 1), max(r/aspect, 1)
	sin, cos := math.Sincos(math.Pi * rng.Float64())
	clear(s.mask)
	clear(s.field)
	noise(rng, s.field, g.h, g.w, int(min(float64(max(g.h, g.w))/b, 128)), .25)
	reach := 2 * a
	for y := max(int(cy-reach), 0); y < min(int(cy+reach)+2, g.h); y++ {
		for x := max(int(cx-reach), 0); x < min(int(cx+reach)+2, g.w); x++ {
			dy, dx := float64(y)-cy, float64(x)-cx
			u, v := (float64(dx*cos)+float64(dy*sin))/a, (float64(dy*cos)-float64(dx*sin))/b
			if at := y*g.w + x; float64(u*u)+float64(v*v) < 1+float64(s.field[at]) {
				s.mask[at] = 1
			}
		}
	}
	soften(s.mask, s.other, g.h, g.w)
}
