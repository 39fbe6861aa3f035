// Command gen writes the kernels of package kernels for amd64: AVX2 with FMA,
// and AVX-512 (F, BW, DQ and VL). Run it by `go generate ./internal/kernels`.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	for _, s := range []*isa{avx2, avx512} {
		for rows := 1; rows <= s.rows; rows++ {
			for vectors := 1; vectors <= 3; vectors++ {
				s.product(rows, vectors)
			}
		}
		for rows := 1; rows <= s.dotRows; rows++ {
			for cols := 1; cols <= s.dotCols; cols++ {
				s.dot(rows, cols)
			}
		}
		s.gather()
		s.elementwise()
		s.reductions()
		s.pairs()
		s.bytes()
		for _, t := range transforms {
			s.transform(t)
		}
	}
	avx2.transpose()
	Generate()
}

// An isa is an instruction set: its vectors and how large its tiles are.
type isa struct {
	name             string
	lanes            int
	v                []VecPhysical
	rows             int // of a product's tile; it has up to three vectors
	dotRows, dotCols int // of a tile of dot products
}

var avx2 = &isa{"AVX2", 8, []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}, 4, 3, 4}

var avx512 = &isa{"AVX512", 16, []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
}, 8, 4, 6}

func (s *isa) width() int { return 4 * s.lanes }

func (s *isa) wide() bool { return s.lanes == 16 }

func (s *isa) begin(name, signature string) {
	TEXT(name+s.name, NOSPLIT, signature)
	Pragma("noescape")
}

func (s *isa) end() {
	VZEROUPPER()
	RET()
}

func (s *isa) zero(v VecPhysical) {
	if s.wide() {
		VPXORD(v, v, v)
		return
	}
	VXORPS(v, v, v)
}

func at(base GPPhysical, disp int) Mem { return Mem{Base: base, Disp: disp} }

func constant(x float64) Mem { return bits(math.Float32bits(float32(x))) }

var constants = map[uint32]Mem{}

func bits(b uint32) Mem {
	m, ok := constants[b]
	if !ok {
		m = ConstData(fmt.Sprintf("c%08x", b), U32(b))
		constants[b] = m
	}
	return m
}

