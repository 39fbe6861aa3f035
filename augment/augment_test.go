package augment

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTransform(t *testing.T) {
	still := Transform{matrix: [4]float64{1, 0, 0, 1}, gain: 1}
	with := func(edit func(*Transform)) Transform {
		t := still
		edit(&t)
		return t
	}
	square := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for _, c := range []struct {
		name string
		t    Transform
		want []uint8
	}{
		{"none", still, square},
		{"left and right", with(func(t *Transform) { t.flipX = true }), []uint8{3, 2, 1, 6, 5, 4, 9, 8, 7}},
		{"upside down", with(func(t *Transform) { t.flipY = true }), []uint8{7, 8, 9, 4, 5, 6, 1, 2, 3}},
		{"transposed", with(func(t *Transform) { t.transpose = true }), []uint8{1, 4, 7, 2, 5, 8, 3, 6, 9}},
		{"quarter turn", with(func(t *Transform) { t.transpose, t.flipY = true, true }), []uint8{7, 4, 1, 8, 5, 2, 9, 6, 3}},
		{"quarter turn by rotation", with(func(t *Transform) { t.matrix = [4]float64{0, 1, -1, 0} }), []uint8{7, 4, 1, 8, 5, 2, 9, 6, 3}},
		{"shifted right, reflected", with(func(t *Transform) { t.shiftX = 1. / 3 }), []uint8{1, 1, 2, 4, 4, 5, 7, 7, 8}},
		{"brighter", with(func(t *Transform) { t.gain = 2 }), []uint8{2, 4, 6, 8, 10, 12, 14, 16, 18}},
		{"half the size, its reflection around it", with(func(t *Transform) { t.matrix = [4]float64{2, 0, 0, 2} }), square},
	} {
		got := make([]uint8, 9)
		c.t.Image(got, square, 3, 3, 1)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if c.t.gain != 1 {
			continue
		}
		mask, want, turned := make([]bool, 9), make([]bool, 9), make([]bool, 9)
		for i := range mask {
			mask[i], want[i] = square[i] > 4, c.want[i] > 4
		}
		c.t.Mask(turned, mask, 3, 3)
		if !slices.Equal(turned, want) {
			t.Errorf("%s: mask: got %v, want %v", c.name, turned, want)
		}
	}
	// Channels stay together, and white stays white.
	got := make([]uint8, 6)
	flip := with(func(t *Transform) { t.flipX, t.gain = true, 1.5 })
	flip.Image(got, []uint8{10, 20, 30, 200, 40, 50}, 1, 2, 3)
	if want := []uint8{255, 60, 75, 15, 30, 45}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A quarter turn without flips is one: never a mirror image.
func TestDrawTurns(t *testing.T) {
	img := []uint8{1, 2, 3, 4}
	seen := map[[4]uint8]bool{}
	for i := range uint64(64) {
		tr := Augmentation{Quarter: true}.Draw(rand.New(rand.NewPCG(1, i)))
		out := make([]uint8, 4)
		tr.Image(out, img, 2, 2, 1)
		seen[[4]uint8(out)] = true
	}
	want := map[[4]uint8]bool{{1, 2, 3, 4}: true, {3, 1, 4, 2}: true, {2, 4, 1, 3}: true}
	for got := range seen {
		if !want[got] {
			t.Errorf("got %v, want one of %v", got, want)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}

// images draws n images of a set.
func images(n, side int, value func(rng *rand.Rand, i, y, x int) float64) []uint8 {
	var pixels []uint8
	for i := range n {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		for y := range side {
			for x := range side {
				pixels = append(pixels, uint8(value(rng, i, y, x)))
			}
		}
	}
	return pixels
}

func TestChoose(t *testing.T) {
	const n, side = 12, 48
	noise := func(rng *rand.Rand) float64 { return 8 * rng.Float64() }
	for _, c := range []struct {
		name  string
		value func(rng *rand.Rand, i, y, x int) float64
		want  Augmentation
	}{
		{"noise", func(rng *rand.Rand, i, y, x int) float64 { return 20 * noise(rng) }, Augmentation{FlipX: true, FlipY: true, Quarter: true, Rotate: 180}},
		{"lighter to the right", func(rng *rand.Rand, i, y, x int) float64 { return float64(4*x) + noise(rng) }, Augmentation{FlipY: true, Rotate: 5}},
		{"fine upright stripes", func(rng *rand.Rand, i, y, x int) float64 { return 200*float64((x+i)/2%2) + noise(rng) }, Augmentation{FlipX: true, FlipY: true}},
		{"one corner", func(rng *rand.Rand, i, y, x int) float64 {
			if x < 16 && y < 12 {
				return 240
			}
			return noise(rng)
		}, Augmentation{}},
	} {
		got, findings, err := Choose(images(n, side, c.value), side, side, 1)
		if err != nil {
			t.Fatal(err)
		}
		c.want.Scale, c.want.Shift, c.want.Exposure = got.Scale, got.Shift, got.Exposure
		c.want.Rotate = min(c.want.Rotate, got.Rotate) // few degrees are in doubt where many are not asked for
		if got != c.want {
			t.Errorf("%s: got %v, want %v: %v", c.name, got, c.want, findings)
		}
	}
	if a, findings, err := Choose(make([]uint8, 2*64), 8, 8, 1); err != nil || a.FlipX || len(findings) != 0 {
		t.Errorf("two images: got %v, %v, %v, want nothing known", a, findings, err)
	}
	if _, _, err := Choose(make([]uint8, 65), 8, 8, 1); !errors.Is(err, ErrImages) {
		t.Errorf("odd bytes: got %v, want an ErrImages", err)
	}
	if got := (Augmentation{}).String(); got != "none" {
		t.Errorf("got %q", got)
	}
}

// Each symmetry gives another image, and Draw gives no others.
func TestSymmetries(t *testing.T) {
	square := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9}
	changed := func(tr Transform) string {
		dst := make([]uint8, 9)
		tr.Image(dst, square, 3, 3, 1)
		return string(dst)
	}
	for _, c := range []struct {
		a    Augmentation
		want int
	}{
		{Augmentation{}, 1}, {Augmentation{FlipX: true}, 2}, {Augmentation{FlipX: true, FlipY: true}, 4},
		{Augmentation{FlipX: true, FlipY: true, Quarter: true}, 8}, {Augmentation{Quarter: true}, 3}, {Augmentation{FlipY: true, Quarter: true}, 4},
	} {
		got := map[string]bool{}
		all := c.a.Symmetries()
		for _, tr := range all {
			got[changed(tr)] = true
		}
		if len(all) != c.want || len(got) != c.want || changed(all[0]) != string(square) {
			t.Errorf("%v: got %d symmetries, %d of them different, want %d, the first of which changes nothing", c.a, len(all), len(got), c.want)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			if !got[changed(c.a.Draw(rng))] {
				t.Fatalf("%v: Draw gives one that is missing", c.a)
			}
		}
	}
}
