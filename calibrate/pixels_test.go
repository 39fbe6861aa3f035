package calibrate

import (
	"errors"
	"testing"

	"github.com/anomaly-go/anomaly/metrics"
)

func TestPixelThresholds(t *testing.T) {
	good := [][]float32{{.1, .2, .3, .4}, {.1, .1, .1, .5}}
	for _, c := range []struct {
		share float64
		want  float32
		above PixelShare
	}{
		{0, .5, PixelShare{}},
		{.125, .4, PixelShare{.125, 1}},
		{.25, .3, PixelShare{.25, 2}},
		{.3, .3, PixelShare{.25, 2}},
	} {
		got, err := PixelFalsePositive(good, c.share)
		if err != nil || got != c.want {
			t.Errorf("share %v: got %v, %v, want %v", c.share, got, err, c.want)
		}
		if above := PixelsAbove(got, good); above != c.above {
			t.Errorf("share %v: got %+v, want %+v", c.share, above, c.above)
		}
	}
	for _, err := range []error{fail(PixelFalsePositive(nil, .1)), fail(PixelFalsePositive(good, 1)), fail(PixelFalsePositive(good, -.1))} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("got %v, want ErrInput", err)
		}
	}

	var pixels metrics.Pixels
	if _, _, err := PixelF1(&pixels); !errors.Is(err, metrics.ErrOneClass) {
		t.Errorf("no pixels: got %v, want ErrOneClass", err)
	}
	if err := pixels.Add([]float32{.1, .2, .6, .7}, []bool{false, false, true, true}, 1, 4); err != nil {
		t.Fatal(err)
	}
	if got, f1, err := PixelF1(&pixels); err != nil || f1 != 1 || !(got < .6) || !(got > .2) {
		t.Errorf("got %v with F1 %v, %v, want just below 0.6 with 1", got, f1, err)
	}
}
