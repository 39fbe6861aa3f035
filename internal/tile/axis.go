package tile

// An Axis is one axis of an image, cut into tiles.
type Axis struct {
	Size   int         // of the image, in pixels
	Tile   int         // of a tile; it may be larger than the image
	At     []int       // where tiles begin: every Tile-overlap pixels from 0 on, the last at Size-Tile, or at 0
	Weight [][]float32 // [Tile] of each: what its places count; all tiles' are 1 together at each place of the image
}

// NewAxis cuts an axis into tiles that overlap by at least overlap pixels, at most half
// of a tile. Weights rise from 0, a quarter of the overlap inside a tile, to 1 at three
// quarters, but for the image's own edges.
func NewAxis(size, tile, overlap int) *Axis {
	a := &Axis{Size: size, Tile: tile}
	for at := 0; ; at += tile - overlap {
		if at+tile >= size {
			a.At = append(a.At, max(size-tile, 0))
			break
		}
		a.At = append(a.At, at)
	}
	ramp := func(d float64) float64 {
		if overlap == 0 {
			return 1
		}
		return min(max((d-float64(overlap)/4)/(float64(overlap)/2), 0), 1)
	}
	sum := make([]float64, max(size, tile))
	weights := make([][]float64, len(a.At))
	for i, at := range a.At {
		weights[i] = make([]float64, tile)
		for x := range tile {
			w := 1.
			if i > 0 {
				w = ramp(float64(x) + .5)
			}
			if i < len(a.At)-1 {
				w = min(w, ramp(float64(tile-x)-.5))
			}
			weights[i][x] = w
			sum[at+x] += w
		}
	}
	for i, at := range a.At {
		w := make([]float32, tile)
		for x := range w {
			w[x] = float32(weights[i][x] / sum[at+x])
		}
		a.Weight = append(a.Weight, w)
	}
	return a
}
