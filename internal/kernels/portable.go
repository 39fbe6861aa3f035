package kernels

import (
	"math"
	"unsafe"
)

// portable is what every processor runs.
var portable = &isa{
	name: "portable", lanes: 8, rows: 4, dotRows: 2, dotCols: 2,
	product: portableProducts(4), dot: portableDots(2, 2),
	gather: gathering(8),
	each:   portableEach(),
	sum: func(x *float32, n int) float32 {
		var parts [chunk]float32
		for i, v := range unsafe.Slice(x, n) {
			parts[i%chunk] += v
		}
		for half := chunk / 2; half > 0; half /= 2 {
			for i := range half {
				parts[i] += parts[half+i]
			}
		}
		return parts[0]
	},
	highest: func(x *float32, n int) float32 {
		top := *x
		for _, v := range unsafe.Slice(x, n) {
			top = max(top, v)
		}
		return top
	},
	pairMax: func(dst, a, b *float32, n int) {
		x, y := unsafe.Slice(a, 2*n), unsafe.Slice(b, 2*n)
		for i := range unsafe.Slice(dst, n) {
			*shift(dst, i) = max(x[2*i], x[2*i+1], y[2*i], y[2*i+1])
		}
	},
	pairAdd: func(dst, a, b *float32, n int) {
		x, y := unsafe.Slice(a, 2*n), unsafe.Slice(b, 2*n)
		for i := range unsafe.Slice(dst, n) {
			*shift(dst, i) = x[2*i] + y[2*i] + (x[2*i+1] + y[2*i+1])
		}
	},
	zip: func(dst, a, b *float32, n int) {
		y, x := unsafe.Slice(b, n), unsafe.Slice(dst, 2*n)
		for i, v := range unsafe.Slice(a, n) {
			x[2*i], x[2*i+1] = v, y[i]
		}
	},
	widen: func(dst *float32, src *uint8, n int) {
		y := unsafe.Slice(dst, n)
		for i, v := range unsafe.Slice(src, n) {
			y[i] = float32(v)
		}
	},
}

// gathering makes the function [isa].gather of vectors of so many lanes.
func gathering(lanes int) func(dst, src *float32, off *int32, k, vectors int) {
	return func(dst, src *float32, off *int32, k, vectors int) {
		n := lanes * vectors
		for i, o := range unsafe.Slice(off, k) {
			copy(unsafe.Slice(shift(dst, i*n), n), unsafe.Slice(shift(src, int(o)), n))
		}
	}
}

// shift returns the address n elements on.
func shift(p *float32, n int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n))
}

func portableProducts(rows int) [][3]func(*byte) {
	var table [][3]func(*byte)
	for r := range rows {
		var line [3]func(*byte)
		for v := range line {
			line[v] = func(p *byte) { portableProduct((*productArgs)(unsafe.Pointer(p)), r+1, v+1) }
		}
		table = append(table, line)
	}
	return table
}

func portableProduct(p *productArgs, rows, vectors int) {
	off := unsafe.Slice(p.off, p.k)
	for i := range rows {
		a0 := shift(p.a, i*p.lda/4)
		c := shift(p.c, i*p.ldc/4)
		for v := range vectors {
			t := (*[8]float32)(unsafe.Pointer(shift(c, 8*v)))
			var c0, c1, c2, c3, c4, c5, c6, c7 float32
			switch {
			case p.add != 0:
				c0, c1, c2, c3, c4, c5, c6, c7 = t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]
			case p.bias != nil:
				c0 = *shift(p.bias, i)
				c1, c2, c3, c4, c5, c6, c7 = c0, c0, c0, c0, c0, c0, c0
			}
			a := unsafe.Pointer(a0)
			for k, o := range off {
				w := *(*float32)(unsafe.Add(a, k*p.ka))
				b := (*[8]float32)(unsafe.Pointer(shift(p.b, int(o)+8*v)))
				c0 += w * b[0]
				c1 += w * b[1]
				c2 += w * b[2]
				c3 += w * b[3]
				c4 += w * b[4]
				c5 += w * b[5]
				c6 += w * b[6]
				c7 += w * b[7]
			}
			t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7] = c0, c1, c2, c3, c4, c5, c6, c7
			for j, x := range t {
				t[j] = min(max(x, p.lo), p.hi)
			}
		}
	}
}

