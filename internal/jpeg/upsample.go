package jpeg

import "image"

// ToRGB interpolates the colours of src where libjpeg does (jdsample.c: 2:1
// across, down, or both, by triangles) and repeats them where it does
// (other samplings), then converts them (jdcolor.c).
// src begins at (0,0).
func ToRGB(src *image.YCbCr) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	u := newUpsampler(src)
	cb, cr := make([]uint8, u.width*u.across+2), make([]uint8, u.width*u.across+2)
	for y := range h {
		u.row(cb, src.Cb, y)
		u.row(cr, src.Cr, y)
		convert(dst.Pix[y*dst.Stride:][:4*w], src.Y[y*src.YStride:], cb, cr)
	}
	return dst
}

// An upsampler makes rows of a colour plane as wide as the image.
type upsampler struct {
	across, down  int // how many pixels share a sample
	width, height int // of the plane, as far as it holds the image
	stride        int
	fancy         bool  // wide enough to interpolate across
	sums          []int // a row weighted downwards
}

// shares are how many pixels share a sample of colour, across and down.
var shares = map[image.YCbCrSubsampleRatio][2]int{
	image.YCbCrSubsampleRatio444: {1, 1}, image.YCbCrSubsampleRatio422: {2, 1}, image.YCbCrSubsampleRatio420: {2, 2},
	image.YCbCrSubsampleRatio440: {1, 2}, image.YCbCrSubsampleRatio411: {4, 1}, image.YCbCrSubsampleRatio410: {4, 2},
}

func newUpsampler(src *image.YCbCr) *upsampler {
	share := shares[src.SubsampleRatio]
	u := &upsampler{across: share[0], down: share[1], stride: src.CStride}
	u.width = (src.Rect.Dx() + u.across - 1) / u.across
	u.height = (src.Rect.Dy() + u.down - 1) / u.down
	u.fancy = u.width > 2
	u.sums = make([]int, u.width)
	return u
}

// row writes the samples for row y of the image.
func (u *upsampler) row(dst, plane []uint8, y int) {
	at := y / u.down
	near := plane[at*u.stride:][:u.width]
	switch {
	case u.across == 1 && u.down == 1:
		copy(dst, near)
	case u.across == 2 && u.down == 1 && u.fancy:
		across(dst, near)
	case u.across == 1 && u.down == 2:
		far, bias := u.far(plane, at, y)
		for x, v := range near {
			dst[x] = uint8((3*int(v) + int(far[x]) + bias) >> 2)
		}
	case u.across == 2 && u.down == 2 && u.fancy:
		far, _ := u.far(plane, at, y)
		for x, v := range near {
			u.sums[x] = 3*int(v) + int(far[x])
		}
		acrossSums(dst, u.sums)
	default:
		for x, v := range near {
			for i := range u.across {
				dst[x*u.across+i] = v
			}
		}
	}
}

// far returns the row on the other side of the nearest to row y of the image,
// which at the border is that itself, and how h1v2 rounds.
func (u *upsampler) far(plane []uint8, at, y int) (row []uint8, bias int) {
	other, bias := max(at-1, 0), 1
	if y%2 == 1 {
		other, bias = min(at+1, u.height-1), 2
	}
	return plane[other*u.stride:][:u.width], bias
}

// across doubles a row: a new sample is 3/4 the nearer, 1/4 the further one.
func across(dst, src []uint8) {
	last := len(src) - 1
	dst = dst[:2*len(src)]
	dst[0] = src[0]
	dst[1] = uint8((3*int(src[0]) + int(src[1]) + 2) >> 2)
	for x := 1; x < last; x++ {
		v := 3 * int(src[x])
		dst[2*x] = uint8((v + int(src[x-1]) + 1) >> 2)
		dst[2*x+1] = uint8((v + int(src[x+1]) + 2) >> 2)
	}
	dst[2*last] = uint8((3*int(src[last]) + int(src[last-1]) + 1) >> 2)
	dst[2*last+1] = src[last]
}

// acrossSums doubles a row of sums of weight 4.
func acrossSums(dst []uint8, sums []int) {
	last := len(sums) - 1
	dst = dst[:2*len(sums)]
	dst[0] = uint8((4*sums[0] + 8) >> 4)
	dst[1] = uint8((3*sums[0] + sums[1] + 7) >> 4)
	before, v := sums[0], sums[1]
	for x := 1; x < last; x++ {
		after := sums[x+1]
		dst[2*x] = uint8((3*v + before + 8) >> 4)
		dst[2*x+1] = uint8((3*v + after + 7) >> 4)
		before, v = v, after
	}
	dst[2*last] = uint8((3*sums[last] + sums[last-1] + 8) >> 4)
	dst[2*last+1] = uint8((4*sums[last] + 7) >> 4)
}

// convert is libjpeg's ycc_rgb_convert: 16 bit fixed point, ITU-R BT.601 of full
// range.
func convert(dst, luma, cb, cr []uint8) {
	const half = 1 << 15
	n := len(dst) / 4
	luma, cb, cr = luma[:n], cb[:n], cr[:n]
	for x, y := range luma {
		y, u, v := int32(y), int32(cb[x])-128, int32(cr[x])-128
		r := y + (91881*v+half)>>16
		g := y + (-22554*u-46802*v+half)>>16
		b := y + (116130*u+half)>>16
		p := dst[4*x : 4*x+4 : 4*x+4]
		p[0], p[1], p[2], p[3] = clip(r), clip(g), clip(b), 0xff
	}
}

func clip(v int32) uint8 {
	if uint32(v) <= 255 {
		return uint8(v)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}
