package imageio

import (
	"encoding/binary"
	"fmt"
	"image"
	"sync"
)

// Resize converts img to RGB (channels 3) or grey (channels 1) and resizes it
// to height × width by a triangle filter that widens when shrinking
// (antialiasing), into dst: [height, width, channels], len(dst) =
// height*width*channels.
//
// The result is that of Pillow's convert("RGB" or "L") followed by
// resize((width, height), BILINEAR), bit for bit: two passes, rows first, 22 bit
// fixed-point weights, 8 bit between the passes. (Where Pillow goes columns
// first, some values are rounded to the other side, 1/255 away: in version 12 if
// an image more than 100 times as high as wide shrinks in height, from 13 on if
// the height shrinks more than the width.) It is also ONNX Resize linear with
// antialias=1, half_pixel and exclude_outside=1 to within rounding. Grey from RGB
// is ITU-R 601: (19595 R + 38470 G + 7471 B) / 65536, rounded; RGB from grey
// repeats it. Transparent pixels lie over black.
//
// Fast for *image.Gray and *image.RGBA, what Decode gives; any other image is
// converted first, *image.YCbCr as Decode converts it. Safe for concurrent use,
// and against images that lie: an image that is nil inside, whose pixels are
// fewer than its bounds, that panics, or that has more than 2²⁰ pixels a side is
// an error.
func Resize(dst []uint8, img image.Image, height, width, channels int) (err error) {
	defer rescue(img, &err)
	size, err := ImageSize(img)
	switch {
	case err != nil:
		return err
	case channels != 1 && channels != 3:
		return fmt.Errorf("imageio: resize: got %d channels, want 1 or 3", channels)
	case height <= 0 || width <= 0:
		return fmt.Errorf("imageio: resize: got a target of %dx%d pixels", width, height)
	case len(dst) != height*width*channels:
		return fmt.Errorf("imageio: resize: got room for %d bytes, want %d×%d×%d", len(dst), height, width, channels)
	}

	n := channels // that are computed: grey stays one channel until the end
	switch img.(type) {
	case *image.Gray:
		n = 1
	case *image.RGBA: // premultiplied, and alpha is not read: over black as it is
	default:
		return Resize(dst, convert(img, size), height, width, channels)
	}
	s := scratchPool.Get().(*scratch)
	defer scratchPool.Put(s)

	out := dst
	if n < channels {
		out = grow(&s.out, height*width)
	}
	between := out // [size.Y, width, n]
	if size.Y != height {
		between = grow(&s.between, size.Y*width*n)
	}
	across := newFilter(size.X, width)
	planes := grow(&s.planes, n*size.X)
	for y := 0; y < size.Y; y += 2 {
		second := min(y+1, size.Y-1) // an odd last row goes with itself
		pack(planes, img, y, second, n)
		across.rows(between[y*width*n:][:width*n], between[second*width*n:][:width*n], planes, n)
	}
	if size.Y != height {
		newFilter(size.Y, height).down(out, between, width*n)
	}
	if n < channels {
		for i, v := range out {
			dst[3*i], dst[3*i+1], dst[3*i+2] = v, v, v
		}
	}
	return nil
}