// product writes the tile of a product: see productArgs.
func (s *isa) product(rows, vectors int) {
	s.begin(fmt.Sprintf("product%dx%d", rows, vectors), "func(p *byte)")
	args, k, lda, ka, b, off, c, ldc, place := RAX, RCX, R9, R12, RDX, RSI, RDI, RBX, R13
	a := []GPPhysical{R8, R10, R11} // rows 0, 3 and 6
	Load(Param("p"), args)
	acc := func(i, j int) VecPhysical { return s.v[i*vectors+j] }
	column := func(j int) VecPhysical { return s.v[rows*vectors+j] }
	spare := s.v[(rows+1)*vectors:]

	MOVQ(at(args, 0), k)
	MOVQ(at(args, 8), a[0])
	MOVQ(at(args, 16), lda)
	MOVQ(at(args, 24), ka)
	MOVQ(at(args, 32), b)
	MOVQ(at(args, 40), off)
	MOVQ(at(args, 48), c)
	MOVQ(at(args, 56), ldc)
	for i := 3; i < rows; i += 3 {
		LEAQ(Mem{Base: a[i/3-1], Index: lda, Scale: 2}, a[i/3])
		ADDQ(lda, a[i/3])
	}
	cRow := func(f func(i int)) { // c is row i's
		MOVQ(at(args, 48), c)
		for i := range rows {
			f(i)
			if i+1 < rows {
				ADDQ(ldc, c)
			}
		}
	}
	label := func(l string) string { return l }
	CMPQ(at(args, 72), Imm(0))
	JNE(LabelRef(label("add")))
	MOVQ(at(args, 64), place)
	TESTQ(place, place)
	JNE(LabelRef(label("bias")))
	for i := range rows {
		for j := range vectors {
			s.zero(acc(i, j))
		}
	}
	JMP(LabelRef(label("start")))
	Label(label("bias"))
	for i := range rows {
		VBROADCASTSS(at(place, 4*i), acc(i, 0))
		for j := 1; j < vectors; j++ {
			VMOVAPS(acc(i, 0), acc(i, j))
		}
	}
	JMP(LabelRef(label("start")))
	Label(label("add"))
	cRow(func(i int) {
		for j := range vectors {
			VMOVUPS(at(c, j*s.width()), acc(i, j))
		}
	})
	Label(label("start"))
	TESTQ(k, k)
	JE(LabelRef(label("done")))
	Label(label("loop"))
	MOVLQSX(at(off, 0), place)
	for j := range vectors {
		VMOVUPS(Mem{Base: b, Index: place, Scale: 4, Disp: j * s.width()}, column(j))
	}
	for i := range rows {
		m := Mem{Base: a[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = lda, uint8(i%3)
		}
		w := spare[i%len(spare)]
		VBROADCASTSS(m, w)
		for j := range vectors {
			VFMADD231PS(column(j), w, acc(i, j))
		}
	}
	ADDQ(Imm(4), off)
	for i := 0; i < rows; i += 3 {
		ADDQ(ka, a[i/3])
	}
	DECQ(k)
	JNE(LabelRef(label("loop")))
	Label(label("done"))
	low, high := column(0), spare[0]
	VBROADCASTSS(at(args, 80), low)
	VBROADCASTSS(at(args, 84), high)
	cRow(func(i int) {
		for j := range vectors { // a NaN stays
			VMAXPS(acc(i, j), low, acc(i, j))
			VMINPS(acc(i, j), high, acc(i, j))
			VMOVUPS(acc(i, j), at(c, j*s.width()))
		}
	})
	s.end()
}

// dot writes a tile of dot products: see dotArgs.
func (s *isa) dot(rows, cols int) {
	s.begin(fmt.Sprintf("dot%dx%d", rows, cols), "func(p *byte)")
	args, i, end, lines := RAX, RCX, RDX, RBX
	pointers := []GPPhysical{RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15}
	a, b := pointers[:rows], pointers[rows:rows+cols]
	acc := func(r, c int) VecPhysical { return s.v[r*cols+c] }
	left := s.v[rows*cols : rows*cols+rows]
	right := s.v[rows*cols+rows]
	Load(Param("p"), args)
	for operand, p := range [][]GPPhysical{a, b} {
		for j, r := range p {
			MOVQ(at(args, 24+16*operand), i)
			MOVLQSX(at(i, 4*j), r)
			SHLQ(Imm(2), r)
			ADDQ(at(args, 16+16*operand), r)
		}
	}
	MOVQ(at(args, 0), lines)
	MOVQ(at(args, 8), end)
	SHLQ(Imm(2), end)
	for r := range rows {
		for c := range cols {
			s.zero(acc(r, c))
		}
	}
	Label("line")
	XORQ(i, i)
	Label("loop")
	for r := range rows {
		VMOVUPS(Mem{Base: a[r], Index: i, Scale: 1}, left[r])
	}
	for c := range cols {
		VMOVUPS(Mem{Base: b[c], Index: i, Scale: 1}, right)
		for r := range rows {
			VFMADD231PS(left[r], right, acc(r, c))
		}
	}
	ADDQ(Imm(uint64(s.width())), i)
	CMPQ(i, end)
	JLT(LabelRef("loop"))
	for _, r := range a {
		ADDQ(at(args, 64), r)
	}
	for _, r := range b {
		ADDQ(at(args, 72), r)
	}
	DECQ(lines)
	JNE(LabelRef("line"))
	MOVQ(at(args, 48), i)
	for r := range rows {
		for c := range cols {
			s.sum(acc(r, c), right)
			x := acc(r, c).AsX().(VecPhysical)
			VADDSS(at(i, 4*c), x, x)
			VMOVSS(x, at(i, 4*c))
		}
		if r+1 < rows {
			ADDQ(at(args, 56), i)
		}
	}
	s.end()
}

// sum leaves the sum of v's lanes in its first.
func (s *isa) sum(v, spare VecPhysical) {
	s.fold(v, spare, func(a, b VecPhysical) { VADDPS(a, b, b) })
}

func (s *isa) fold(v, spare VecPhysical, f func(a, b VecPhysical)) {
	y, x := v.AsY().(VecPhysical), v.AsX().(VecPhysical)
	sy, sx := spare.AsY().(VecPhysical), spare.AsX().(VecPhysical)
	if s.wide() {
		VEXTRACTF64X4(Imm(1), v, sy)
		f(sy, y)
		VEXTRACTF32X4(Imm(1), y, sx)
	} else {
		VEXTRACTF128(Imm(1), y, sx)
	}
	f(sx, x)
	VPERMILPS(Imm(0x4e), x, sx)
	f(sx, x)
	VPERMILPS(Imm(0xb1), x, sx)
	f(sx, x)
}

// gather writes what copies rows of three vectors, each from its own place,
// one after the other.
func (s *isa) gather() {
	s.begin("gather", "func(dst, src *float32, off *int32, k, vectors int)")
	dst, src, off, k, n, place, j := RDI, RSI, RDX, RCX, RBX, R8, R9
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("off"), off)
	Load(Param("k"), k)
	Load(Param("vectors"), n)
	Label("loop")
	MOVLQSX(at(off, 0), place)
	LEAQ(Mem{Base: src, Index: place, Scale: 4}, place)
	MOVQ(n, j)
	Label("row")
	VMOVUPS(at(place, 0), s.v[0])
	VMOVUPS(s.v[0], at(dst, 0))
	ADDQ(Imm(uint64(s.width())), place)
	ADDQ(Imm(uint64(s.width())), dst)
	DECQ(j)
	JNE(LabelRef("row"))
	ADDQ(Imm(4), off)
	DECQ(k)
	JNE(LabelRef("loop"))
	s.end()
}

