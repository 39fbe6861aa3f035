package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Points of the polynomials whose products are convolutions of 4 by 4 results by 3 by 3
// kernels, with their negatives, 0 and infinity: as in oneDNN, whose error is half that
// of 1 and 2. The factors of a kernel are 1/∏(p-q) over the other points q.
const (
	pa, pb = 5. / 8, 3. / 2
	qa, qb = pa * pa, pb * pb
	f0     = 1 / (qa * qb)
	fa     = 1 / (2 * qa * (qa - qb))
	fb     = 1 / (2 * qb * (qb - qa))
)

// A transform is a matrix that tiles are multiplied with from both sides. Its function
// multiplies a vector x, using the spare registers and those of its constants c.
type transform struct {
	name      string
	in, out   int
	constants []float64
	f         func(x, spare, c []VecPhysical) []VecPhysical
	bounded   bool // results get a bias and bounds
}

var transforms = []transform{
	{name: "winogradImage", in: 6, out: 6, constants: []float64{qa * qb, qa + qb, qa, qb, pa, pb},
		f: func(x, spare, c []VecPhysical) []VecPhysical {
			product, sum, qa, qb, pa, pb := c[0], c[1], c[2], c[3], c[4], c[5]
			even, odd := spare[0], spare[1]
			VMOVAPS(x[4], even)
			VMOVAPS(x[3], odd)
			VFNMADD231PS(qb, x[2], even)
			VFNMADD231PS(qb, x[1], odd)
			VFMADD213PS(x[4], product, x[0])
			VFNMADD231PS(sum, x[2], x[0])
			VFMADD231PS(product, x[1], x[5])
			VFNMADD231PS(sum, x[3], x[5])
			VFNMADD231PS(qa, x[2], x[4])
			VFNMADD231PS(qa, x[1], x[3])
			VMOVAPS(even, x[1])
			VFMADD231PS(pa, odd, x[1])
			VFNMADD231PS(pa, odd, even)
			VMOVAPS(x[4], x[2])
			VFMADD231PS(pb, x[3], x[2])
			VFNMADD231PS(pb, x[3], x[4])
			return []VecPhysical{x[0], x[1], even, x[2], x[4], x[5]}
		}},
	{name: "winogradResult", in: 6, out: 4, constants: []float64{pa, pb, qa, qb, pa * qa, pb * qb}, bounded: true,
		f: func(x, spare, c []VecPhysical) []VecPhysical {
			sum := pairs(x, spare)
			VADDPS(sum, x[0], x[0])
			VADDPS(x[2], x[0], x[0])
			VMULPS(c[0], x[1], x[4])
			VFMADD231PS(c[1], x[3], x[4])
			VMULPS(c[2], sum, sum)
			VFMADD231PS(c[3], x[2], sum)
			VFMADD231PS(c[4], x[1], x[5])
			VFMADD231PS(c[5], x[3], x[5])
			return []VecPhysical{x[0], x[4], sum, x[5]}
		}},
	{name: "winogradKernel", in: 3, out: 6, constants: []float64{f0, fa, fa * qa, fa * pa, fb, fb * qb, fb * pb},
		f: func(x, spare, c []VecPhysical) []VecPhysical {
			VMULPS(c[1], x[0], spare[0])
			VFMADD231PS(c[2], x[2], spare[0])
			VMULPS(c[3], x[1], spare[1])
			VADDPS(spare[1], spare[0], spare[2])
			VSUBPS(spare[1], spare[0], spare[0])
			VMULPS(c[4], x[0], spare[1])
			VFMADD231PS(c[5], x[2], spare[1])
			VMULPS(c[6], x[1], x[1])
			VADDPS(x[1], spare[1], spare[3])
			VSUBPS(x[1], spare[1], spare[1])
			VMULPS(c[0], x[0], x[0])
			return []VecPhysical{x[0], spare[2], spare[0], spare[3], spare[1], x[2]}
		}},
	{name: "winogradResultGrad", in: 4, out: 6, constants: []float64{pa, pb, qa, qb},
		f: func(x, spare, c []VecPhysical) []VecPhysical {
			VMOVAPS(x[0], spare[0])
			VFMADD231PS(c[2], x[2], spare[0])
			VMOVAPS(x[1], spare[1])
			VFMADD231PS(c[2], x[3], spare[1])
			VMOVAPS(spare[0], spare[2])
			VFMADD231PS(c[0], spare[1], spare[2])
			VFNMADD231PS(c[0], spare[1], spare[0])
			VMOVAPS(x[0], spare[1])
			VFMADD231PS(c[3], x[2], spare[1])
			VFMADD231PS(c[3], x[3], x[1])
			VMOVAPS(spare[1], spare[3])
			VFMADD231PS(c[1], x[1], spare[3])
			VFNMADD231PS(c[1], x[1], spare[1])
			return []VecPhysical{x[0], spare[2], spare[0], spare[3], spare[1], x[3]}
		}},
	{name: "winogradKernelGrad", in: 6, out: 3, constants: []float64{f0, fa, fb, fa * pa, fb * pb, fa * qa, fb * qb},
		f: func(x, spare, c []VecPhysical) []VecPhysical {
			sum := pairs(x, spare)
			VMULPS(c[0], x[0], x[0])
			VFMADD231PS(c[1], sum, x[0])
			VFMADD231PS(c[2], x[2], x[0])
			VMULPS(c[3], x[1], x[4])
			VFMADD231PS(c[4], x[3], x[4])
			VFMADD231PS(c[5], sum, x[5])
			VFMADD231PS(c[6], x[2], x[5])
			return []VecPhysical{x[0], x[4], x[5]}
		}},
}

