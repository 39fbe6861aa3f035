package foreground

import "slices"

const (
	ringWidth  = 1. / 40 // of the border, in sides of the image
	ringSpread = 40      // most distance from the border's median, in 1/255, of nearly all of its pixels
	ringShare  = .95     // how many are nearly all
	margin     = 8       // above their distance
	gap        = 1. / 50 // that is closed, in sides of the image
	leastPart  = .02     // of the image
	mostPart   = .95
)

// Part returns for each pixel [H·W] of an image [H,W,C] whether it shows the part,
// and the part's share of the image; nil and 1 if none stands out.
//
// The background is what has the colour of the image's border, if that is nearly
// one colour, and is connected to it: what differs from the border's median more
// than nearly all of the border does, gaps closed and holes filled, is the part.
func Part(img []uint8, height, width, channels int) ([]bool, float64) {
	ring := max(int(ringWidth*float64(min(height, width))), 1)
	onRing := func(p int) bool {
		y, x := p/width, p%width
		return y < ring || x < ring || y >= height-ring || x >= width-ring
	}
	var median [3]int
	for k := range channels {
		var values []uint8
		for p := range height * width {
			if onRing(p) {
				values = append(values, img[p*channels+k])
			}
		}
		slices.Sort(values)
		median[k] = int(values[len(values)/2])
	}
	distance := make([]uint8, height*width)
	var border [256]int // a histogram of its distances
	all := 0
	for p := range distance {
		d := 0
		for k := range channels {
			v := int(img[p*channels+k]) - median[k]
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
	r := int(gap * float64(min(height, width)))
	mask = Grown(mask, height, width, r, true)
	fillHoles(mask, height, width)
	mask = Grown(mask, height, width, r, false)
	share := Share(mask)
	if share < leastPart || share > mostPart {
		return nil, 1
	}
	return mask, share
}

// Share returns how much of a mask is set, in [0,1].
func Share(mask []bool) float64 {
	n := 0
	for _, on := range mask {
		if on {
			n++
		}
	}
	return float64(n) / float64(len(mask))
}

// Grown returns the mask [H·W] whose pixels of the given value have grown by r
// pixels, as squares do.
func Grown(mask []bool, height, width, r int, value bool) []bool {
	grow := func(dst, src []bool, lines, n, line, stride int) {
		for l := range lines {
			last := -2 * (n + r) // place of the last pixel of that value
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
	grow(across, mask, height, width, width, 1)
	grow(both, across, width, height, 1, width)
	return both
}

// fillHoles sets what is not connected to the image's edge.
func fillHoles(mask []bool, height, width int) {
	outside := make([]bool, len(mask))
	var stack []int
	visit := func(y, x int) {
		if p := y*width + x; y >= 0 && y < height && x >= 0 && x < width && !mask[p] && !outside[p] {
			outside[p] = true
			stack = append(stack, p)
		}
	}
	for y := range height {
		visit(y, 0)
		visit(y, width-1)
	}
	for x := range width {
		visit(0, x)
		visit(height-1, x)
	}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		y, x := p/width, p%width
		visit(y-1, x)
		visit(y+1, x)
		visit(y, x-1)
		visit(y, x+1)
	}
	for p := range mask {
		mask[p] = !outside[p]
	}
}
