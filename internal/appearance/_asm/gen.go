// Command gen writes the sums of package appearance in AVX2. Run it by
// `go generate ./internal/appearance`.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!purego")
	total()
	laplacian()
	Generate()
}

// begin begins a function of so many pointers to bytes and a number of blocks, and
// returns a register of zeros too.
func begin(name, signature string, pointers ...string) (at []reg.GPVirtual, blocks reg.GPVirtual, sum reg.VecVirtual) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	for _, p := range pointers {
		at = append(at, Load(Param(p), GP64()).(reg.GPVirtual))
	}
	blocks, sum = Load(Param("blocks"), GP64()).(reg.GPVirtual), YMM()
	VPXOR(sum, sum, sum)
	Label("block")
	return at, blocks, sum
}

// end goes on to the next block, of so many bytes, and returns the sum of the quadwords of sum.
func end(at []reg.GPVirtual, blocks reg.GPVirtual, size int, sum func() reg.VecVirtual) {
	for _, p := range at {
		ADDQ(Imm(uint64(size)), p)
	}
	DECQ(blocks)
	JNZ(LabelRef("block"))
	all, half, result := sum(), XMM(), GP64()
	VEXTRACTI128(Imm(1), all, half)
	VPADDQ(half, all.AsX(), all.AsX())
	VPSHUFD(Imm(0xee), all.AsX(), half)
	VPADDQ(half, all.AsX(), all.AsX())
	VMOVQ(all.AsX(), result)
	VZEROUPPER()
	Store(result, ReturnIndex(0))
	RET()
}

// total adds blocks of 32 bytes.
func total() {
	at, blocks, sum := begin("totalAVX2", "func(x *byte, blocks int) int", "x")
	zero, v := YMM(), YMM()
	VPXOR(zero, zero, zero)
	VPSADBW(Mem{Base: at[0]}, zero, v)
	VPADDQ(v, sum, sum)
	end(at, blocks, 32, func() reg.VecVirtual { return sum })
}

// laplacian adds |4x − a − b − c − d| of blocks of 16 bytes, in words, which are added in
// pairs to doublewords.
func laplacian() {
	at, blocks, sum := begin("laplacianAVX2", "func(x, a, b, c, d *byte, blocks int) int", "x", "a", "b", "c", "d")
	v := [5]reg.VecVirtual{}
	for i, p := range at {
		v[i] = YMM()
		VPMOVZXBW(Mem{Base: p}, v[i])
	}
	ones := YMM()
	VPCMPEQW(ones, ones, ones)
	VPSRLW(Imm(15), ones, ones)
	VPSLLW(Imm(2), v[0], v[0])
	VPADDW(v[1], v[2], v[1])
	VPADDW(v[3], v[4], v[3])
	VPSUBW(v[1], v[0], v[0])
	VPSUBW(v[3], v[0], v[0])
	VPABSW(v[0], v[0])
	VPMADDWD(ones, v[0], v[0])
	VPADDD(v[0], sum, sum)
	end(at, blocks, 16, func() reg.VecVirtual { // doublewords to quadwords
		odd, mask := YMM(), YMM()
		VPCMPEQD(mask, mask, mask)
		VPSRLQ(Imm(32), mask, mask)
		VPSRLQ(Imm(32), sum, odd)
		VPAND(mask, sum, sum)
		VPADDQ(odd, sum, sum)
		return sum
	})
}
