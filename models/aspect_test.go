package models

import (
	"math"
	"testing"
)

// Networks get the aspect of the images as far as their steps allow, and about as
// many pixels as they were to have.
func TestInAspect(t *testing.T) {
	for _, tt := range []struct {
		spec                  Spec
		side                  float64
		width, height         int
		wantHeight, wantWidth int
	}{
		{Spec{Model: "dcae"}, 0, 800, 600, 112, 152},
		{Spec{Model: "unet"}, 0, 800, 600, 112, 144},
		{Spec{Model: "unet"}, 0, 900, 900, 128, 128},
		{Spec{Model: "dcae", Depth: 5}, 0, 600, 800, 128, 96},
		{Spec{}, 0, 100, 100, 128, 128},
		{Spec{Model: "features"}, 256, 640, 360, 192, 336},
		{Spec{Model: "features"}, 64, 400, 100, 64, 256},
		{Spec{Model: "dcae"}, 0, 8000, 100, 64, 256},
	} {
		got := tt.spec.InAspect(tt.side, tt.width, tt.height)
		if got.Height != tt.wantHeight || got.Width != tt.wantWidth {
			t.Errorf("%+v, side %v, images of %dx%d: got %dx%d, want %dx%d", tt.spec, tt.side, tt.width, tt.height, got.Width, got.Height, tt.wantWidth, tt.wantHeight)
		}
	}
	// mostStretch is what the steps may cost at the least: half of one, of a short side of four.
	const mostStretch = 1.1
	for _, model := range Names() {
		for width := 100; width <= 400; width += 7 {
			s := Spec{Model: model}.InAspect(0, width, 100)
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			stretch := float64(s.Width) / float64(s.Height) / (float64(width) / 100)
			if math.Max(stretch, 1/stretch) > mostStretch {
				t.Errorf("%s: images of %dx100 are stretched %.3f times to %dx%d", model, width, stretch, s.Width, s.Height)
			}
		}
	}
}
