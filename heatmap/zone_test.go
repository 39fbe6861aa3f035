package heatmap

import (
	"errors"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// grey makes an image of levels, width pixels a row.
func grey(width int, levels ...uint8) *image.Gray {
	return &image.Gray{Pix: levels, Stride: width, Rect: image.Rect(0, 0, width, len(levels)/width)}
}

func TestZones(t *testing.T) {
	m := &Map{Height: 2, Width: 4, Data: []float32{1, 2, 3, 4, 5, 6, 7, 8}}
	paletted := image.NewPaletted(image.Rect(3, 5, 5, 6), color.Palette{color.White, color.Black, color.White})
	paletted.SetColorIndex(3, 5, 2)
	for _, c := range []struct {
		name  string
		img   image.Image
		rules map[uint8]ZoneRule
		want  []float32
	}{
		{"all but 0 are ignored", grey(4, 0, 1, 0, 255, 0, 0, 7, 0), nil, []float32{1, 0, 3, 0, 5, 6, 0, 8}},
		{"no zones", grey(1, 0), nil, m.Data},
		{"own thresholds", grey(4, 1, 1, 2, 2, 1, 0, 3, 3), map[uint8]ZoneRule{1: {Threshold: 5}, 3: {Threshold: 20}, 2: {Ignore: true}},
			[]float32{2, 4, 0, 0, 10, 6, 3.5, 4}},
		{"a palette's indices, a coarser image away from the origin", paletted, map[uint8]ZoneRule{2: {Ignore: true}}, []float32{0, 0, 3, 4, 0, 0, 7, 8}},
		{"a finer image", grey(8, 0, 0, 0, 9, 9, 9, 0, 0), map[uint8]ZoneRule{9: {Ignore: true}}, []float32{1, 0, 0, 4, 5, 0, 0, 8}},
	} {
		z, err := NewZones(c.img, c.rules)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if d := cmp.Diff(c.want, z.Apply(m, 10).Data); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		if got := z.HasThresholds(); got != (c.name == "own thresholds") {
			t.Errorf("%s: HasThresholds: got %v", c.name, got)
		}
	}
	if m.Data[1] != 2 {
		t.Error("Apply changed its map")
	}
}

// Whatever rounding does, a residual is above the threshold exactly if it is
// above its zone's.
func TestZoneThresholdsAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		own, threshold := rng.Float32()+1e-3, rng.Float32()+1e-3
		rule := ZoneRule{Threshold: own}
		for _, v := range []float32{math.Nextafter32(own, 0), own, math.Nextafter32(own, 9), rng.Float32()} {
			if got := rule.scale(v, threshold); (got > threshold) != (v > own) {
				t.Fatalf("%v, above %v is %v, became %v, above %v is %v", v, own, v > own, got, threshold, got > threshold)
			}
		}
	}
}

func TestZoneErrors(t *testing.T) {
	for _, c := range []struct {
		img   image.Image
		rules map[uint8]ZoneRule
		want  string
	}{
		{image.NewRGBA(image.Rect(0, 0, 1, 1)), nil, "*image.RGBA, want one with a palette or of 8-bit grey"},
		{grey(1), nil, "1x0 pixels"},
		{grey(2, 0, 200), map[uint8]ZoneRule{2: {Ignore: true}}, "got a rule for 2, the image has zones [0 200]"},
		{grey(1, 1), map[uint8]ZoneRule{1: {}}, "zone 1: got threshold 0, want a number above 0"},
		{grey(1, 1), map[uint8]ZoneRule{1: {Threshold: float32(math.NaN())}}, "got threshold NaN"},
		{grey(1, 1), map[uint8]ZoneRule{1: {Threshold: float32(math.Inf(1))}}, "got threshold +Inf"},
	} {
		if _, err := NewZones(c.img, c.rules); !errors.Is(err, ErrZone) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
