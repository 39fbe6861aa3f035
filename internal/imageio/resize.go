package imageio

import (
	"fmt"
	"image"
	"sync"

	"github.com/anomaly-go/anomaly/internal/room"
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
	if err == nil {
		err = (&Target{dst, height, width, channels}).check()
	}
	if err != nil {
		return err
	}
	var pix []uint8
	var stride, n int
	switch img := img.(type) {
	case *image.Gray:
		pix, stride, n = img.Pix, img.Stride, 1
	case *image.RGBA: // premultiplied, and alpha is not read: over black as it is
		pix, stride, n = img.Pix, img.Stride, 4
	default:
		return Resize(dst, convert(img, size), height, width, channels)
	}
	r := newResizer(&Target{dst, height, width, channels}, size, n)
	defer r.release()
	row := func(y int) []uint8 { return pix[y*stride:][:n*size.X] }
	for y := 0; y < size.Y; y += 2 {
		r.rows(y, row(y), row(min(y+1, size.Y-1)))
	}
	r.end()
	return nil
}

// A Target is what an image is resized into: [Height, Width, Channels], of 1 or 3
// channels.
type Target struct {
	Pixels                  []uint8
	Height, Width, Channels int
}

func (t *Target) check() error {
	switch {
	case t.Channels != 1 && t.Channels != 3:
		return fmt.Errorf("imageio: resize: got %d channels, want 1 or 3", t.Channels)
	case t.Height <= 0 || t.Width <= 0:
		return fmt.Errorf("imageio: resize: got a target of %dx%d pixels", t.Height, t.Width)
	case len(t.Pixels) != t.Height*t.Width*t.Channels:
		return fmt.Errorf("imageio: resize: got room for %d bytes, want %d×%d×%d", len(t.Pixels), t.Height, t.Width, t.Channels)
	}
	return nil
}

// A resizer resizes one image, whose rows it is given two at a time from the top on.
// What it needs in memory, and weights, are kept for the next.
type resizer struct {
	Target
	size image.Point // of the image
	from int         // bytes of a pixel of its rows: 1, 3 or 4
	n    int         // channels that are computed: grey stays one until the end

	across, down filter
	planes       []uint64
	between      []uint8 // rows of [Width, n], resized, from row base on; all of them, which are out, where the height stays
	base         int     // what is above is not needed any more
	out          []uint8 // [Height, Width, n]; Pixels where these have n channels
	done         int     // rows of out, where the height changes

	spareBetween, spareOut []uint8
}

var resizers = sync.Pool{New: func() any { return new(resizer) }}

// newResizer begins to resize an image of a size whose pixels are from bytes: grey,
// RGB, or RGBA whose alpha is left out.
func newResizer(t *Target, size image.Point, from int) *resizer {
	r := resizers.Get().(*resizer)
	r.Target, r.size, r.from = *t, size, from
	if r.n = t.Channels; from == 1 {
		r.n = 1
	}
	if r.out = t.Pixels; r.n < t.Channels {
		r.spareOut = room.Of(r.spareOut, t.Height*t.Width)
		r.out = r.spareOut
	}
	r.across.set(size.X, t.Width)
	r.down.set(size.Y, t.Height)
	r.base, r.done = 0, 0
	if r.between = r.out; size.Y != t.Height {
		const times = 4 // as many rows as a row of out is made of: the more, the fewer are moved
		r.spareBetween = room.Of(r.spareBetween, min(times*r.down.taps, size.Y+1)*t.Width*r.n)
		r.between = r.spareBetween
	}
	r.planes = room.Of(r.planes, r.n*size.X)
	return r
}

// rows takes row y and the next one; an odd last row goes with itself.
func (r *resizer) rows(y int, first, second []uint8) {
	below := min(y+1, r.size.Y-1)
	row := r.Width * r.n
	if (y+2-r.base)*row > len(r.between) && r.size.Y != r.Height {
		keep := y
		if r.done < r.Height {
			keep = min(r.down.first[r.done], y)
		}
		copy(r.between, r.between[(keep-r.base)*row:(y-r.base)*row])
		r.base = keep
	}
	to, toBelow := r.between[(y-r.base)*row:][:row], r.between[(below-r.base)*row:][:row]
	n := r.from * r.size.X
	if across := acrossRGB[r.from]; across != nil && r.n == 3 && min(cap(first), cap(second)) >= n+8-r.from {
		first, second = first[:n], second[:n]
		f := &r.across
		across(&to[0], &toBelow[0], &first[0], &second[0], &f.first[0], &f.count[0], &f.pairs[0], f.step(), r.Width)
	} else {
		pack(r.planes, first, second, r.from, r.n)
		r.across.rows(to, toBelow, r.planes, r.n)
	}
	if r.size.Y == r.Height {
		return
	}
	for ; r.done < r.Height && r.down.first[r.done]+r.down.count[r.done] <= below+1; r.done++ {
		r.down.down(r.out[r.done*row:][:row], r.between[(r.down.first[r.done]-r.base)*row:], r.done)
	}
}

