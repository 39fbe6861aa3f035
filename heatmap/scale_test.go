package heatmap

import (
	"image/color"
	"testing"
)

func TestNewScale(t *testing.T) {
	for name, tc := range map[string]struct {
		threshold, good *float32
		want            Scale
	}{
		"good parts stay well below":     {new(float32(10)), new(float32(7)), Scale{7, 10, 20}},
		"good parts reach the threshold": {new(float32(10)), new(float32(12)), Scale{9, 10, 20}},
		"not known":                      {new(float32(10)), nil, Scale{5, 10, 20}},
		"no threshold":                   {nil, new(float32(7)), Scale{}},
		"threshold below 0":              {new(float32(-1)), new(float32(-2)), Scale{}},
	} {
		if got := NewScale(tc.threshold, tc.good); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestScaleAt(t *testing.T) {
	m := &Map{Data: []float32{.1, .7}, Height: 1, Width: 2}
	for _, tc := range []struct {
		scale   Scale
		v, want float32
	}{
		{Scale{2, 4, 8}, 1, 0}, {Scale{2, 4, 8}, 2, 0}, {Scale{2, 4, 8}, 3, .25}, {Scale{2, 4, 8}, 4, .5}, {Scale{2, 4, 8}, 6, .75}, {Scale{2, 4, 8}, 8, 1}, {Scale{2, 4, 8}, 12, 1},
		{Scale{2, 0, 4}, 3, .5}, {Scale{2, 9, 4}, 3, .5},
		{Scale{}, .35, .5}, {Scale{}, .7, 1}, {Scale{}, 0, 0},
		{Scale{4, 0, 2}, 3, 0}, {Scale{4, 0, 2}, 9, 0}, // upside down
	} {
		p := newPalette(tc.scale.of(m), nil)
		if got := float32(p.at(tc.v)) / steps; got != tc.want {
			t.Errorf("%v: %v lies at %v, want %v", tc.scale, tc.v, got, tc.want)
		}
	}
}

// A good part's heat map is dark wherever it stays below what good parts reach, and
// the threshold has the same colour whatever they reach.
func TestGoodPartIsDark(t *testing.T) {
	m := &Map{Data: []float32{.3, .69, .7, 1}, Height: 2, Width: 2}
	for _, good := range []*float32{new(float32(.7)), new(float32(.8))} {
		img := Colorize(m, NewScale(new(float32(1)), good), nil)
		for i, want := range []color.RGBA{inferno[0], inferno[0], inferno[0], inferno[len(inferno)/2]} {
			if got := img.RGBAAt(i%2, i/2); got != want {
				t.Errorf("good parts reach %v: residual %v: got %v, want %v", *good, m.Data[i], got, want)
			}
		}
	}
}

func TestParseScale(t *testing.T) {
	if s, err := ParseScale("0:33.5"); err != nil || s != (Scale{0, 16.75, 33.5}) {
		t.Errorf("got %v, %v", s, err)
	}
	for _, s := range []string{"", "1", "1:1", "2:1", "a:b", "0:Inf", "NaN:1", "0:1:2"} {
		if got, err := ParseScale(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}