// each writes a function that computes dst[i] of a[i], b[i] and c[i], for a
// multiple of 16 elements.
func (s *isa) each(name string, operands int, prepare func(), f func(x []VecPhysical)) {
	s.begin(name, "func(dst, a, b, c *float32, n int)")
	dst, n := RDI, RCX
	from := []GPPhysical{RSI, RDX, RBX}
	Load(Param("dst"), dst)
	for i, p := range []string{"a", "b", "c"}[:operands] {
		Load(Param(p), from[i])
	}
	Load(Param("n"), n)
	if prepare != nil {
		prepare()
	}
	Label("loop")
	for i := range operands {
		VMOVUPS(at(from[i], 0), s.v[i])
		ADDQ(Imm(uint64(s.width())), from[i])
	}
	f(s.v[:3])
	VMOVUPS(s.v[0], at(dst, 0))
	ADDQ(Imm(uint64(s.width())), dst)
	SUBQ(Imm(uint64(s.lanes)), n)
	JG(LabelRef("loop"))
	s.end()
}

// Predicates of VCMPPS that no NaN satisfies, and one that every NaN does.
const (
	equal          = 0x00
	unordered      = 0x03
	notEqual       = 0x04
	greaterOrEqual = 0x1d
	greater        = 0x1e
)

// choose leaves in x[0] yes where the comparison of a and b holds, and no elsewhere.
func (s *isa) choose(predicate uint64, a, b, yes, no, dst VecPhysical) {
	if s.wide() {
		VCMPPS(Imm(predicate), b, a, K1)
		VBLENDMPS(yes, no, K1, dst)
		return
	}
	mask := s.v[15]
	VCMPPS(Imm(predicate), b, a, mask)
	VBLENDVPS(mask, yes, no, dst)
}

