// Command gen writes what of package png is worth it for amd64: a filter in AVX,
// the checksum in AVX2, codes of Deflate with BMI2. Run it by `go generate ./internal/png`.
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
	inflate()
	Generate()
}

// paethStep undoes Paeth's filter of pixels s, as predict says, all of their channels at
// once, in words: a becomes the sum of s and what a, b and c predict, and s its bytes.
func paethStep(s, zero, a, b, c reg.VecVirtual) {
	t, lo, hi, keep, past := XMM(), XMM(), XMM(), XMM(), XMM()
	// t = 3c - a - b
	VPADDW(c, c, t)
	VPADDW(c, t, t)
	VPSUBW(a, t, t)
	VPSUBW(b, t, t)
	VPMINUB(a, b, lo)
	VPMAXUB(a, b, hi)
	VPCMPGTW(t, hi, keep) // hi > t: not lo
	VPCMPGTW(lo, t, past) // t > lo: not hi
	VPBLENDVB(keep, c, lo, lo)
	VPBLENDVB(past, lo, hi, hi)
	VPADDB(hi, s, a)
	VPACKUSWB(zero, a, s)
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
	zero, a, b, c, s := zeros(), zeros(), XMM(), zeros(), XMM()

	Label("pixel")
	VPMOVZXBW(Mem{Base: above}, b)
	VPMOVZXBW(Mem{Base: src}, s)
	paethStep(s, zero, a, b, c)
	VMOVD(s, Mem{Base: dst}) // of 3 bytes the fourth is the next pixel's, which comes after
	VMOVDQA(b, c)
	for _, p := range []reg.Register{dst, src, above} {
		ADDQ(Imm(uint64(n)), p)
	}
	DECQ(left)
	JNZ(LabelRef("pixel"))
	RET()
}

