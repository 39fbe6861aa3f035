package heatmap

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/room"
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

	Canvas *image.RGBA // that is drawn on where it is large enough, whatever is in it; default a new one
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
	tiles := Layout(input.Bounds().Size(), o)
	height := lineHeight + size.Y + gap
	if o.Caption != "" {
		height += lineHeight
	}
	out := o.canvas(image.Rect(0, 0, gap+len(tiles)*(size.X+gap), height))
	blank := func(r image.Rectangle) { draw.Draw(out, r, image.NewUniform(paper), image.Point{}, draw.Src) }
	blank(image.Rect(0, 0, out.Rect.Max.X, lineHeight))
	blank(image.Rect(0, lineHeight+size.Y, out.Rect.Max.X, height))
	blank(image.Rect(0, lineHeight, gap, height))
	next := func(title string) image.Rectangle {
		r := tiles[0]
		tiles = tiles[1:]
		blank(image.Rect(r.Max.X, r.Min.Y, r.Max.X+gap, r.Max.Y))
		write(out, image.Rect(r.Min.X, 0, r.Max.X, lineHeight), inconsolata.Regular8x16, title)
		return r
	}

	shown := next("input")
	fit(out, shown, input, enlarged)
	if o.Reconstruction != nil {
		fit(out, next("reconstruction"), o.Reconstruction, enlarged)
	}
	if !o.NoMap {
		if o.Scale == (Scale{}) {
			o.Scale = NewScale(o.Threshold, nil)
		}
		scale := o.Scale.of(m)
		if enlarged && whole(m.Width, m.Height, size) {
			m = m.repeat(size.Y/m.Height, size.X/m.Width)
		}
		heat := next(fmt.Sprintf("heat map %.3g to %.3g", scale.Lo, scale.Hi))
		colours := newPalette(scale, o.Colors)
		mask := &Mask{Data: make([]bool, size.X*size.Y), Height: size.Y, Width: size.X}
		m.resize(size.Y, size.X, func(y int, row []float32) {
			colours.paint(out.Pix[out.PixOffset(heat.Min.X, heat.Min.Y+y):], row)
			if o.Threshold != nil {
				mask.row(y, row, *o.Threshold)
			}
		})
		if o.Threshold != nil {
			mask.centres(m, *o.Threshold)
			over := next("anomalous")
			draw.Draw(out, over, out, shown.Min, draw.Src)
			o.Overlay.paint(out.SubImage(over).(*image.RGBA), mask)
		}
	}
	write(out, image.Rect(gap, height-lineHeight, out.Rect.Max.X-gap, height), inconsolata.Bold8x16, o.Caption)
	return out
}

// canvas returns room for a picture, whatever is in it.
func (o *PictureOptions) canvas(r image.Rectangle) *image.RGBA {
	if n := 4 * r.Dx() * r.Dy(); o.Canvas != nil && cap(o.Canvas.Pix) >= n {
		return &image.RGBA{Pix: o.Canvas.Pix[:n], Stride: 4 * r.Dx(), Rect: r}
	}
	return image.NewRGBA(r)
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

// fit draws img to a rectangle of dst, over paper: in squares where that is asked for
// and goes without a remainder, else interpolated.
func fit(dst *image.RGBA, r image.Rectangle, img image.Image, squares bool) {
	from, op := img.Bounds(), draw.Src
	if !opaque(img) {
		draw.Draw(dst, r, image.NewUniform(paper), image.Point{}, draw.Src)
		op = draw.Over
	}
	squares = squares && whole(from.Dx(), from.Dy(), r.Size())
	switch {
	case from.Size() == r.Size():
		draw.Draw(dst, r, img, from.Min, op)
	case squares:
		xdraw.NearestNeighbor.Scale(dst, r, img, from, op, nil)
	case op == draw.Over:
		xdraw.BiLinear.Scale(dst, r, img, from, op, nil)
	default:
		rgb := colours.Get(3 * r.Dx() * r.Dy())
		defer colours.Put(rgb)
		if imageio.Resize(rgb, img, r.Dy(), r.Dx(), 3) != nil { // an image of nothing
			draw.Draw(dst, r, image.NewUniform(paper), image.Point{}, draw.Src)
			return
		}
		for y := range r.Dy() {
			imageio.Opaque(dst.Pix[dst.PixOffset(r.Min.X, r.Min.Y+y):], rgb[3*r.Dx()*y:][:3*r.Dx()])
		}
	}
}

// colours is room for images in RGB, in fit.
var colours room.Pool[uint8]

// opaque reports whether no pixel of an image is transparent.
func opaque(img image.Image) bool {
	rgba, ok := img.(*image.RGBA)
	if !ok {
		img, ok := img.(interface{ Opaque() bool })
		return ok && img.Opaque()
	}
	for y := range rgba.Rect.Dy() { // as RGBA.Opaque does, two pixels at a time
		row, all := rgba.Pix[y*rgba.Stride:][:4*rgba.Rect.Dx()], ^uint64(0)
		for ; len(row) >= 8; row = row[8:] {
			all &= binary.LittleEndian.Uint64(row)
		}
		if len(row) > 0 {
			all &= uint64(row[3])<<24 | 0xff<<56
		}
		const alphas = 0xff<<24 | 0xff<<56
		if all&alphas != alphas {
			return false
		}
	}
	return true
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