func (s *isa) elementwise() {
	one, zero := s.v[4], s.v[5]
	two := func(name string, f func(a, b, dst VecPhysical)) {
		s.each(name, 2, nil, func(x []VecPhysical) { f(x[0], x[1], x[0]) })
	}
	two("add", func(a, b, dst VecPhysical) { VADDPS(b, a, dst) })
	two("sub", func(a, b, dst VecPhysical) { VSUBPS(b, a, dst) })
	two("mul", func(a, b, dst VecPhysical) { VMULPS(b, a, dst) })
	two("div", func(a, b, dst VecPhysical) { VDIVPS(b, a, dst) })
	two("max", func(a, b, dst VecPhysical) { // a where that is NaN; the instruction gives b
		VMAXPS(b, a, s.v[2])
		s.choose(unordered, a, a, a, s.v[2], dst)
	})
	two("min", func(a, b, dst VecPhysical) {
		VMINPS(b, a, s.v[2])
		s.choose(unordered, a, a, a, s.v[2], dst)
	})
	load := func() {
		VBROADCASTSS(constant(1), one)
		s.zero(zero)
	}
	for _, c := range []struct {
		name      string
		predicate uint64
	}{{"greater", greater}, {"greaterOrEqual", greaterOrEqual}, {"equal", equal}} {
		s.each(c.name, 2, load, func(x []VecPhysical) { s.choose(c.predicate, x[0], x[1], one, zero, x[0]) })
	}
	s.each("where", 3, load, func(x []VecPhysical) { s.choose(notEqual, x[0], zero, x[1], x[2], x[0]) })
	s.each("relu", 1, load, func(x []VecPhysical) { VMAXPS(x[0], zero, x[0]) })
	s.each("sqrt", 1, nil, func(x []VecPhysical) { VSQRTPS(x[0], x[0]) })
	sign := s.v[6]
	s.each("abs", 1, func() { VBROADCASTSS(bits(1<<31-1), sign) }, func(x []VecPhysical) { VANDPS(sign, x[0], x[0]) })
	flip := func() { VBROADCASTSS(bits(1<<31), sign) }
	s.each("neg", 1, flip, func(x []VecPhysical) { VXORPS(sign, x[0], x[0]) })
	s.each("exp", 1, s.expConstants, func(x []VecPhysical) { s.exp(x[0]) })
	s.each("sigmoid", 1, func() { s.expConstants(); flip() }, func(x []VecPhysical) {
		VXORPS(sign, x[0], x[0])
		s.exp(x[0])
		VADDPS(one, x[0], x[0])
		VDIVPS(x[0], one, x[0])
	})
	// 1 - 2/(e²ˣ+1), and near zero a polynomial, as in Cephes, tanhf.
	s.each("tanh", 1, s.expConstants, func(x []VecPhysical) {
		origin, square, near, c := s.v[14], s.v[5], s.v[6], s.v[12]
		VMOVAPS(x[0], origin)
		VMULPS(x[0], x[0], square)
		VADDPS(x[0], x[0], x[0])
		s.exp(x[0])
		VADDPS(one, x[0], x[0])
		VADDPS(one, one, x[1])
		VDIVPS(x[0], x[1], x[0])
		VSUBPS(x[0], one, x[0])
		VBROADCASTSS(constant(tanhPolynomial[0]), near)
		for _, p := range tanhPolynomial[1:] {
			VBROADCASTSS(constant(p), c)
			VFMADD213PS(c, square, near)
		}
		VMULPS(square, near, near)
		VFMADD213PS(origin, origin, near)
		VBROADCASTSS(constant(.625*.625), c)
		s.choose(greater, c, square, near, x[0], x[0])
	})
}

var tanhPolynomial = []float64{-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1}

// Constants of exp as in Cephes, expf: range reduction by ln 2 in two parts, a
// polynomial of degree 5 for (eʳ-1-r)/r².
var expPolynomial = []float64{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}

func (s *isa) expConstants() {
	VBROADCASTSS(constant(1), s.v[4])
	for i, c := range []float64{-104, 89, math.Log2E, -0.693359375, 2.12194440e-4} {
		VBROADCASTSS(constant(c), s.v[7+i])
	}
}

