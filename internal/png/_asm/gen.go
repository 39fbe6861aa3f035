// Command gen writes the filter of package png that is worth it for amd64, in
// AVX. Run it by `go generate ./internal/png`.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func main() {
	ConstraintExpr("!purego")
	paeth(3)
	paeth(4)
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