// scratch is what one Resize needs in memory, kept for the next.
type scratch struct {
	planes       []uint64
	between, out []uint8
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

// grow returns n elements of *buf, which it replaces where it is too small.
func grow[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}

// pack writes two rows of src side by side: a pixel's value in the first row in
// the lower half of a uint64, in the second row in the upper half, so that one
// multiplication weights both. Of n = 3 channels each is a plane of its own; one
// channel of an RGBA image is its grey.
func pack(planes []uint64, src image.Image, first, second, n int) {
	switch src := src.(type) {
	case *image.Gray:
		a := src.Pix[first*src.Stride:][:len(planes)]
		b := src.Pix[second*src.Stride:][:len(planes)]
		for x := range planes {
			planes[x] = uint64(a[x]) | uint64(b[x])<<32
		}
	case *image.RGBA:
		width := len(planes) / n
		a := src.Pix[first*src.Stride:][:4*width]
		b := src.Pix[second*src.Stride:][:4*width]
		const low = 0xff | 0xff<<32
		if n == 1 {
			for x := range planes {
				rgba := pair(a, b, x)
				grey := 19595*(rgba&low) + 38470*(rgba>>8&low) + 7471*(rgba>>16&low) + (1<<15 | 1<<47)
				planes[x] = grey >> 16 & low
			}
			return
		}
		red, green, blue := planes[:width], planes[width:][:width], planes[2*width:][:width]
		for x := range red {
			rgba := pair(a, b, x)
			red[x], green[x], blue[x] = rgba&low, rgba>>8&low, rgba>>16&low
		}
	}
}

// pair returns the pixels x of two RGBA rows side by side.
func pair(a, b []uint8, x int) uint64 {
	p, q := a[4*x:4*x+4:4*x+4], b[4*x:4*x+4:4*x+4]
	return uint64(binary.LittleEndian.Uint32(p)) | uint64(binary.LittleEndian.Uint32(q))<<32
}

// Weights are integers, 1 being 1<<precision. They are positive and add up to 1
// give or take their rounding, so that no sum overflows 32 bits.
const (
	precision = 22
	half      = 1 << (precision - 1)
)

// A filter resizes one axis: output i is the sum of inputs first[i], first[i]+1,
// … times weights[i*taps : (i+1)*taps], of which count[i] are in use.
type filter struct {
	first, count []int
	weights      []uint64
	taps         int
}

// newFilter computes the weights of a triangle as wide as the scale when
// shrinking and 2 wide when growing, centred on half pixels and normalised over
// the taps inside the image. The arithmetic, float64 truncated to integers, is
// Pillow's (Resample.c, precompute_coeffs); the conversions keep compilers from
// fusing multiplications and additions.
func newFilter(in, out int) *filter {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	taps := 2*int(support) + 3
	f := &filter{
		first:   make([]int, out),
		count:   make([]int, out),
		weights: make([]uint64, out*taps),
		taps:    taps,
	}
	triangle := make([]float64, taps)
	for i := range out {
		center := float64((float64(i) + .5) * scale)
		first := max(int(center-support+.5), 0)
		count := min(int(center+support+.5), in) - first
		sum := 0.
		for j := range count {
			x := float64((float64(j+first) - center + .5) * (1 / support))
			triangle[j] = max(1-max(x, -x), 0)
			sum += triangle[j]
		}
		for j, w := range triangle[:count] {
			f.weights[i*taps+j] = uint64(.5 + float64(w/sum*(1<<precision)))
		}
		f.first[i], f.count[i] = first, count
	}
	return f
}

// rows filters the two rows in planes into first and second, each [width, n].
func (f *filter) rows(first, second []uint8, planes []uint64, n int) {
	if n == 1 {
		for i, from := range f.first {
			weights := f.weights[i*f.taps:][:f.count[i]]
			pixels := planes[from:][:len(weights)]
			sum := uint64(half | half<<32)
			for j, w := range weights {
				sum += w * pixels[j]
			}
			first[i], second[i] = clip(uint32(sum)), clip(uint32(sum>>32))
		}
		return
	}
	width := len(planes) / 3
	for i, from := range f.first {
		weights := f.weights[i*f.taps:][:f.count[i]]
		red := planes[from:][:len(weights)]
		green := planes[width+from:][:len(weights)]
		blue := planes[2*width+from:][:len(weights)]
		r, g, b := uint64(half|half<<32), uint64(half|half<<32), uint64(half|half<<32)
		for j, w := range weights {
			r += w * red[j]
			g += w * green[j]
			b += w * blue[j]
		}
		p, q := first[3*i:3*i+3], second[3*i:3*i+3]
		p[0], p[1], p[2] = clip(uint32(r)), clip(uint32(g)), clip(uint32(b))
		q[0], q[1], q[2] = clip(uint32(r>>32)), clip(uint32(g>>32)), clip(uint32(b>>32))
	}
}

// down filters the columns of rows of n bytes, two rows at a time: past the last
// the weight is 0.
func (f *filter) down(dst, src []uint8, n int) {
	sums := make([]uint32, n)
	for i, from := range f.first {
		for x := range sums {
			sums[x] = half
		}
		weights := f.weights[i*f.taps:][:f.taps]
		for j := 0; j < f.count[i]; j += 2 {
			v, w := uint32(weights[j]), uint32(weights[j+1])
			a := src[(from+j)*n:][:len(sums)]
			b := src[(from+min(j+1, f.count[i]-1))*n:][:len(sums)]
			for x := range sums {
				sums[x] += v*uint32(a[x]) + w*uint32(b[x])
			}
		}
		to := dst[i*n:][:len(sums)]
		for x, sum := range sums {
			to[x] = clip(sum)
		}
	}
}

// clip is a sum's integer part. Rounded weights can add up to a little more
// than 1, so that white could become 256.
func clip(sum uint32) uint8 { return uint8(min(sum>>precision, 255)) }
