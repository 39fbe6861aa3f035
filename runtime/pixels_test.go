package runtime

import (
	"errors"
	"testing"
)

func TestParseRange(t *testing.T) {
	for s, want := range map[string]Range{"0:255": {0, 255}, "-1:1": {-1, 1}, "0:1": {0, 1}} {
		if got, err := ParseRange(s); err != nil || got != want || got.String() != s {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1", "1:0", "0:0", "0:inf", "nan:1", "0:1:2", "-3e38:3e38"} {
		if _, err := ParseRange(s); !errors.Is(err, ErrInput) {
			t.Errorf("%q: got %v, want ErrInput", s, err)
		}
	}
}

// What is fast is what is meant.
func TestTransfer(t *testing.T) {
	const n, h, w = 2, 3, 5
	for _, channels := range []int{1, 3} {
		src := make([]uint8, n*h*w*channels)
		for i := range src {
			src[i] = uint8(37 * i)
		}
		table := transferTo(func(x float64, channel int) float64 { return x*float64(channel+2) - 1 })
		for _, layout := range []string{NCHW, NHWC} {
			got, split := make([]float32, len(src)), make([]uint8, len(src))
			table.floats(got, src, layout, channels, h*w)
			if channels == 3 {
				planes(split, src, h*w)
			}
			for i, v := range src {
				image, at, channel := i/(h*w*channels), i/channels%(h*w), i%channels
				to := i
				if layout == NCHW {
					to = (image*channels+channel)*h*w + at
					if channels == 3 && split[to] != v {
						t.Fatalf("%d of %d planes: got %d, want %d", i, len(src), split[to], v)
					}
				}
				if want := float32(float64(v)/255*float64(channel+2) - 1); got[to] != want {
					t.Fatalf("%s, %d channels, value %d: got %v, want %v", layout, channels, i, got[to], want)
				}
			}
		}
	}
}