// exp needs expConstants in registers 4 and 7 to 11, and uses 1 to 3 and 12 to 14.
func (s *isa) exp(x VecPhysical) {
	low, high, log2e, ln2High, ln2Low := s.v[7], s.v[8], s.v[9], s.v[10], s.v[11]
	n, y, c := s.v[2], s.v[3], s.v[12]
	VMAXPS(x, low, x) // a NaN stays
	VMINPS(x, high, x)
	VMULPS(log2e, x, n)
	if s.wide() {
		VRNDSCALEPS(Imm(8), n, n)
	} else {
		VROUNDPS(Imm(8), n, n)
	}
	VFMADD231PS(ln2High, n, x)
	VFMADD231PS(ln2Low, n, x)
	VBROADCASTSS(constant(expPolynomial[0]), y)
	for _, p := range expPolynomial[1:] {
		VBROADCASTSS(constant(p), c)
		VFMADD213PS(c, x, y)
	}
	VMULPS(x, x, c)
	VFMADD213PS(x, c, y)
	VADDPS(s.v[4], y, x)
	if s.wide() {
		VSCALEFPS(n, x, x)
		return
	}
	// 2ⁿ in two factors, since n may be beyond one's exponents.
	bias := s.v[13]
	VBROADCASTSS(bits(127), bias)
	VCVTPS2DQ(n, n)
	VPSRAD(Imm(1), n, y)
	VPSUBD(y, n, n)
	for _, half := range []VecPhysical{n, y} {
		VPADDD(bias, half, half)
		VPSLLD(Imm(23), half, half)
		VMULPS(half, x, x)
	}
}

// reductions of n elements, a multiple of 16.
func (s *isa) reductions() {
	for _, r := range []struct {
		name string
		f    func(a, b VecPhysical) // into b
	}{
		{"sum", func(a, b VecPhysical) { VADDPS(a, b, b) }},
		{"highest", func(a, b VecPhysical) { // NaN where either is
			if s.wide() && a.Size() == 64 {
				VMAXPS(a, b, s.v[6])
				VCMPPS(Imm(unordered), b, b, K1)
				VBLENDMPS(b, s.v[6], K1, b)
				return
			}
			spare, mask := X14, X15
			if a.Size() == 32 {
				VMAXPS(a, b, Y14)
				VCMPPS(Imm(unordered), b, b, Y15)
				VBLENDVPS(Y15, b, Y14, b)
				return
			}
			VMAXPS(a, b, spare)
			VCMPPS(Imm(unordered), b, b, mask)
			VBLENDVPS(mask, b, spare, b)
		}},
	} {
		s.begin(r.name, "func(x *float32, n int) float32")
		x, n := RSI, RCX
		Load(Param("x"), x)
		Load(Param("n"), n)
		step := 16 / s.lanes // vectors that hold 16 elements
		for i := range step {
			VMOVUPS(at(x, i*s.width()), s.v[i])
		}
		JMP(LabelRef("next"))
		Label("loop")
		for i := range step {
			VMOVUPS(at(x, i*s.width()), s.v[3])
			r.f(s.v[3], s.v[i])
		}
		Label("next")
		ADDQ(Imm(64), x)
		SUBQ(Imm(16), n)
		JG(LabelRef("loop"))
		if step == 2 {
			r.f(s.v[1], s.v[0])
		}
		s.fold(s.v[0], s.v[3], r.f)
		Store(X0, ReturnIndex(0))
		s.end()
	}
}

// evens and odds leave the elements of even and odd place of a, then b.
func (s *isa) deinterleave(a, b, even, odd VecPhysical) {
	if s.wide() {
		VMOVAPS(s.v[8], even)
		VPERMI2PS(b, a, even)
		VMOVAPS(s.v[9], odd)
		VPERMI2PS(b, a, odd)
		return
	}
	VSHUFPS(Imm(0x88), b, a, even)
	VSHUFPS(Imm(0xdd), b, a, odd)
	VPERMPD(Imm(0xd8), even, even)
	VPERMPD(Imm(0xd8), odd, odd)
}