// pairs leaves the sums of what belongs to a point and its negative in the register that
// it returns and in x[2], and the differences in x[1] and x[3].
func pairs(x, spare []VecPhysical) (sum VecPhysical) {
	VADDPS(x[2], x[1], spare[0])
	VSUBPS(x[2], x[1], x[1])
	VADDPS(x[4], x[3], x[2])
	VSUBPS(x[4], x[3], x[3])
	return spare[0]
}

// transform writes the transform of tiles: see transformArgs.
func (s *isa) transform(t transform) {
	s.begin(t.name, "func(p *byte)")
	args, tiles, vectors, src, from, dst, to, between, bias, place := RAX, RBX, RCX, RSI, R8, RDI, R9, R10, R11, R12
	Load(Param("p"), args)
	MOVQ(at(args, 0), tiles)
	MOVQ(at(args, 16), src)
	MOVQ(at(args, 24), from)
	MOVQ(at(args, 32), dst)
	MOVQ(at(args, 40), to)
	MOVQ(at(args, 48), between)
	c := s.v[len(s.v)-len(t.constants):]
	for i, x := range t.constants {
		VBROADCASTSS(constant(x), c[i])
	}
	x, spare := s.v[:t.in], s.v[t.in:]
	bounds := s.v[7:10]
	if t.bounded {
		VBROADCASTSS(at(args, 80), bounds[1])
		VBROADCASTSS(at(args, 84), bounds[2])
	}
	Label("tile")
	MOVQ(at(args, 8), vectors)
	if t.bounded {
		MOVQ(at(args, 72), bias)
	}
	Label("loop")
	for column := range t.in {
		for row := range t.in {
			MOVLQSX(at(from, 4*(row*t.in+column)), place)
			VMOVUPS(Mem{Base: src, Index: place, Scale: 4}, x[row])
		}
		for row, y := range t.f(x, spare, c) {
			VMOVUPS(y, at(between, (row*t.in+column)*s.width()))
		}
	}
	if t.bounded {
		VMOVUPS(at(bias, 0), bounds[0])
		ADDQ(Imm(uint64(s.width())), bias)
	}
	for row := range t.out {
		for column := range t.in {
			VMOVUPS(at(between, (row*t.in+column)*s.width()), x[column])
		}
		for column, y := range t.f(x, spare, c) {
			if t.bounded { // a NaN stays
				VADDPS(bounds[0], y, y)
				VMAXPS(y, bounds[1], y)
				VMINPS(y, bounds[2], y)
			}
			MOVLQSX(at(to, 4*(row*t.out+column)), place)
			VMOVUPS(y, Mem{Base: dst, Index: place, Scale: 4})
		}
	}
	ADDQ(Imm(uint64(s.width())), src)
	ADDQ(Imm(uint64(s.width())), dst)
	DECQ(vectors)
	JNE(LabelRef("loop"))
	ADDQ(at(args, 56), src)
	ADDQ(at(args, 64), dst)
	DECQ(tiles)
	JNE(LabelRef("tile"))
	s.end()
}

// transpose writes the transposition of blocks of 8 by 8 elements: see [isa].
func (s *isa) transpose() {
	s.begin("transpose", "func(dst, src *float32, ldd, lds, dstNext, srcNext, blocks int)")
	dst, src, ldd, lds, dstNext, srcNext, blocks := RDI, RSI, RDX, RCX, R8, R9, RBX
	ldd3, lds3, down, high := R10, R11, R12, R13
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("ldd"), ldd)
	Load(Param("lds"), lds)
	Load(Param("dstNext"), dstNext)
	Load(Param("srcNext"), srcNext)
	Load(Param("blocks"), blocks)
	LEAQ(Mem{Base: ldd, Index: ldd, Scale: 2}, ldd3)
	LEAQ(Mem{Base: lds, Index: lds, Scale: 2}, lds3)
	row := func(base, step, step3 GPPhysical, i, disp int) Mem {
		return [4]Mem{{Base: base, Disp: disp}, {Base: base, Index: step, Scale: 1, Disp: disp},
			{Base: base, Index: step, Scale: 2, Disp: disp}, {Base: base, Index: step3, Scale: 1, Disp: disp}}[i]
	}
	Label("loop")
	LEAQ(Mem{Base: src, Index: lds, Scale: 4}, high)
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, down)
	for half := range 2 { // of the columns: rows i and i+4 in one vector
		x, y := s.v[8*half:8*half+4], s.v[8*half+4:8*half+8]
		for i := range 4 {
			VMOVUPS(row(src, lds, lds3, i, 16*half), x[i].AsX())
			VINSERTF128(Imm(1), row(high, lds, lds3, i, 16*half), x[i], x[i])
		}
		for i := range 2 {
			VUNPCKLPS(x[2*i+1], x[2*i], y[2*i])
			VUNPCKHPS(x[2*i+1], x[2*i], y[2*i+1])
		}
		for i := range 2 {
			VUNPCKLPD(y[2+i], y[i], x[2*i])
			VUNPCKHPD(y[2+i], y[i], x[2*i+1])
		}
		base := []GPPhysical{dst, down}[half]
		for i := range 4 {
			VMOVUPS(x[i], row(base, ldd, ldd3, i, 0))
		}
	}
	ADDQ(srcNext, src)
	ADDQ(dstNext, dst)
	DECQ(blocks)
	JNE(LabelRef("loop"))
	s.end()
}