// paethPair is paeth of two rows, the second a pixel behind the first, in the upper half of
// registers. What stands before a row is no pixel: left of the second's first one all is 0.
func paethPair(n int) {
	TEXT(fmt.Sprintf("paethPair%dAVX", n), NOSPLIT, "func(dst0, dst1, src0, src1, above *byte, pixels int)")
	Pragma("noescape")
	dst0, dst1 := Load(Param("dst0"), GP64()), Load(Param("dst1"), GP64())
	src0, src1 := Load(Param("src0"), GP64()), Load(Param("src1"), GP64())
	above, left := Load(Param("above"), GP64()), Load(Param("pixels"), GP64())
	zero, a, b, c, s := zeros(), zeros(), XMM(), zeros(), XMM()
	// step has no second row for the first pixel, and no first one behind the last.
	step := func(first, second bool) {
		if first {
			VPMOVZXBW(Mem{Base: above}, b)
			VMOVD(Mem{Base: src0}, s)
		} else {
			VPXOR(b, b, b)
			VPXOR(s, s, s)
		}
		if second {
			VPINSRD(Imm(1), Mem{Base: src1}, s, s)
			VPUNPCKLQDQ(a, b, b)
		} else {
			VMOVQ(b, b)
		}
		VPMOVZXBW(s, s)
		paethStep(s, zero, a, b, c)
		VMOVDQA(b, c)
		move := []reg.Register{above}
		if first {
			VMOVD(s, Mem{Base: dst0})
			move = append(move, dst0, src0)
		}
		if second {
			VPEXTRD(Imm(1), s, Mem{Base: dst1})
			move = append(move, dst1, src1)
		}
		for _, p := range move {
			ADDQ(Imm(uint64(n)), p)
		}
	}
	step(true, false)
	DECQ(left)
	JZ(LabelRef("last"))

	Label("pixel")
	step(true, true)
	DECQ(left)
	JNZ(LabelRef("pixel"))

	Label("last")
	step(false, true)
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

// inflate unpacks codes as inflater.codes does, from bits and input to output, as long as there
// are 16 bytes of input and output is not past limit. It stops before a symbol that is none of
// a literal or a match. An entry ends in how many bits it takes, so that it is the count of a shift itself.
func inflate() {
	TEXT("inflateBMI2", NOSPLIT, "func(output, start, limit, input, last *byte, bits uint64, n uint, literal, distance *uint32) (written, read int, rest uint64, left uint)")
	Pragma("noescape")
	param := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	argument := func(name string) Mem {
		b, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		return b.Addr
	}
	start, limit, last := argument("start"), argument("limit"), argument("last")
	out, in, hold, n := param("output"), param("input"), param("bits"), param("n")
	literal, distance := param("literal"), param("distance")
	entry, t, x, length, hold0, n0 := GP64(), GP64(), GP64(), GP64(), GP64(), GP64()

	refill := func() {
		MOVQ(Mem{Base: in}, t)
		SHLXQ(n, t, t)
		ORQ(t, hold)
		MOVQ(n, t) // of n the lowest 6 bits count
		SHRQ(Imm(3), t)
		ANDQ(Imm(7), t)
		SUBQ(t, in)
		ADDQ(Imm(7), in)
		ORQ(Imm(56), n)
	}
	lookUp := func(table reg.GPVirtual, bits uint64) {
		MOVL(hold.As32(), x.As32())
		ANDL(U32(1<<bits-1), x.As32())
		MOVL(Mem{Base: table, Index: x, Scale: 4}, entry.As32())
	}
	consume := func() {
		SHRXQ(entry, hold, hold)
		SUBQ(entry, n)
	}
	// extra makes x the value of an entry and as many bits as it says.
	extra := func() {
		MOVL(entry.As32(), t.As32())
		SHRL(Imm(8), t.As32())
		BZHIQ(t, hold, x)
		SHRL(Imm(16), entry.As32())
	}
	// link goes on to the entry that one leads to.
	link := func(table reg.GPVirtual) {
		consume()
		extra()
		ADDQ(entry, x)
		MOVL(Mem{Base: table, Index: x, Scale: 4}, entry.As32())
	}
	// number makes sum the length or distance that an entry begins: its value and extra bits.
	number := func(sum reg.GPVirtual) {
		consume()
		extra()
		LEAQ(Mem{Base: x, Index: entry, Scale: 1}, sum)
		TESTQ(entry, entry)
		JZ(LabelRef("back"))
		SHRXQ(t, hold, hold)
		SUBQ(t, n)
	}
	const literals, oneByte = 3 << 12, 1 << 12

	Label("begin")
	CMPQ(out, limit)
	JA(LabelRef("end"))
	CMPQ(in, last)
	JA(LabelRef("end"))
	refill()
	lookUp(literal, 11)
	JMP(LabelRef("symbol"))

	Label("next") // whose entry is looked up already
	CMPQ(out, limit)
	JA(LabelRef("end"))
	CMPQ(in, last)
	JA(LabelRef("end"))
	refill()

	Label("symbol")
	for range 3 { // take 33 bits of 56
		TESTL(U32(literals), entry.As32())
		JZ(LabelRef("match"))
		consume()
		MOVL(entry.As32(), t.As32())
		SHRL(Imm(16), entry.As32())
		MOVW(entry.As16(), Mem{Base: out})
		SHRL(Imm(12), t.As32())
		ANDL(Imm(3), t.As32())
		ADDQ(t, out)
		lookUp(literal, 11)
	}
	JMP(LabelRef("next"))

	Label("match")
	refill() // a length and a distance take 48
	MOVQ(hold, hold0)
	MOVQ(n, n0)
	BTL(Imm(6), entry.As32())
	JCC(LabelRef("length"))
	link(literal)
	TESTL(U32(oneByte), entry.As32())
	JZ(LabelRef("length"))
	consume()
	SHRL(Imm(16), entry.As32())
	MOVB(entry.As8(), Mem{Base: out})
	INCQ(out)
	lookUp(literal, 11)
	JMP(LabelRef("next"))

	Label("length")
	number(length)
	lookUp(distance, 8)
	BTL(Imm(6), entry.As32())
	JCC(LabelRef("distance"))
	link(distance)

	Label("distance")
	number(x)
	MOVQ(out, t)
	SUBQ(start, t)
	CMPQ(x, t)
	JA(LabelRef("back"))
	MOVQ(out, entry)
	SUBQ(x, entry)    // from where
	ADDQ(out, length) // to where
	CMPQ(x, Imm(16))
	JB(LabelRef("near"))
	v := XMM()
	Label("copy")
	MOVOU(Mem{Base: entry}, v)
	MOVOU(v, Mem{Base: out})
	ADDQ(Imm(16), entry)
	ADDQ(Imm(16), out)
	CMPQ(out, length)
	JB(LabelRef("copy"))
	MOVQ(length, out)
	JMP(LabelRef("begin"))

	Label("near")
	CMPQ(x, Imm(8))
	JAE(LabelRef("words"))
	for i := range 8 {
		MOVB(Mem{Base: entry, Disp: i}, t.As8())
		MOVB(t.As8(), Mem{Base: out, Disp: i})
	}
	ADDQ(Imm(8), out)
	MOVQ(x, t)
	Label("repeat") // after a word, too
	ADDQ(x, t)
	CMPQ(t, Imm(8))
	JB(LabelRef("repeat"))
	MOVQ(out, entry)
	SUBQ(t, entry)
	CMPQ(out, length)
	JAE(LabelRef("copied"))
	Label("words")
	MOVQ(Mem{Base: entry}, t)
	MOVQ(t, Mem{Base: out})
	ADDQ(Imm(8), entry)
	ADDQ(Imm(8), out)
	CMPQ(out, length)
	JB(LabelRef("words"))
	Label("copied")
	MOVQ(length, out)
	JMP(LabelRef("begin"))

	Label("back")
	MOVQ(hold0, hold)
	MOVQ(n0, n)
	Label("end")
	ANDQ(Imm(63), n)
	SUBQ(argument("output"), out)
	SUBQ(argument("input"), in)
	Store(out, Return("written"))
	Store(in, Return("read"))
	Store(hold, Return("rest"))
	Store(n, Return("left"))
	RET()
}
