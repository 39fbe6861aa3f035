package calibrate

import (
	"math"
	"testing"
)

func TestShareAbove(t *testing.T) {
	scores := make([]float64, 50)
	scores[0], scores[1], scores[2] = 2, 3, 1
	s := ShareAbove(1, scores)
	// R: binom.test(2, 50, alternative="less")$conf.int[2], and "greater" [1].
	if s.Above != 2 || s.Of != 50 || s.Share != .04 || math.Abs(s.AtMost-.1206219) > 1e-5 || math.Abs(s.AtLeast-.0071532) > 1e-5 {
		t.Errorf("got %+v", s)
	}
	if s := ShareAbove(-1, scores); s.AtMost != 1 || math.Abs(s.AtLeast-math.Pow(.05, 1./50)) > 1e-9 {
		t.Errorf("all above: got %+v", s)
	}
	if s := ShareAbove(9, scores); s.AtLeast != 0 || math.Abs(s.AtMost-(1-math.Pow(.05, 1./50))) > 1e-9 {
		t.Errorf("none above: got %+v", s)
	}
}
