package corrupt

import (
	"math"

	"github.com/anomaly-go/anomaly/internal/foreground"
	"github.com/anomaly-go/anomaly/internal/parallel"
)

// Foreground reports for each pixel [H·W] of image i whether it shows the part;
// nil where the part fills the image, as a texture does, and Options.Region is nil.
//
// What is the part is told from the border's colour (package internal/foreground).
// In most images of the set there must be such a border, and a part of a sensible
// size in it.
func (g *Generator) Foreground(i int) []bool { return g.foreground[i] }

// leastExtent is what sizes are scaled to at the least, whatever the part's.
const leastExtent = .25

// findForeground fills in the foreground of all images.
func (g *Generator) findForeground() {
	g.foreground = make([][]bool, g.n)
	g.extent = make([]float64, g.n)
	shares := make([]float64, g.n)
	parallel.Each(g.n, func(i int) { g.foreground[i], shares[i] = foreground.Part(g.Image(i), g.h, g.w, g.c) })
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
		g.within(i, shares)
		g.extent[i] = 1
		if g.foreground[i] != nil {
			g.extent[i] = max(math.Sqrt(shares[i]), leastExtent)
		}
	}
}

// within takes of the foreground of image i what lies in the region; the whole region
// where that is nothing.
func (g *Generator) within(i int, shares []float64) {
	region := g.o.Region
	if region == nil {
		return
	}
	both := make([]bool, len(region))
	for p, in := range region {
		both[p] = in && (g.foreground[i] == nil || g.foreground[i][p])
	}
	if foreground.Share(both) == 0 {
		both = region
	}
	g.foreground[i], shares[i] = both, foreground.Share(both)
}
