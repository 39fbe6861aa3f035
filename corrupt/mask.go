package corrupt

import (
	"math"
	"math/rand/v2"
)

// mask makes the mask of s one that lies mostly on the part, of which extent is the
// size, and reports whether one was found. A nil part is everywhere.
func (g *Generator) mask(rng *rand.Rand, s *scratch, part []bool, extent float64) bool {
	const tries, most = 8, .5 // of the mask on the foreground, at least
	for range tries {
		g.shape(rng, s, part, extent)
		if area, on := s.covers(part); area > 0 && float64(on) >= most*float64(area) {
			if rng.IntN(2) == 0 {
				soften(s.mask, s.other, g.h, g.w)
			}
			return true
		}
	}
	return false
}

// covers returns how many pixels the mask has, and how many of them lie on the part.
func (s *scratch) covers(part []bool) (area, on int) {
	for p, a := range s.mask {
		if a > 0 {
			area++
			if part == nil || part[p] {
				on++
			}
		}
	}
	return area, on
}

// shape writes a mask of 0 and 1 of a random kind: noise in a box, an ellipse, or
// noise all over. Sizes are in terms of the part's.
func (g *Generator) shape(rng *rand.Rand, s *scratch, part []bool, extent float64) {
	cy, cx := g.centre(rng, part)
	clear(s.mask)
	kind := rng.Float64()
	square := func() float64 { r := rng.Float64(); return r * r }
	if kind < .4 {
		side := float64(min(g.h, g.w)) * extent
		a, b := side*(.02+.2*square()), side*(.02+.2*square())
		sin, cos := math.Sincos(math.Pi * rng.Float64())
		r := math.Max(a, b)
		for y := max(int(cy-r), 0); y < min(int(cy+r)+2, g.h); y++ {
			for x := max(int(cx-r), 0); x < min(int(cx+r)+2, g.w); x++ {
				dy, dx := float64(y)-cy, float64(x)-cx
				u, v := (dx*cos+dy*sin)/a, (dy*cos-dx*sin)/b
				if float64(u*u)+float64(v*v) < 1 {
					s.mask[y*g.w+x] = 1
				}
			}
		}
		return
	}
	clear(s.field)
	noise(rng, s.field, g.h, g.w, octave(rng, 3/extent, 12/extent), 1)
	noise(rng, s.field, g.h, g.w, octave(rng, 8/extent, 32/extent), .5)
	level := quantile(s.field, 1-uniform(rng, .01, .26))
	top, bottom, left, right := 0, g.h, 0, g.w
	if kind < .9 {
		dy, dx := float64(g.h)*extent*(.08+.5*square()), float64(g.w)*extent*(.08+.5*square())
		top, bottom = max(int(cy-dy), 0), min(int(cy+dy)+1, g.h)
		left, right = max(int(cx-dx), 0), min(int(cx+dx)+1, g.w)
	}
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			if at := y*g.w + x; s.field[at] > level {
				s.mask[at] = 1
			}
		}
	}
}

// centre returns a place on the part.
func (g *Generator) centre(rng *rand.Rand, part []bool) (y, x float64) {
	const tries = 64
	for range tries {
		y, x := rng.IntN(g.h), rng.IntN(g.w)
		if part == nil || part[y*g.w+x] {
			return float64(y), float64(x)
		}
	}
	return float64(g.h) / 2, float64(g.w) / 2
}

// soften takes the mean of 3×3 pixels, those outside being 0.
func soften(m, tmp []float32, h, w int) {
	for y := range h {
		line, out := m[y*w:][:w], tmp[y*w:][:w]
		for x := range line {
			sum := line[x]
			if x > 0 {
				sum += line[x-1]
			}
			if x+1 < w {
				sum += line[x+1]
			}
			out[x] = sum
		}
	}
	for y := range h {
		for x := range w {
			sum := tmp[y*w+x]
			if y > 0 {
				sum += tmp[(y-1)*w+x]
			}
			if y+1 < h {
				sum += tmp[(y+1)*w+x]
			}
			m[y*w+x] = sum / 9
		}
	}
}
