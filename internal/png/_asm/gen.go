// Command gen writes what of package png is worth it for amd64: a filter in AVX,
// the checksum in AVX2. Run it by `go generate ./internal/png`.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	paeth(3)
	paeth(4)
	adler()
	Generate()
}

// paeth undoes Paeth's filter of pixels of n bytes, as predict says, all of a pixel's
// channels at once, in words.
func paeth(n int) {
	name := map[int]string{3: "paeth3AVX", 4: "paeth4AVX"}[n]
	TEXT(name, NOSPLIT, "func(dst, src, above *byte, pixels int)")
	Pragma("noescape")
	dst, src, above := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("above"), GP64())
	left := Load(Param("pixels"), GP64())
	zero, a, c := XMM(), XMM(), XMM()
	VPXOR(zero, zero, zero)
	VPXOR(a, a, a)
	VPXOR(c, c, c)
	b, s, t, lo, hi, keep, past := XMM(), XMM(), XMM(), XMM(), XMM(), XMM(), XMM()

	Label("pixel")
	VPMOVZXBW(Mem{Base: above}, b)
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
	VMOVDQA(b, c)
	VPACKUSWB(zero, a, s)
	VMOVD(s, Mem{Base: dst}) // of 3 bytes the fourth is the next pixel's, which comes after
	ADDQ(Imm(uint64(n)), dst)
	ADDQ(Imm(uint64(n)), src)
	ADDQ(Imm(uint64(n)), above)
	DECQ(left)
	JNZ(LabelRef("pixel"))
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
