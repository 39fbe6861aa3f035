package heatmap

import (
	"cmp"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/internal/label"
)

// A Region is a connected anomalous area in pixels of the original image: its
// bounding box, the number of its pixels, and its highest residual.
type Region struct {
	X     int     `json:"x"`
	Y     int     `json:"y"`
	W     int     `json:"w"`
	H     int     `json:"h"`
	Area  int     `json:"area"`
	Score float32 `json:"score"`
}

// RegionOptions says what counts as a region. Nil is the zero value.
type RegionOptions struct {
	Threshold     float32 // a region's residuals are above it, strictly
	MinArea       int     // smallest area, in pixels of the map; 0 means 1
	Width, Height int     // the original image's size; 0 means the map's
}

// Regions returns the 8-connected regions of the map above the threshold, the
// highest score first and equal scores from top to bottom, left to right.
//
// They are found at the map's own resolution and then scaled to the image's
// size: a box to the pixels it touches, an area to the nearest whole number, at
// least 1.
func Regions(m *Map, o *RegionOptions) []Region {
	if o == nil {
		o = &RegionOptions{}
	}
	width, height := cmp.Or(o.Width, m.Width), cmp.Or(o.Height, m.Height)

	type extent struct {
		x0, y0, x1, y1, area int // x1 and y1 are outside
		score                float32
	}
	labels, n := label.Components(m.Threshold(o.Threshold).Data, m.Height, m.Width)
	extents := make([]extent, n)
	for i := range extents {
		extents[i] = extent{x0: m.Width, y0: m.Height, score: o.Threshold}
	}
	for i, k := range labels {
		if k == 0 {
			continue
		}
		y, x := i/m.Width, i%m.Width
		e := &extents[k-1]
		e.x0, e.x1 = min(e.x0, x), max(e.x1, x+1)
		e.y0, e.y1 = min(e.y0, y), max(e.y1, y+1)
		e.area++
		e.score = max(e.score, m.Data[i])
	}

	var regions []Region
	scale := float64(width) * float64(height) / (float64(m.Width) * float64(m.Height))
	for _, e := range extents {
		if e.area < o.MinArea {
			continue
		}
		r := Region{
			X:     e.x0 * width / m.Width,
			Y:     e.y0 * height / m.Height,
			Area:  max(int(math.Round(float64(e.area)*scale)), 1),
			Score: e.score,
		}
		r.W = (e.x1*width+m.Width-1)/m.Width - r.X
		r.H = (e.y1*height+m.Height-1)/m.Height - r.Y
		regions = append(regions, r)
	}
	slices.SortStableFunc(regions, func(a, b Region) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X))
	})
	return regions
}
