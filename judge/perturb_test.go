package judge

import (
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
)

func TestPerturbations(t *testing.T) {
	const height, width, channels = 6, 8, 3
	start := make([]uint8, height*width*channels)
	for i := range start {
		start[i] = uint8(40 + i%150)
	}
	for _, p := range perturbationsTried {
		t.Run(p.String(), func(t *testing.T) {
			apply := func(seed uint64, image int) []uint8 {
				pixels := slices.Clone(start)
				p.apply(pixels, height, width, channels, seed, image)
				return pixels
			}
			got := apply(1, 2)
			if changed := !slices.Equal(got, start); changed != (p.Kind != "none") {
				t.Errorf("got changed %v", changed)
			}
			if !slices.Equal(got, apply(1, 2)) {
				t.Error("is not repeatable")
			}
			if random := !slices.Equal(got, apply(1, 3)) || !slices.Equal(got, apply(2, 2)); random != (p.Kind == "noise") {
				t.Errorf("depends on seed and image: got %v", random)
			}
		})
	}
	pixels := []uint8{0, 100, 200}
	Perturbation{"brightness", .5}.apply(pixels, 1, 3, 1, 1, 0)
	if want := []uint8{0, 150, 255}; !slices.Equal(pixels, want) {
		t.Errorf("brightness: got %v, want %v", pixels, want)
	}
	flat := slices.Repeat([]uint8{77}, 25)
	Perturbation{"blur", 2}.apply(flat, 5, 5, 1, 1, 0)
	if !slices.Equal(flat, slices.Repeat([]uint8{77}, 25)) {
		t.Errorf("blur: got %v of a flat image", flat)
	}
	// A shifted map comes back to where it was, but for what left the image.
	shift := Perturbation{"shift", 1}
	moved := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	shift.apply(moved, 3, 3, 1, 1, 0)
	if want := []uint8{1, 1, 2, 1, 1, 2, 4, 4, 5}; !slices.Equal(moved, want) {
		t.Errorf("shift: got %v, want %v", moved, want)
	}
	m := heatmap.NewMap(3, 3)
	for i, v := range moved {
		m.Data[i] = float32(v)
	}
	if got, want := shift.restore(m, 3, 3).Data, []float32{1, 2, 2, 4, 5, 5, 4, 5, 5}; !slices.Equal(got, want) {
		t.Errorf("restored: got %v, want %v", got, want)
	}
}