// What there is that is better than Go, else nil.
var (
	// acrossRGB are filter.rows of n pixels from two rows of RGB, by how many bytes a
	// pixel of these has, 3 or 4. From each they read 8 on.
	acrossRGB [5]func(dst0, dst1, src0, src1 *byte, first, count *int, pairs *uint64, step, n int)
	// downColumns is filter.down of 16 columns a block, for one row.
	downColumns func(dst, src *byte, stride int, weights *uint64, count, blocks int)
)

// end is called when all rows were.
func (r *resizer) end() {
	if r.n < r.Channels {
		for i, v := range r.out {
			r.Pixels[3*i], r.Pixels[3*i+1], r.Pixels[3*i+2] = v, v, v
		}
	}
}

// release keeps the resizer for the next image.
func (r *resizer) release() {
	r.Pixels, r.between, r.out = nil, nil, nil // which may be the caller's
	resizers.Put(r)
}

// pack writes two rows, whose pixels are size bytes, side by side: a pixel's value
// in the first row in the lower half of a uint64, in the second row in the upper
// half, so that one multiplication weights both. Of n = 3 channels each is a plane
// of its own; one channel of colours is their grey.
func pack(planes []uint64, first, second []uint8, size, n int) {
	const low = 0xff | 0xff<<32
	width := len(planes) / n
	switch {
	case size == 1:
		a, b := first[:width], second[:width]
		for x := range planes {
			planes[x] = uint64(a[x]) | uint64(b[x])<<32
		}
	case n == 1:
		for x := range planes {
			rgb := pair(first, second, x*size)
			grey := 19595*(rgb&low) + 38470*(rgb>>8&low) + 7471*(rgb>>16&low) + (1<<15 | 1<<47)
			planes[x] = grey >> 16 & low
		}
	default:
		red, green, blue := planes[:width], planes[width:][:width], planes[2*width:][:width]
		for x := range red {
			rgb := pair(first, second, x*size)
			red[x], green[x], blue[x] = rgb&low, rgb>>8&low, rgb>>16&low
		}
	}
}

// pair returns the colours at i of two rows side by side.
func pair(a, b []uint8, i int) uint64 {
	p, q := a[i:i+3:i+3], b[i:i+3:i+3]
	return uint64(uint32(p[0])|uint32(p[1])<<8|uint32(p[2])<<16) | uint64(uint32(q[0])|uint32(q[1])<<8|uint32(q[2])<<16)<<32
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
	in, out      int
	first, count []int
	weights      []uint64
	pairs        []uint64 // weights two by two, of each the lower half of its bits, then the upper
	taps         int
	triangle     []float64 // what set needs
	sums         []uint32  // what down needs
}

// set computes the weights of a triangle as wide as the scale when
// shrinking and 2 wide when growing, centred on half pixels and normalised over
// the taps inside the image; those of the same sizes as before are there already.
// The arithmetic, float64 truncated to integers, is Pillow's (Resample.c,
// precompute_coeffs); the conversions keep compilers from fusing multiplications
// and additions.
func (f *filter) set(in, out int) {
	if f.in == in && f.out == out {
		return
	}
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	f.in, f.out, f.taps = in, out, 2*int(support)+3
	f.first, f.count = room.Of(f.first, out), room.Of(f.count, out)
	f.weights = room.Of(f.weights, out*f.taps)
	clear(f.weights)
	f.triangle = room.Of(f.triangle, f.taps)
	triangle := f.triangle
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
			f.weights[i*f.taps+j] = uint64(.5 + float64(w/sum*(1<<precision)))
		}
		f.first[i], f.count[i] = first, count
	}
	f.pairs = room.Of(f.pairs, out*f.step())
	for i := range f.pairs {
		at := i/f.step()*f.taps + i%f.step()*2
		w, next := f.weights[at], uint64(0)
		if i%f.step()*2+1 < f.taps {
			next = f.weights[at+1]
		}
		const lower = 1<<(precision/2) - 1
		f.pairs[i] = w&lower | next&lower<<16 | w>>(precision/2)<<32 | next>>(precision/2)<<48
	}
}

// step is how many pairs an output has.
func (f *filter) step() int { return (f.taps + 1) / 2 }

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

// down filters the columns of rows of len(dst) bytes, the first that output i is made of
// at the beginning of src, two rows at a time: past the last the weight is 0.
func (f *filter) down(dst, src []uint8, i int) {
	n, done := len(dst), 0
	weights, count := f.weights[i*f.taps:][:f.taps], f.count[i]
	src = src[:count*n]
	if downColumns != nil && n >= 16 {
		done = n &^ 15
		downColumns(&dst[0], &src[0], n, &weights[0], count, done/16)
	}
	f.sums = room.Of(f.sums, n-done)
	sums := f.sums
	for x := range sums {
		sums[x] = half
	}
	for j := 0; j < count; j += 2 {
		v, w := uint32(weights[j]), uint32(weights[j+1])
		a := src[j*n+done:][:len(sums)]
		b := src[min(j+1, count-1)*n+done:][:len(sums)]
		for x := range sums {
			sums[x] += v*uint32(a[x]) + w*uint32(b[x])
		}
	}
	for x, sum := range sums {
		dst[done+x] = clip(sum)
	}
}

// clip is a sum's integer part. Rounded weights can add up to a little more
// than 1, so that white could become 256.
func clip(sum uint32) uint8 { return uint8(min(sum>>precision, 255)) }