func portableDots(rows, cols int) [][]func(*byte) {
	var table [][]func(*byte)
	for r := range rows {
		var line []func(*byte)
		for c := range cols {
			line = append(line, func(p *byte) { portableDot((*dotArgs)(unsafe.Pointer(p)), r+1, c+1) })
		}
		table = append(table, line)
	}
	return table
}

func portableDot(p *dotArgs, rows, cols int) {
	for i, ao := range unsafe.Slice(p.aoff, rows) {
		for j, bo := range unsafe.Slice(p.boff, cols) {
			var s [4]float32
			for line := range p.lines {
				a := unsafe.Slice(shift(p.a, int(ao)+line*(p.arow/4)), p.k)
				b := unsafe.Slice(shift(p.b, int(bo)+line*(p.brow/4)), p.k)
				for k := 0; k+4 <= len(a) && k+4 <= len(b); k += 4 {
					s[0] += a[k] * b[k]
					s[1] += a[k+1] * b[k+1]
					s[2] += a[k+2] * b[k+2]
					s[3] += a[k+3] * b[k+3]
				}
			}
			*shift(p.c, i*p.ldc/4+j) += s[0] + s[1] + (s[2] + s[3])
		}
	}
}

func portableEach() (t [lastSIMD]func(dst, a, b, c *float32, n int)) {
	one := func(f func(x float32) float32) func(dst, a, b, c *float32, n int) {
		return func(dst, a, _, _ *float32, n int) {
			y := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(a, n) {
				y[i] = f(v)
			}
		}
	}
	two := func(f func(x, y float32) float32) func(dst, a, b, c *float32, n int) {
		return func(dst, a, b, _ *float32, n int) {
			y, x := unsafe.Slice(dst, n), unsafe.Slice(b, n)
			for i, v := range unsafe.Slice(a, n) {
				y[i] = f(v, x[i])
			}
		}
	}
	test := func(holds bool) float32 {
		if holds {
			return 1
		}
		return 0
	}
	t[opAdd] = two(func(x, y float32) float32 { return x + y })
	t[opSub] = two(func(x, y float32) float32 { return x - y })
	t[opMul] = two(func(x, y float32) float32 { return x * y })
	t[opDiv] = two(func(x, y float32) float32 { return x / y })
	t[opMax] = two(func(x, y float32) float32 { return max(x, y) })
	t[opMin] = two(func(x, y float32) float32 { return min(x, y) })
	t[opGreater] = two(func(x, y float32) float32 { return test(x > y) })
	t[opGreaterOrEqual] = two(func(x, y float32) float32 { return test(x >= y) })
	t[opEqual] = two(func(x, y float32) float32 { return test(x == y) })
	t[opWhere] = func(dst, a, b, c *float32, n int) {
		d, x, y := unsafe.Slice(dst, n), unsafe.Slice(b, n), unsafe.Slice(c, n)
		for i, v := range unsafe.Slice(a, n) {
			if v != 0 {
				d[i] = x[i]
			} else {
				d[i] = y[i]
			}
		}
	}
	t[opRelu] = one(func(x float32) float32 { return max(x, 0) })
	t[opSqrt] = one(func(x float32) float32 { return float32(math.Sqrt(float64(x))) })
	t[opAbs] = one(func(x float32) float32 { return float32(math.Abs(float64(x))) })
	t[opNeg] = one(func(x float32) float32 { return -x })
	t[opExp] = one(func(x float32) float32 { return float32(math.Exp(float64(x))) })
	t[opSigmoid] = one(func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) })
	t[opTanh] = one(func(x float32) float32 { return float32(math.Tanh(float64(x))) })
	return t
}
