package heatmap

import (
	"cmp"
	"image"
)

// Layout returns where [Picture] with the same options draws its tiles for an
// input of that size, in their order: the input, the reconstruction if there is
// one, the heat map unless o.NoMap leaves it out, and the overlay if there is a
// threshold as well. So a page can show a part of a picture.
func Layout(input image.Point, o *PictureOptions) []image.Rectangle {
	if o == nil {
		o = &PictureOptions{}
	}
	size, _ := tileSize(input, cmp.Or(max(o.Tile, 0), 512))
	tiles := 1
	if o.Reconstruction != nil {
		tiles++
	}
	if !o.NoMap {
		tiles++
	}
	if !o.NoMap && o.Threshold != nil {
		tiles++
	}
	layout := make([]image.Rectangle, tiles)
	for i := range layout {
		layout[i] = image.Rectangle{Max: size}.Add(image.Pt(gap+i*(size.X+gap), lineHeight))
	}
	return layout
}