// pairs are functions of 2n neighbours, n a multiple of 16.
func (s *isa) pairs() {
	loadIndices := func(name string, first, second func(i int) uint32) {
		if !s.wide() {
			return
		}
		for k, index := range []func(int) uint32{first, second} {
			m := GLOBL(fmt.Sprint(name, k), RODATA|NOPTR)
			for i := range 16 {
				DATA(4*i, U32(index(i)))
			}
			VMOVUPS(m, s.v[8+k])
		}
	}
	for _, p := range []struct {
		name string
		f    func(a, b, dst VecPhysical)
	}{
		{"pairMax", func(a, b, dst VecPhysical) { // as max above
			VMAXPS(b, a, s.v[6])
			s.choose(unordered, a, a, a, s.v[6], dst)
		}},
		{"pairAdd", func(a, b, dst VecPhysical) { VADDPS(b, a, dst) }},
	} {
		s.begin(p.name, "func(dst, a, b *float32, n int)")
		dst, a, b, n := RDI, RSI, RDX, RCX
		Load(Param("dst"), dst)
		Load(Param("a"), a)
		Load(Param("b"), b)
		Load(Param("n"), n)
		loadIndices("split"+p.name, func(i int) uint32 { return uint32(2 * i) }, func(i int) uint32 { return uint32(2*i + 1) })
		Label("loop")
		for i := range 2 {
			VMOVUPS(at(a, i*s.width()), s.v[i])
			VMOVUPS(at(b, i*s.width()), s.v[2+i])
			p.f(s.v[i], s.v[2+i], s.v[i])
		}
		s.deinterleave(s.v[0], s.v[1], s.v[4], s.v[5])
		p.f(s.v[4], s.v[5], s.v[0])
		VMOVUPS(s.v[0], at(dst, 0))
		ADDQ(Imm(uint64(2*s.width())), a)
		ADDQ(Imm(uint64(2*s.width())), b)
		ADDQ(Imm(uint64(s.width())), dst)
		SUBQ(Imm(uint64(s.lanes)), n)
		JG(LabelRef("loop"))
		s.end()
	}
	s.begin("zip", "func(dst, a, b *float32, n int)")
	dst, a, b, n := RDI, RSI, RDX, RCX
	Load(Param("dst"), dst)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("n"), n)
	loadIndices("zip", func(i int) uint32 { return uint32(i/2 + i%2*16) }, func(i int) uint32 { return uint32(8 + i/2 + i%2*16) })
	Label("loop")
	VMOVUPS(at(a, 0), s.v[0])
	VMOVUPS(at(b, 0), s.v[1])
	if s.wide() {
		for i := range 2 {
			VMOVAPS(s.v[8+i], s.v[2+i])
			VPERMI2PS(s.v[1], s.v[0], s.v[2+i])
		}
	} else {
		VUNPCKLPS(s.v[1], s.v[0], s.v[4])
		VUNPCKHPS(s.v[1], s.v[0], s.v[5])
		VPERM2F128(Imm(0x20), s.v[5], s.v[4], s.v[2])
		VPERM2F128(Imm(0x31), s.v[5], s.v[4], s.v[3])
	}
	for i := range 2 {
		VMOVUPS(s.v[2+i], at(dst, i*s.width()))
	}
	ADDQ(Imm(uint64(s.width())), a)
	ADDQ(Imm(uint64(s.width())), b)
	ADDQ(Imm(uint64(2*s.width())), dst)
	SUBQ(Imm(uint64(s.lanes)), n)
	JG(LabelRef("loop"))
	s.end()
}

// bytes writes the conversion of n bytes, a multiple of 16, to float32.
func (s *isa) bytes() {
	s.begin("widen", "func(dst *float32, src *uint8, n int)")
	dst, src, n := RDI, RSI, RCX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	Label("loop")
	VPMOVZXBD(at(src, 0), s.v[0])
	VCVTDQ2PS(s.v[0], s.v[0])
	VMOVUPS(s.v[0], at(dst, 0))
	ADDQ(Imm(uint64(s.lanes)), src)
	ADDQ(Imm(uint64(s.width())), dst)
	SUBQ(Imm(uint64(s.lanes)), n)
	JG(LabelRef("loop"))
	s.end()
}
