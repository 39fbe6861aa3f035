// Command gen writes what of package png is worth it for amd64: a filter in AVX,
// the checksum in AVX2. Run it by `go generate ./internal/png`.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	for _, n := range []int{3, 4} {
		paeth(n)
		paethPair(n)
	}
	adler()
	Generate()
}

// paethStep undoes Paeth's filter of a pixel, as predict says, all of its channels at
// once, in words: s becomes the sum of it and what a, b and c predict, then a.
func paethStep(src, dst reg.Register, zero, a, b, c reg.VecVirtual) {
	s, t, lo, hi, keep, past := XMM(), XMM(), XMM(), XMM(), XMM(), XMM()
	VPMOVZXBW(Mem{Base: src}, s)
	// t = 3c - b - a
	VPADDW(c, c, t)
	VPADDW(c, t, t)
	VPSUBW(b, t, t)
	VPSUBW(a, t, t)
	VPMINUB(a, b, lo)
	VPMAXUB(a, b, hi)
	VPCMPGTW(t, hi, keep) // hi > t: not lo
	VPCMPGTW(lo, t, past) // t > lo: not hi
	VPBLENDVB(keep, c, lo, lo)
	VPBLENDVB(past, lo, hi, hi)
	VPADDB(hi, s, a)
	VPACKUSWB(zero, a, s)
	VMOVD(s, Mem{Base: dst}) // of 3 bytes the fourth is the next pixel's, which comes after
}

func zeros() reg.VecVirtual {
	z := XMM()
	VPXOR(z, z, z)
	return z
}

// paeth undoes Paeth's filter of a row of pixels of n bytes.
func paeth(n int) {
	TEXT(fmt.Sprintf("paeth%dAVX", n), NOSPLIT, "func(dst, src, above *byte, pixels int)")
	Pragma("noescape")
	dst, src, above := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("above"), GP64())
	left := Load(Param("pixels"), GP64())
	zero, a, b, c := zeros(), zeros(), XMM(), zeros()

	Label("pixel")
	VPMOVZXBW(Mem{Base: above}, b)
	paethStep(src, dst, zero, a, b, c)
	VMOVDQA(b, c)
	for _, p := range []reg.Register{dst, src, above} {
		ADDQ(Imm(uint64(n)), p)
	}
	DECQ(left)
	JNZ(LabelRef("pixel"))
	RET()
}

// paethPair is paeth of two rows, the second a pixel behind the first: what one waits for
// leaves time for the other.
func paethPair(n int) {
	TEXT(fmt.Sprintf("paethPair%dAVX", n), NOSPLIT, "func(dst0, dst1, src0, src1, above *byte, pixels int)")
	Pragma("noescape")
	dst0, dst1 := Load(Param("dst0"), GP64()), Load(Param("dst1"), GP64())
	src0, src1 := Load(Param("src0"), GP64()), Load(Param("src1"), GP64())
	above, left := Load(Param("above"), GP64()), Load(Param("pixels"), GP64())
	zero, a0, b0, c0, a1, b1, c1 := zeros(), zeros(), XMM(), zeros(), zeros(), XMM(), zeros()
	first := func() {
		VPMOVZXBW(Mem{Base: above}, b0)
		paethStep(src0, dst0, zero, a0, b0, c0)
		VMOVDQA(b0, c0)
		for _, p := range []reg.Register{dst0, src0, above} {
			ADDQ(Imm(uint64(n)), p)
		}
	}
	second := func() {
		VMOVDQA(a0, b1)
		paethStep(src1, dst1, zero, a1, b1, c1)
		VMOVDQA(b1, c1)
		for _, p := range []reg.Register{dst1, src1} {
			ADDQ(Imm(uint64(n)), p)
		}
	}
	first()
	DECQ(left)
	JZ(LabelRef("last"))

	Label("pixel")
	second()
	first()
	DECQ(left)
	JNZ(LabelRef("pixel"))

	Label("last")
	second()
	RET()
}

// adler adds blocks of 32 bytes to the two sums of Adler-32, which are not reduced.
func adler() {
	const block = 32
	weights := GLOBL("weights", RODATA|NOPTR)
	for i := range block {
		DATA(i, U8(block-i))
	}
	TEXT("adlerAVX2", NOSPLIT, "func(p *byte, blocks int, a, b uint32) (uint32, uint32)")
	Pragma("noescape")
	p, left := Load(Param("p"), GP64()), Load(Param("blocks"), GP64())
	v := GP32()
	zero, ones, falling := YMM(), YMM(), YMM()
	VPXOR(zero, zero, zero)
	VPCMPEQW(ones, ones, ones)
	VPSRLW(Imm(15), ones, ones)
	VMOVDQU(weights, falling)
	// b is what a was before each block, 32 times, and each byte as often as it is counted in its block.
	a, before, b := YMM(), YMM(), YMM()
	Load(Param("a"), v)
	VMOVD(v, a.AsX())
	Load(Param("b"), v)
	VMOVD(v, b.AsX())
	VPXOR(before, before, before)
	x, y := YMM(), YMM()

	Label("block")
	VMOVDQU(Mem{Base: p}, x)
	VPADDD(a, before, before)
	VPSADBW(zero, x, y)
	VPADDD(y, a, a)
	VPMADDUBSW(falling, x, x)
	VPMADDWD(ones, x, x)
	VPADDD(x, b, b)
	ADDQ(Imm(block), p)
	DECQ(left)
	JNZ(LabelRef("block"))

	VPSLLD(Imm(5), before, before)
	VPADDD(before, b, b)
	for i, sum := range []reg.VecVirtual{a, b} {
		VEXTRACTI128(Imm(1), sum, x.AsX())
		VPADDD(x.AsX(), sum.AsX(), sum.AsX())
		for _, swap := range []uint64{0x4e, 0xb1} {
			VPSHUFD(Imm(swap), sum.AsX(), x.AsX())
			VPADDD(x.AsX(), sum.AsX(), sum.AsX())
		}
		VMOVD(sum.AsX(), v)
		Store(v, ReturnIndex(i))
	}
	VZEROUPPER()
	RET()
}
