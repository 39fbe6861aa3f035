package jpeg

import "math"

// What there is that is better than Go, else nil.
var (
	// splitBlocks is splitRGBA of so many blocks of 16 pixels.
	splitBlocks func(y0, y1, cb, cr *float32, first, second *byte, blocks int)
	// transformBlocks is transform.
	transformBlocks func(out *int16, set *uint64, plane *float32, stride, blocks int, scale *float32)
)

// Samples have fraction bits behind the point; those of a colour are sums of four
// pixels. Behind them all of the arithmetic is linear up to rounding, and scales
// take both back.
const fraction = 15

// splitRGBA makes luma of two rows of pixels, an even number of them, and the differences
// blue and red to it of each square of four (ITU-T T.871, section 7, less 128). Alpha is not read:
// pixels lie over black.
func splitRGBA(y0, y1, cb, cr []float32, first, second []uint8) {
	if splitBlocks != nil && len(y0) >= 16 {
		n := len(y0) &^ 15
		splitBlocks(&y0[0], &y1[0], &cb[0], &cr[0], &first[0], &second[0], n/16)
		y0, y1, cb, cr, first, second = y0[n:], y1[n:], cb[n/2:], cr[n/2:], first[4*n:], second[4*n:]
	}
	for i := range cb {
		var blue, red int32
		for x := 2 * i; x < 2*i+2; x++ {
			p, q := first[4*x:4*x+3:4*x+3], second[4*x:4*x+3:4*x+3]
			y0[x], y1[x] = luma(p[0], p[1], p[2]), luma(q[0], q[1], q[2])
			r, g, b := int32(p[0])+int32(q[0]), int32(p[1])+int32(q[1]), int32(p[2])+int32(q[2])
			blue += 16384*b - 10855*g - 5529*r
			red += 16384*r - 13720*g - 2664*b
		}
		cb[i], cr[i] = float32(blue), float32(red)
	}
}

func luma(r, g, b uint8) float32 {
	return float32(9798*int32(r) + 19235*int32(g) + 3735*int32(b) - 128<<fraction)
}

// splitGray makes luma of a row of grey pixels.
func splitGray(y []float32, row []uint8) {
	for i, v := range row {
		y[i] = float32((int32(v) - 128) << fraction)
	}
}

// transform computes blocks of 8×8 samples, beside each other in a plane of rows of stride: their
// cosine transforms, scaled and rounded, and of each which coefficients are not 0. Coefficients
// lie transposed: those of one frequency across are together.
func transform(out [][64]int16, set []uint64, plane []float32, stride int, scale *[64]float32) {
	if transformBlocks != nil {
		_ = plane[7*stride+8*len(out)-1]
		transformBlocks(&out[0][0], &set[0], &plane[0], stride, len(out), &scale[0])
		return
	}
	for i := range out {
		set[i] = transformBlock(&out[i], plane[8*i:], stride, scale)
	}
}

// transformBlock is transform of one block, by the algorithm of Arai, Agui and
// Nakajima (1988), first down, then across, in float32 without fused products.
func transformBlock(out *[64]int16, plane []float32, stride int, scale *[64]float32) (set uint64) {
	var d [64]float32 // transposed
	for x := range 8 {
		var c [8]float32
		for y := range c {
			c[y] = plane[y*stride+x]
		}
		column(&c)
		copy(d[8*x:], c[:])
	}
	for v := range 8 {
		var c [8]float32
		for x := range c {
			c[x] = d[8*x+v]
		}
		column(&c)
		for u, f := range c {
			at := 8*u + v
			if out[at] = round(float32(f * scale[at])); out[at] != 0 {
				set |= 1 << at
			}
		}
	}
	return set
}

// column transforms eight samples; the results are larger than the cosine transform's by aan.
func column(d *[8]float32) {
	t0, t7 := d[0]+d[7], d[0]-d[7]
	t1, t6 := d[1]+d[6], d[1]-d[6]
	t2, t5 := d[2]+d[5], d[2]-d[5]
	t3, t4 := d[3]+d[4], d[3]-d[4]

	a, b, c, e := t0+t3, t0-t3, t1+t2, t1-t2
	d[0], d[4] = a+c, a-c
	z1 := float32((e + b) * 0.707106781)
	d[2], d[6] = b+z1, b-z1

	f, g, h := t4+t5, t5+t6, t6+t7
	z5 := float32((f - h) * 0.382683433)
	z2 := float32(f*0.541196100) + z5
	z4 := float32(h*1.306562965) + z5
	z3 := float32(g * 0.707106781)
	z11, z13 := t7+z3, t7-z3
	d[5], d[3] = z13+z2, z13-z2
	d[1], d[7] = z11+z4, z11-z4
}

// aan is by how much column makes frequency k larger: √8 the lowest, the others 4cos(kπ/16).
var aan = func() (f [8]float64) {
	f[0] = math.Sqrt(8)
	for k := 1; k < 8; k++ {
		f[k] = 4 * math.Cos(float64(k)*math.Pi/16)
	}
	return f
}()

// scales are what a table's coefficients are multiplied with: quantised, and of samples
// with so many bits behind the point.
func scales(table *[64]uint8, bits int) (s [64]float32) {
	for i := range s {
		u, v := i/8, i%8
		s[i] = float32(1 / (math.Ldexp(float64(table[8*v+u]), bits) * aan[u] * aan[v]))
	}
	return s
}

// round returns the nearest integer, of two the even one, of |f| < 2²².
func round(f float32) int16 {
	const shift = 3 << 22 // on which the fraction has no bits left
	return int16(int32(math.Float32bits(f+shift)) - int32(math.Float32bits(shift)))
}
