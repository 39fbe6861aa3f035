package heatmap

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"

	xdraw "golang.org/x/image/draw"
)

// PictureOptions say what a picture shows beside the input and its map. Nil and
// zero fields mean the defaults.
type PictureOptions struct {
	Reconstruction image.Image // of any size; nil leaves its tile out
	Threshold      *float32    // nil leaves the overlay's tile out
	NoMap          bool        // leaves the tiles of heat map and overlay out

	Scale   Scale           // of the heat map's colours; default NewScale of the threshold
	Colors  Colormap        // default Inferno
	Overlay *OverlayOptions // nil means its defaults

	Tile    int    // longest side of a tile in pixels; default 512
	Caption string // line below the tiles, Latin letters; "" leaves it out
}

// Caption returns what a picture says: score, threshold and what follows from them. A nil
// threshold gives the score alone.
func Caption(score float32, threshold *float32) string {
	switch {
	case threshold == nil:
		return fmt.Sprintf("score %.4g", score)
	case score > *threshold:
		return fmt.Sprintf("score %.4g > threshold %.4g: anomalous", score, *threshold)
	default:
		return fmt.Sprintf("score %.4g, threshold %.4g: good", score, *threshold)
	}
}

const (
	gap        = 6  // between tiles, and round them
	lineHeight = 22 // of a title or the caption
)

var (
	paper = color.RGBA{232, 232, 232, 255} // apart from the white ground of many images
	ink   = color.RGBA{40, 40, 40, 255}
)

// Picture returns input, reconstruction, heat map and overlay side by side; without
// a map, which is nil then, the first two.
// Tiles have the input's proportions: an input longer than a tile is scaled
// down to it, one shorter than half a tile enlarged by a whole factor with its
// pixels kept square. So are the map's, where they are as large; else it is
// interpolated.
func Picture(input image.Image, m *Map, o *PictureOptions) *image.RGBA {
	style := PictureOptions{}
	if o != nil {
		style = *o
	}
	o = &style
	o.NoMap = o.NoMap || m == nil
	size, enlarged := tileSize(input.Bounds().Size(), cmp.Or(max(o.Tile, 0), 512))

	type tile struct {
		title string
		img   *image.RGBA
	}
	scaled := fit(input, size, enlarged)
	tiles := []tile{{"input", scaled}}
	if o.Reconstruction != nil {
		tiles = append(tiles, tile{"reconstruction", fit(o.Reconstruction, size, enlarged)})
	}
	if !o.NoMap {
		if o.Scale == (Scale{}) {
			o.Scale = NewScale(o.Threshold, nil)
		}
		scale := o.Scale.of(m)
		if enlarged && whole(m.Width, m.Height, size) {
			m = m.repeat(size.Y/m.Height, size.X/m.Width)
		}
		resized := m.Resize(size.Y, size.X)
		tiles = append(tiles, tile{fmt.Sprintf("heat map %.3g to %.3g", scale.Lo, scale.Hi), Colorize(resized, scale, o.Colors)})
		if o.Threshold != nil {
			tiles = append(tiles, tile{"anomalous", o.Overlay.over(scaled, m.mask(*o.Threshold, resized))})
		}
	}

	height := lineHeight + size.Y + gap
	if o.Caption != "" {
		height += lineHeight
	}
	out := image.NewRGBA(image.Rect(0, 0, gap+len(tiles)*(size.X+gap), height))
	draw.Draw(out, out.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	for i, r := range Layout(input.Bounds().Size(), o) {
		write(out, image.Rect(r.Min.X, 0, r.Max.X, lineHeight), inconsolata.Regular8x16, tiles[i].title)
		op := draw.Over
		if tiles[i].img.Opaque() {
			op = draw.Src // the same, and quicker
		}
		draw.Draw(out, r, tiles[i].img, image.Point{}, op)
	}
	write(out, image.Rect(gap, height-lineHeight, out.Rect.Max.X-gap, height), inconsolata.Bold8x16, o.Caption)
	return out
}

// tileSize returns the size at which an input is shown, its longer side at most
// longest.
func tileSize(input image.Point, longest int) (size image.Point, enlarged bool) {
	side := max(input.X, input.Y, 1)
	if side > longest {
		return image.Pt(max(input.X*longest/side, 1), max(input.Y*longest/side, 1)), false
	}
	factor := max(longest/2/side, 1)
	return input.Mul(factor), factor > 1
}

// whole tells whether each pixel of a width x height image becomes a whole
// number of pixels at another size.
func whole(width, height int, size image.Point) bool {
	return width > 0 && height > 0 && size.X%width == 0 && size.Y%height == 0
}

// fit returns img at another size, at the origin: in squares where that is
// asked for and goes without a remainder, else interpolated.
func fit(img image.Image, size image.Point, squares bool) *image.RGBA {
	out := image.NewRGBA(image.Rectangle{Max: size})
	from := img.Bounds()
	if from.Size() == size {
		draw.Draw(out, out.Bounds(), img, from.Min, draw.Src)
		return out
	}
	var scaler xdraw.Scaler = xdraw.BiLinear
	if squares && whole(from.Dx(), from.Dy(), size) {
		scaler = xdraw.NearestNeighbor
	}
	scaler.Scale(out, out.Bounds(), img, from, xdraw.Src, nil)
	return out
}

// write draws one line of text into a rectangle of dst, clipped to it.
func write(dst *image.RGBA, r image.Rectangle, face font.Face, text string) {
	const baseline = 16
	d := font.Drawer{
		Dst:  dst.SubImage(r).(*image.RGBA),
		Src:  image.NewUniform(ink),
		Face: face,
		Dot:  fixed.P(r.Min.X, r.Min.Y+baseline),
	}
	d.DrawString(text)
}
