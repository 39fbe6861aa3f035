package corrupt

import (
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/internal/parallel"
)

// Foreground reports for each pixel [H·W] of image i whether it shows the part;
// nil where the part fills the image, as a texture does.
//
// The background is what has the colour of the image's border, if that is nearly
// one colour, and is connected to it: what differs from the border's median more
// than nearly all of the border does, gaps closed and holes filled, is the part. In
// most images of the set there must be such a border, and a part of a sensible
// size in it.
func (g *Generator) Foreground(i int) []bool { return g.foreground[i] }

const (
	ringWidth   = 1. / 40 // of the border, in sides of the image
	ringSpread  = 40      // most distance from the border's median, in 1/255, of nearly all of its pixels
	ringShare   = .95     // how many are nearly all
	margin      = 8       // above their distance
	gap         = 1. / 50 // that is closed, in sides of the image
	leastPart   = .02     // of the image
	mostPart    = .95
	leastExtent = .25 // that sizes are scaled to, whatever the part's
)

// findForeground fills in the foreground of all images.
func (g *Generator) findForeground() {
	g.foreground = make([][]bool, g.n)
	g.extent = make([]float64, g.n)
	shares := make([]float64, g.n)
	parallel.Each(g.n, func(i int) { g.foreground[i], shares[i] = g.part(g.Image(i)) })
	found := 0
	for i := range g.n {
		if g.foreground[i] != nil {
			found++
		}
	}
	for i := range g.n {
		if 2*found <= g.n {
			g.foreground[i] = nil
		}
		g.extent[i] = 1
		if g.foreground[i] != nil {
			g.extent[i] = max(math.Sqrt(shares[i]), leastExtent)
		}
	}
}

// part returns the foreground of an image and its share of the image; nil and 1
// if none stands out.
func (g *Generator) part(img []uint8) ([]bool, float64) {
	ring := max(int(ringWidth*float64(min(g.h, g.w))), 1)
	onRing := func(p int) bool {
		y, x := p/g.w, p%g.w
		return y < ring || x < ring || y >= g.h-ring || x >= g.w-ring
	}
	var median [3]int
	for k := range g.c {
		var values []uint8
		for p := range g.h * g.w {
			if onRing(p) {
				values = append(values, img[p*g.c+k])
			}
		}
		slices.Sort(values)
		median[k] = int(values[len(values)/2])
	}
	distance := make([]uint8, g.h*g.w)
	var border [256]int // a histogram of its distances
	all := 0
	for p := range distance {
		d := 0
		for k := range g.c {
			v := int(img[p*g.c+k]) - median[k]
			d = max(d, v, -v)
		}
		distance[p] = uint8(d)
		if onRing(p) {
			border[d]++
			all++
		}
	}
	level, near := 0, border[0]
	for float64(near) < ringShare*float64(all) {
		level++
		near += border[level]
	}
	if level > ringSpread {
		return nil, 1
	}
	mask := make([]bool, len(distance))
	for p, d := range distance {
		mask[p] = int(d) > level+margin
	}
	r := int(gap * float64(min(g.h, g.w)))
	mask = g.grown(mask, r, true)
	g.fillHoles(mask)
	mask = g.grown(mask, r, false)
	n := 0
	for _, on := range mask {
		if on {
			n++
		}
	}
	share := float64(n) / float64(len(mask))
	if share < leastPart || share > mostPart {
		return nil, 1
	}
	return mask, share
}

// grown returns the mask whose pixels of the given value have grown by r pixels,
// as squares do.
func (g *Generator) grown(mask []bool, r int, value bool) []bool {
	grow := func(dst, src []bool, lines, n, line, stride int) {
		for l := range lines {
			last := -2 * n // place of the last pixel of that value
			for i := range n + r {
				if i < n && src[l*line+i*stride] == value {
					last = i
				}
				if at := i - r; at >= 0 && at < n {
					hit := last >= at-r
					dst[l*line+at*stride] = hit == value
				}
			}
		}
	}
	across, both := make([]bool, len(mask)), make([]bool, len(mask))
	grow(across, mask, g.h, g.w, g.w, 1)
	grow(both, across, g.w, g.h, 1, g.w)
	return both
}

// fillHoles sets what is not connected to the image's edge.
func (g *Generator) fillHoles(mask []bool) {
	outside := make([]bool, len(mask))
	var stack []int
	visit := func(y, x int) {
		if p := y*g.w + x; y >= 0 && y < g.h && x >= 0 && x < g.w && !mask[p] && !outside[p] {
			outside[p] = true
			stack = append(stack, p)
		}
	}
	for y := range g.h {
		visit(y, 0)
		visit(y, g.w-1)
	}
	for x := range g.w {
		visit(0, x)
		visit(g.h-1, x)
	}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		y, x := p/g.w, p%g.w
		visit(y-1, x)
		visit(y+1, x)
		visit(y, x-1)
		visit(y, x+1)
	}
	for p := range mask {
		mask[p] = !outside[p]
	}
}
