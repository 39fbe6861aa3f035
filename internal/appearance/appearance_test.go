package appearance

import (
	"math"
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
