package models

import (
	"cmp"
	"math"
)

// mostAspect is the longest side of a network's image over its shortest, where
// the image's aspect decides. Images that are longer are squashed to it.
const mostAspect = 4

// areaWeight is what a network's image being larger or smaller than it should be
// counts beside its having another aspect, each as a logarithm: a hundredth of
// aspect is worth four of area.
const areaWeight = 1. / 4

// InAspect returns the spec with the height and width for images of width×height
// pixels: in their aspect, up to 4:1, as far as the steps allow that the
// architecture's sides have, and as large as a square of side pixels. A side of 0
// is the architecture's default.
func (s Spec) InAspect(side float64, width, height int) Spec {
	s.Model = cmp.Or(s.Model, architectures[0].name)
	a := s.architecture()
	if a == nil {
		return s // which Validate refuses
	}
	step := a.step(&s)
	if side == 0 {
		square := s
		square.Height, square.Width = 0, 0
		side = float64(square.WithDefaults().Height)
	}
	aspect := min(max(float64(width)/float64(height), 1./mostAspect), mostAspect)
	least := (a.least + step - 1) / step
	rounded := func(steps float64) int { return max(least, 1, int(math.Round(steps))) }
	best := math.Inf(1)
	nominal := rounded(side / math.Sqrt(aspect) / float64(step))
	for h := max(nominal-1, least, 1); h <= nominal+1; h++ {
		w := rounded(float64(h) * aspect)
		stretch := math.Log(float64(w) / float64(h) / aspect)
		area := math.Log(float64(w*step) * float64(h*step) / (side * side))
		if cost := math.Abs(stretch) + areaWeight*math.Abs(area); cost < best {
			best, s.Height, s.Width = cost, h*step, w*step
		}
	}
	return s
}
