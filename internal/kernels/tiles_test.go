package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// tileTol is of sums of up to 40 products of numbers in (-1,1), in float32.
const tileTol = 1e-5

func noise(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x
}

// TestProducts holds each tile, with each of its beginnings and ends, to sums in
// float64, and to leave alone what lies beside it.
func TestProducts(t *testing.T) {
	const k, lda, bRow, ldc = 13, 17, 70, 61
	rng := rand.New(rand.NewPCG(1, 2))
	a, b, bias := noise(rng, 8*lda), noise(rng, k*bRow), noise(rng, 8)
	off := make([]int32, k)
	for i := range off {
		off[i] = int32((i*5%k)*bRow + i%3) // in any order, from any place
	}
	begin := noise(rng, 8*ldc)
	eachISA(t, func(t *testing.T, set *isa) {
		for rows := 1; rows <= set.rows; rows++ {
			for vectors := 1; vectors <= 3; vectors++ {
				for _, how := range []struct {
					name      string
					k         int
					bias, add bool
					lo, hi    float32
				}{
					{"zeros", k, false, false, negInf, posInf}, {"bias", k, true, false, negInf, posInf}, {"add", k, false, true, negInf, posInf},
					{"bounds", k, true, false, -.5, .25}, {"no terms", 0, true, false, negInf, posInf},
				} {
					c := append([]float32{}, begin...)
					p := productArgs{k: how.k, a: &a[0], lda: 4 * lda, ka: 4, b: &b[0], off: &off[0], c: &c[0], ldc: 4 * ldc, lo: how.lo, hi: how.hi}
					if how.bias {
						p.bias = &bias[0]
					}
					if how.add {
						p.add = 1
					}
					p.run(set.product[rows-1][vectors-1])
					for i, got := range c {
						r, j := i/ldc, i%ldc
						want := float64(begin[i])
						if r < rows && j < vectors*set.lanes {
							if !how.add {
								want = 0
							}
							if how.bias {
								want = float64(bias[r])
							}
							for k := range how.k {
								want += float64(a[r*lda+k]) * float64(b[int(off[k])+j])
							}
							want = min(max(want, float64(how.lo)), float64(how.hi))
						}
						if d := math.Abs(float64(got) - want); !(d <= tileTol) {
							t.Fatalf("%d rows of %d vectors, %s: row %d, column %d: got %v, want %v", rows, vectors, how.name, r, j, got, want)
						}
					}
				}
			}
		}
	})
}

func TestDots(t *testing.T) {
	const k, lines, row, ldc = 32, 3, 40, 9
	rng := rand.New(rand.NewPCG(1, 2))
	a, b, begin := noise(rng, 8*lines*row), noise(rng, 8*lines*row), noise(rng, 8*ldc)
	offsets := []int32{5, 121, 240, 361, 2, 480}
	eachISA(t, func(t *testing.T, set *isa) {
		for rows := 1; rows <= set.dotRows; rows++ {
			for cols := 1; cols <= set.dotCols; cols++ {
				c := append([]float32{}, begin...)
				p := dotArgs{lines: lines, k: k, a: &a[0], aoff: &offsets[0], b: &b[0], boff: &offsets[0], c: &c[0], ldc: 4 * ldc, arow: 4 * row, brow: 4 * (row - 1)}
				p.run(set.dot[rows-1][cols-1])
				for i, got := range c {
					r, j := i/ldc, i%ldc
					want := float64(begin[i])
					if r < rows && j < cols {
						for l := range lines {
							for x := range k {
								want += float64(a[int(offsets[r])+l*row+x]) * float64(b[int(offsets[j])+l*(row-1)+x])
							}
						}
					}
					if d := math.Abs(float64(got) - want); !(d <= 3*tileTol) {
						t.Fatalf("%d×%d: row %d, column %d: got %v, want %v", rows, cols, r, j, got, want)
					}
				}
			}
		}
	})
}

// TestRows: functions of rows, for all that they may be long.
func TestRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b := noise(rng, 8*chunk), noise(rng, 8*chunk)
	pix := make([]uint8, 4*chunk)
	for i := range pix {
		pix[i] = uint8(rng.UintN(256))
	}
	eachISA(t, func(t *testing.T, set *isa) {
		for n := chunk; n <= 4*chunk; n += chunk {
			for _, f := range []struct {
				name    string
				results int
				of      func(set *isa, dst *float32)
			}{
				{"pairMax", n, func(set *isa, dst *float32) { set.pairMax(dst, &a[0], &b[0], n) }},
				{"pairAdd", n, func(set *isa, dst *float32) { set.pairAdd(dst, &a[0], &b[0], n) }},
				{"zip", 2 * n, func(set *isa, dst *float32) { set.zip(dst, &a[0], &b[0], n) }},
				{"widen", n, func(set *isa, dst *float32) { set.widen(dst, &pix[0], n) }},
				{"sum", 1, func(set *isa, dst *float32) { *dst = set.sum(&a[0], n) }},
				{"highest", 1, func(set *isa, dst *float32) { *dst = set.highest(&a[0], n) }},
			} {
				got, want := make([]float32, f.results+1), make([]float32, f.results+1)
				f.of(set, &got[0])
				f.of(portable, &want[0])
				for i := range got {
					if d := math.Abs(float64(got[i] - want[i])); !(d <= tileTol) {
						t.Errorf("%s of %d: place %d: got %v, want %v", f.name, n, i, got[i], want[i])
						break
					}
				}
			}
		}
	})
}
