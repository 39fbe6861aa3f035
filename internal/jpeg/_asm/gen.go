// Command gen writes what package jpeg encodes with for amd64, in AVX2. Run it by
// `go generate ./internal/jpeg`.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	colours()
	transform()
	Generate()
}

// weights are a pixel's red, green, blue and alpha in a sum, for two pairs of pixels.
func weights(name string, rgb ...int16) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		w := int16(0)
		if at := i % 4; at < len(rgb) {
			w = rgb[at]
		}
		DATA(2*i, I16(w))
	}
	return m
}

// colours makes rows of luma and of colour differences of two rows of RGBA, as
// splitRGBA does, 16 pixels at a time.
func colours() {
	luma, blue, red := weights("luma", 9798, 19235, 3735), weights("blue", -5529, -10855, 16384), weights("red", 16384, -13720, -2664)
	TEXT("splitAVX2", NOSPLIT, "func(y0, y1, cb, cr *float32, first, second *byte, blocks int)")
	Pragma("noescape")
	y := []reg.GPVirtual{GP64(), GP64()}
	Load(Param("y0"), y[0])
	Load(Param("y1"), y[1])
	cb, cr := Load(Param("cb"), GP64()), Load(Param("cr"), GP64())
	rows := []reg.Register{Load(Param("first"), GP64()), Load(Param("second"), GP64())}
	left := Load(Param("blocks"), GP64())
	zero, bias, y4, b4, r4 := YMM(), YMM(), YMM(), YMM(), YMM()
	VPXOR(zero, zero, zero)
	VPCMPEQD(bias, bias, bias)
	VPSLLD(Imm(22), bias, bias) // -128, of 15 bits behind the point
	VMOVDQU(luma, y4)
	VMOVDQU(blue, b4)
	VMOVDQU(red, r4)

	// sum weights pixels 0, 1, 4, 5 and 2, 3, 6, 7.
	sum := func(weights, low, high reg.VecVirtual) reg.VecVirtual {
		a, b := YMM(), YMM()
		VPMADDWD(weights, low, a)
		VPMADDWD(weights, high, b)
		VPHADDD(b, a, a)
		return a
	}
	Label("block")
	var blues, reds [2]reg.VecVirtual
	for half := range 2 {
		var low, high [2]reg.VecVirtual
		for i, row := range rows {
			low[i], high[i] = YMM(), YMM()
			VMOVDQU(Mem{Base: row, Disp: 32 * half}, low[i])
			VPUNPCKHBW(zero, low[i], high[i])
			VPUNPCKLBW(zero, low[i], low[i])
			v := sum(y4, low[i], high[i])
			VPADDD(bias, v, v)
			VCVTDQ2PS(v, v)
			VMOVUPS(v, Mem{Base: y[i], Disp: 32 * half})
		}
		VPADDW(low[1], low[0], low[0])
		VPADDW(high[1], high[0], high[0])
		blues[half], reds[half] = sum(b4, low[0], high[0]), sum(r4, low[0], high[0])
	}
	for i, pair := range [][2]reg.VecVirtual{blues, reds} {
		v := pair[0]
		VPHADDD(pair[1], v, v)
		VPERMQ(Imm(0xd8), v, v)
		VCVTDQ2PS(v, v)
		VMOVUPS(v, Mem{Base: []reg.Register{cb, cr}[i]})
	}
	for _, p := range []reg.Register{y[0], y[1], rows[0], rows[1]} {
		ADDQ(Imm(64), p)
	}
	ADDQ(Imm(32), cb)
	ADDQ(Imm(32), cr)
	DECQ(left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// transform is transformBlock for blocks beside each other.
func transform() {
	constant := func(name string, v float32) Mem {
		m := GLOBL(name, RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, F32(v))
		}
		return m
	}
	c2m6, c6, c4, c2p6 := constant("c2m6", 0.541196100), constant("c6", 0.382683433), constant("c4", 0.707106781), constant("c2p6", 1.306562965)
	add := func(a, b reg.VecVirtual) reg.VecVirtual { c := YMM(); VADDPS(b, a, c); return c }
	sub := func(a, b reg.VecVirtual) reg.VecVirtual { c := YMM(); VSUBPS(b, a, c); return c }
	mul := func(a reg.VecVirtual, m Mem) reg.VecVirtual { c := YMM(); VMULPS(m, a, c); return c }
	// column is the function of that name, for eight of them.
	column := func(d [8]reg.VecVirtual) [8]reg.VecVirtual {
		t0, t7 := add(d[0], d[7]), sub(d[0], d[7])
		t1, t6 := add(d[1], d[6]), sub(d[1], d[6])
		t2, t5 := add(d[2], d[5]), sub(d[2], d[5])
		t3, t4 := add(d[3], d[4]), sub(d[3], d[4])

		a, b, c, e := add(t0, t3), sub(t0, t3), add(t1, t2), sub(t1, t2)
		var o [8]reg.VecVirtual
		o[0], o[4] = add(a, c), sub(a, c)
		z1 := mul(add(e, b), c4)
		o[2], o[6] = add(b, z1), sub(b, z1)

		f, g, h := add(t4, t5), add(t5, t6), add(t6, t7)
		z5 := mul(sub(f, h), c6)
		z2, z4, z3 := add(mul(f, c2m6), z5), add(mul(h, c2p6), z5), mul(g, c4)
		z11, z13 := add(t7, z3), sub(t7, z3)
		o[5], o[3] = add(z13, z2), sub(z13, z2)
		o[1], o[7] = add(z11, z4), sub(z11, z4)
		return o
	}
	transpose := func(r [8]reg.VecVirtual) [8]reg.VecVirtual {
		var a, b, o [8]reg.VecVirtual
		for i := 0; i < 8; i += 2 {
			a[i], a[i+1] = YMM(), YMM()
			VUNPCKLPS(r[i+1], r[i], a[i])
			VUNPCKHPS(r[i+1], r[i], a[i+1])
		}
		for i := 0; i < 8; i += 4 {
			for j := range 2 {
				b[i+2*j], b[i+2*j+1] = YMM(), YMM()
				VSHUFPS(Imm(0x44), a[i+j+2], a[i+j], b[i+2*j])
				VSHUFPS(Imm(0xee), a[i+j+2], a[i+j], b[i+2*j+1])
			}
		}
		for i := range 4 {
			o[i], o[i+4] = YMM(), YMM()
			VPERM2F128(Imm(0x20), b[i+4], b[i], o[i])
			VPERM2F128(Imm(0x31), b[i+4], b[i], o[i+4])
		}
		return o
	}

	TEXT("transformAVX2", NOSPLIT, "func(out *int16, set *uint64, plane *float32, stride, blocks int, scale *float32)")
	Pragma("noescape")
	out, set := Load(Param("out"), GP64()), Load(Param("set"), GP64())
	plane, stride := Load(Param("plane"), GP64()), Load(Param("stride"), GP64())
	left, scale := Load(Param("blocks"), GP64()), Load(Param("scale"), GP64())
	SHLQ(Imm(2), stride)
	far, p := GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, far)

	Label("block")
	var d [8]reg.VecVirtual
	LEAQ(Mem{Base: plane, Index: stride, Scale: 4}, p)
	for i := range d {
		d[i] = YMM()
		base := plane
		if i >= 4 {
			base = p
		}
		switch i % 4 {
		case 0:
			VMOVUPS(Mem{Base: base}, d[i])
		case 1:
			VMOVUPS(Mem{Base: base, Index: stride, Scale: 1}, d[i])
		case 2:
			VMOVUPS(Mem{Base: base, Index: stride, Scale: 2}, d[i])
		case 3:
			VMOVUPS(Mem{Base: base, Index: far, Scale: 1}, d[i])
		}
	}
	d = column(transpose(column(d)))
	for i, v := range d {
		VMULPS(Mem{Base: scale, Disp: 32 * i}, v, v)
		VCVTPS2DQ(v, v)
	}
	for i := 0; i < 8; i += 2 {
		VPACKSSDW(d[i+1], d[i], d[i])
		VPERMQ(Imm(0xd8), d[i], d[i])
		VMOVDQU(d[i], Mem{Base: out, Disp: 16 * i})
	}
	zero, bits := YMM(), []reg.GPVirtual{GP64(), GP64()}
	VPXOR(zero, zero, zero)
	for i := range bits {
		v := d[4*i]
		VPACKSSWB(d[4*i+2], v, v)
		VPERMQ(Imm(0xd8), v, v)
		VPCMPEQB(zero, v, v)
		VPMOVMSKB(v, bits[i].As32())
	}
	SHLQ(Imm(32), bits[1])
	ORQ(bits[0], bits[1])
	NOTQ(bits[1])
	MOVQ(bits[1], Mem{Base: set})
	ADDQ(Imm(128), out)
	ADDQ(Imm(8), set)
	ADDQ(Imm(32), plane)
	DECQ(left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}
