package heatmap

import (
	"image"
	"image/color"
	"image/draw"
	"testing"
)

// TestLayout finds the tiles of a picture where Layout says that they are.
func TestLayout(t *testing.T) {
	red := color.RGBA{200, 10, 10, 255}
	threshold := float32(1)
	for _, size := range []image.Point{{40, 30}, {700, 500}, {3, 90}} {
		input := image.NewRGBA(image.Rectangle{Max: size})
		draw.Draw(input, input.Rect, image.NewUniform(red), image.Point{}, draw.Src)
		o := &PictureOptions{Reconstruction: input, Threshold: &threshold, Tile: 300}
		picture := Picture(input, NewMap(30, 40), o)
		tiles := Layout(size, o)
		if len(tiles) != 4 {
			t.Fatalf("%v: got %d tiles, want 4", size, len(tiles))
		}
		for i, want := range []color.RGBA{red, red, inferno[0], red} {
			r := tiles[i]
			for _, at := range []image.Point{r.Min, r.Max.Sub(image.Pt(1, 1))} {
				if got := picture.RGBAAt(at.X, at.Y); got != want {
					t.Errorf("%v: tile %d at %v: got %v, want %v", size, i, at, got, want)
				}
			}
			for _, at := range []image.Point{r.Min.Sub(image.Pt(1, 0)), {X: r.Max.X, Y: r.Min.Y}, {X: r.Min.X, Y: r.Max.Y}} {
				if got := picture.RGBAAt(at.X, at.Y); got == want {
					t.Errorf("%v: tile %d goes on at %v", size, i, at)
				}
			}
		}
	}
	one := float32(1)
	if n := len(Layout(image.Pt(5, 5), &PictureOptions{NoMap: true, Threshold: &one})); n != 1 {
		t.Errorf("without a map: got %d tiles, want 1", n)
	}
	input := image.NewRGBA(image.Rect(0, 0, 5, 5))
	if got, want := Picture(input, nil, &PictureOptions{Threshold: &one}).Bounds(), Picture(input, NewMap(5, 5), nil).Bounds(); got.Dx() >= want.Dx() || got.Dy() != want.Dy() {
		t.Errorf("without a map: got %v, want it narrower than %v", got, want)
	}
	if n := len(Layout(image.Pt(5, 5), nil)); n != 2 {
		t.Errorf("without options: got %d tiles, want 2", n)
	}
}
