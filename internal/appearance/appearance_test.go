package appearance

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMeasure(t *testing.T) {
	flat := make([]uint8, 5*5*3)
	for i := range flat {
		flat[i] = 51
	}
	if b, s := Measure(flat, 5, 5, 3); math.Abs(b-.2) > 1e-12 || s != 0 {
		t.Errorf("flat: got %v, %v, want 0.2, 0", b, s)
	}
	board := make([]uint8, 4*4)
	for i := range board {
		board[i] = uint8(255 * ((i/4 + i) % 2))
	}
	if b, s := Measure(board, 4, 4, 1); math.Abs(b-.5) > 1e-12 || s != 1 {
		t.Errorf("chess board: got %v, %v, want 0.5, 1", b, s)
	}
}

// Blocks of bytes are as bytes one at a time, at all sizes and with what is extreme.
func TestMeasureBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		h, w, c := 1+rng.IntN(9), 1+rng.IntN(700), 1+2*rng.IntN(2)
		img := make([]uint8, h*w*c)
		for i := range img {
			img[i] = uint8(rng.IntN(256))
			if h%2 == 0 {
				img[i] = uint8(255 * rng.IntN(2))
			}
		}
		sum, edges := 0, 0
		for i, v := range img {
			sum += int(v)
			y, x := i/(w*c), i/c%w
			if y == 0 || y == h-1 || x == 0 || x == w-1 {
				continue
			}
			d := 4*int(v) - int(img[i-c]) - int(img[i+c]) - int(img[i-w*c]) - int(img[i+w*c])
			edges += max(d, -d)
		}
		wantB, wantS := float64(sum)/float64(255*len(img)), float64(edges)/float64(1020*max(1, (h-2)*(w-2)*c))
		if b, s := Measure(img, h, w, c); b != wantB || s != wantS {
			t.Fatalf("%d×%d×%d: got %v, %v, want %v, %v", h, w, c, b, s, wantB, wantS)
		}
	}
}

func BenchmarkMeasure(b *testing.B) {
	img := make([]uint8, 384*384*3)
	for i := range img {
		img[i] = uint8(i * 7)
	}
	b.SetBytes(int64(len(img)))
	for b.Loop() {
		Measure(img, 384, 384, 3)
	}
}
