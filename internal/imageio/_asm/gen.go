// Command gen writes the two passes of package imageio's resizing for amd64, in
// AVX2. Run it by `go generate ./internal/imageio`.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	across(3)
	across(4)
	down()
	Generate()
}

const precision = 22 // of weights, as in package imageio

// half returns 1/2 in each lane.
func half() reg.VecVirtual {
	h := YMM()
	VPCMPEQD(h, h, h)
	VPSRLD(Imm(31), h, h)
	VPSLLD(Imm(precision-1), h, h)
	return h
}

// across filters two rows of pixels of size bytes into pixels of 3 bytes: one row in each
// half of a register, two taps at once. A weight is in two parts, as products of words are added.
func across(size int) {
	order := GLOBL(fmt.Sprintf("pairs%d", size), RODATA|NOPTR)
	for i := range 32 {
		at := uint8(0x80) // gives 0
		if channel := i % 16 / 4; i%2 == 0 && channel < 3 {
			at = uint8(channel + i%4/2*size) // of the first pixel, then of the second
		}
		DATA(i, U8(at))
	}
	TEXT(fmt.Sprintf("across%dAVX2", size), NOSPLIT, "func(dst0, dst1, src0, src1 *byte, first, count *int, pairs *uint64, step, n int)")
	Pragma("noescape")
	dst0, dst1 := Load(Param("dst0"), GP64()), Load(Param("dst1"), GP64())
	src0, src1 := Load(Param("src0"), GP64()), Load(Param("src1"), GP64())
	SUBQ(src0, src1)
	first, count := Load(Param("first"), GP64()), Load(Param("count"), GP64())
	row, step, left := Load(Param("pairs"), GP64()), Load(Param("step"), GP64()), Load(Param("n"), GP64())
	SHLQ(Imm(3), step)
	h, by := half(), YMM()
	VMOVDQU(order, by)
	x, y, w, low, high := YMM(), YMM(), YMM(), YMM(), YMM()

	Label("output")
	p, weights, taps := GP64(), GP64(), GP64()
	MOVQ(Mem{Base: first}, p)
	IMUL3Q(Imm(uint64(size)), p, p)
	ADDQ(src0, p)
	MOVQ(row, weights)
	MOVQ(Mem{Base: count}, taps)
	VMOVDQA(h, low)
	VPXOR(high, high, high)

	Label("pair")
	VMOVQ(Mem{Base: p}, x.AsX())
	VMOVQ(Mem{Base: p, Index: src1, Scale: 1}, y.AsX())
	VINSERTI128(Imm(1), y.AsX(), x, x)
	VPSHUFB(by, x, x)
	VPBROADCASTD(Mem{Base: weights}, w)
	VPMADDWD(w, x, y)
	VPADDD(y, low, low)
	VPBROADCASTD(Mem{Base: weights, Disp: 4}, w)
	VPMADDWD(w, x, y)
	VPADDD(y, high, high)
	ADDQ(Imm(8), weights)
	ADDQ(Imm(uint64(2*size)), p)
	SUBQ(Imm(2), taps)
	JG(LabelRef("pair"))

	VPSLLD(Imm(precision/2), high, high)
	VPADDD(high, low, low)
	VPSRLD(Imm(precision), low, low)
	VPACKUSDW(low, low, low)
	VPACKUSWB(low, low, low)
	VEXTRACTI128(Imm(1), low, x.AsX())
	for i, dst := range []reg.Register{dst0, dst1} {
		VMOVD([]reg.VecVirtual{low, x}[i].AsX(), p.As32())
		MOVW(p.As16(), Mem{Base: dst})
		SHRQ(Imm(16), p)
		MOVB(p.As8(), Mem{Base: dst, Disp: 2})
		ADDQ(Imm(3), dst)
	}
	ADDQ(Imm(8), first)
	ADDQ(Imm(8), count)
	ADDQ(step, row)
	DECQ(left)
	JNZ(LabelRef("output"))
	VZEROUPPER()
	RET()
}

// down filters columns, 16 at a time.
func down() {
	TEXT("downAVX2", NOSPLIT, "func(dst, src *byte, stride int, weights *uint64, count, blocks int)")
	Pragma("noescape")
	dst, src, stride := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("stride"), GP64())
	weights, count, left := Load(Param("weights"), GP64()), Load(Param("count"), GP64()), Load(Param("blocks"), GP64())
	h := half()
	w, x, y, a, b := YMM(), YMM(), YMM(), YMM(), YMM()

	Label("block")
	p, weight, taps := GP64(), GP64(), GP64()
	MOVQ(src, p)
	MOVQ(weights, weight)
	MOVQ(count, taps)
	VMOVDQA(h, a)
	VMOVDQA(h, b)

	Label("tap")
	VPBROADCASTD(Mem{Base: weight}, w)
	VPMOVZXBD(Mem{Base: p}, x)
	VPMOVZXBD(Mem{Base: p, Disp: 8}, y)
	VPMULLD(w, x, x)
	VPMULLD(w, y, y)
	VPADDD(x, a, a)
	VPADDD(y, b, b)
	ADDQ(Imm(8), weight)
	ADDQ(stride, p)
	DECQ(taps)
	JNZ(LabelRef("tap"))

	VPSRLD(Imm(precision), a, a)
	VPSRLD(Imm(precision), b, b)
	VPACKUSDW(b, a, a)      // a's first 4, b's first 4; a's others, b's others
	VPERMQ(Imm(0xd8), a, a) // in order
	VEXTRACTI128(Imm(1), a, x.AsX())
	VPACKUSWB(x.AsX(), a.AsX(), a.AsX())
	VMOVDQU(a.AsX(), Mem{Base: dst})
	ADDQ(Imm(16), src)
	ADDQ(Imm(16), dst)
	DECQ(left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}
