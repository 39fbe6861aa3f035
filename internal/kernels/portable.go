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
	transforms: [lastTransform]func(*byte){
		winogradImage:      portableTransform(6, 6, imageSums),
		winogradResult:     portableTransform(6, 4, resultSums),
		winogradKernel:     portableTransform(3, 6, kernelSums),
		winogradResultGrad: portableTransform(4, 6, resultGradSums),
		winogradKernelGrad: portableTransform(6, 3, kernelGradSums),
	},
	transpose: func(dst, src *float32, ldd, lds, dstNext, srcNext, blocks int) {
		for block := range blocks {
			for i := range square {
				row := (*[square]float32)(unsafe.Add(unsafe.Pointer(src), block*srcNext+i*lds))
				for j, v := range row {
					*(*float32)(unsafe.Add(unsafe.Pointer(dst), block*dstNext+j*ldd+4*i)) = v
				}
			}
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

// portableTransform makes the transform of tiles of in×in elements to out×out by a
// function that multiplies a row or column. Results get a bias and bounds where they are
// those of a convolution.
func portableTransform(in, out int, multiply func(x *[6]float32)) func(*byte) {
	const lanes = 8
	return func(p *byte) {
		a := (*transformArgs)(unsafe.Pointer(p))
		from, to := unsafe.Slice(a.from, in*in), unsafe.Slice(a.to, out*out)
		src, dst := a.src, a.dst
		for range a.tiles {
			for v := range a.vectors {
				for i := range lanes {
					var between [6][6]float32
					for column := range in {
						var x [6]float32
						for row := range in {
							x[row] = *shift(src, int(from[row*in+column])+i)
						}
						multiply(&x)
						for row := range out {
							between[row][column] = x[row]
						}
					}
					for row := range out {
						x := &between[row]
						multiply(x)
						for column := range out {
							y := x[column]
							if a.bias != nil {
								y = min(max(y+*shift(a.bias, v*lanes+i), a.lo), a.hi)
							}
							*shift(dst, int(to[row*out+column])+i) = y
						}
					}
				}
				src, dst = shift(src, lanes), shift(dst, lanes)
			}
			src, dst = shift(src, a.srcNext/4), shift(dst, a.dstNext/4)
		}
	}
}

// Points of Winograd's polynomials, their squares and the factors of kernels: see the
// generator in _asm.
const (
	pointA, pointB   = 5. / 8, 3. / 2
	squareA, squareB = pointA * pointA, pointB * pointB
	factor0          = 1 / (squareA * squareB)
	factorA          = 1 / (2 * squareA * (squareA - squareB))
	factorB          = 1 / (2 * squareB * (squareB - squareA))
)

func imageSums(x *[6]float32) {
	evenA, oddA := x[4]-squareB*x[2], pointA*(x[3]-squareB*x[1])
	evenB, oddB := x[4]-squareA*x[2], pointB*(x[3]-squareA*x[1])
	first := squareA*squareB*x[0] - (squareA+squareB)*x[2] + x[4]
	last := squareA*squareB*x[1] - (squareA+squareB)*x[3] + x[5]
	*x = [6]float32{first, evenA + oddA, evenA - oddA, evenB + oddB, evenB - oddB, last}
}

func resultSums(x *[6]float32) {
	sumA, sumB, a, b := x[1]+x[2], x[3]+x[4], pointA*(x[1]-x[2]), pointB*(x[3]-x[4])
	*x = [6]float32{x[0] + sumA + sumB, a + b, squareA*sumA + squareB*sumB, squareA*a + squareB*b + x[5]}
}

func kernelSums(x *[6]float32) {
	evenA, oddA := factorA*(x[0]+squareA*x[2]), factorA*pointA*x[1]
	evenB, oddB := factorB*(x[0]+squareB*x[2]), factorB*pointB*x[1]
	*x = [6]float32{factor0 * x[0], evenA + oddA, evenA - oddA, evenB + oddB, evenB - oddB, x[2]}
}

func resultGradSums(x *[6]float32) {
	evenA, oddA := x[0]+squareA*x[2], pointA*(x[1]+squareA*x[3])
	evenB, oddB := x[0]+squareB*x[2], pointB*(x[1]+squareB*x[3])
	*x = [6]float32{x[0], evenA + oddA, evenA - oddA, evenB + oddB, evenB - oddB, x[3]}
}

func kernelGradSums(x *[6]float32) {
	sumA, sumB, a, b := x[1]+x[2], x[3]+x[4], factorA*pointA*(x[1]-x[2]), factorB*pointB*(x[3]-x[4])
	*x = [6]float32{factor0*x[0] + factorA*sumA + factorB*sumB, a + b, factorA*squareA*sumA + factorB*squareB*sumB + x[5]}
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
