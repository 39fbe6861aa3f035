package kernels

import "unsafe"

//go:generate sh -c "cd _asm && go run ./neon > ../simd_arm64.s"
//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg kernels"

// An isa is what an instruction set gives: its vectors and the kernels written for it.
// Functions of n elements take a multiple of [chunk], but for what is said of them.
type isa struct {
	name  string
	lanes int // float32 of a vector

	// product computes a tile of a product of matrices: of 1 to rows rows (the
	// first index plus 1) by 1 to 3 vectors (the second plus 1).
	rows    int
	product [][3]func(p *byte)

	// dot computes a tile of dot products, of 1 to dotRows by 1 to dotCols.
	dotRows, dotCols int
	dot              [][]func(p *byte)

	// gather copies k runs of so many vectors, each from src[off[i]:], to dst.
	gather func(dst, src *float32, off *int32, k, vectors int)

	each         [lastSIMD]func(dst, a, b, c *float32, n int) // by opcode
	sum, highest func(x *float32, n int) float32
	// pairMax and pairAdd join a[2i], a[2i+1], b[2i] and b[2i+1] to dst[i].
	pairMax, pairAdd func(dst, a, b *float32, n int)
	// zip writes a[i] to dst[2i] and b[i] to dst[2i+1].
	zip   func(dst, a, b *float32, n int)
	widen func(dst *float32, src *uint8, n int)

	transforms [lastTransform]func(p *byte) // see transformArgs; nil where there are none
	// transpose writes blocks of 8×8 elements transposed, as many and as far from each
	// other as it says. Distances of rows and of blocks are in bytes.
	transpose func(dst, src *float32, ldd, lds, dstNext, srcNext, blocks int)
}

// square is the side of the blocks of [isa].transpose.
const square = 8

// chunk is the number of elements whose multiples the kernels work on.
const chunk = 16

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// productArgs are the operands of a tile: c[i][j] = Σ a[i][k]·b[k][j], the sums
// in the order of k, then held between lo and hi. Strides are in bytes.
type productArgs struct {
	k       int
	a       *float32
	lda, ka int // from row to row, and from column to column
	b       *float32
	off     *int32 // of the rows of b, in elements
	c       *float32
	ldc     int
	bias    *float32 // that each row begins with; nil for zeros
	add     int      // not 0: rows begin with what c holds, not with a bias
	lo, hi  float32
}

// dotArgs are the operands of a tile: c[i][j] += Σ a[aoff[i]+k]·b[boff[j]+k] over
// lines of k elements each, a multiple of the lanes. Strides are in bytes, offsets in elements.
type dotArgs struct {
	lines, k   int
	a          *float32
	aoff       *int32
	b          *float32
	boff       *int32
	c          *float32
	ldc        int
	arow, brow int // from line to line
}

func (p *productArgs) run(f func(*byte)) { f((*byte)(unsafe.Pointer(p))) }

func (p *dotArgs) run(f func(*byte)) { f((*byte)(unsafe.Pointer(p))) }
