package heatmap

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// OverlayOptions style an overlay. Nil and zero fields mean the defaults.
type OverlayOptions struct {
	Color   color.RGBA // of tint and contour, opaque; default green
	Opacity float64    // of the tint, in (0,1]; default 0.45
	Contour int        // width of the line round an area in pixels; default 1 per 256 of the image's longer side; negative means none
}

var green = color.RGBA{0, 230, 90, 255}

func (o *OverlayOptions) withDefaults(size image.Point) OverlayOptions {
	var d OverlayOptions
	if o != nil {
		d = *o
	}
	if d.Color == (color.RGBA{}) {
		d.Color = green
	}
	if d.Opacity == 0 {
		d.Opacity = .45
	}
	if d.Contour == 0 {
		d.Contour = max(1, max(size.X, size.Y)/256)
	}
	return d
}

// Overlay returns img with what the map finds above the threshold tinted and a
// line drawn round it, outside, so that small areas stay visible. The area is
// that of Map.Mask at img's size.
func Overlay(img image.Image, m *Map, threshold float32, o *OverlayOptions) *image.RGBA {
	size := img.Bounds().Size()
	out := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
	o.paint(out, m.Mask(threshold, size.Y, size.X))
	return out
}

// paint draws a mask over an image of its size.
func (o *OverlayOptions) paint(img *image.RGBA, mask *Mask) {
	style := o.withDefaults(img.Rect.Size())
	at := func(x, y int) *[4]uint8 { return (*[4]uint8)(img.Pix[y*img.Stride+4*x:]) }
	over := [4]uint8{style.Color.R, style.Color.G, style.Color.B, style.Color.A}
	var tint [4][256]uint8
	opacity := min(max(style.Opacity, 0), 1)
	for channel := range tint {
		for v := range tint[channel] {
			tint[channel][v] = uint8(math.Round(float64(v)*(1-opacity) + float64(over[channel])*opacity))
		}
	}
	for y := range mask.Height {
		for x, set := range mask.Data[y*mask.Width:][:mask.Width] {
			if set {
				p := at(x, y)
				*p = [4]uint8{tint[0][p[0]], tint[1][p[1]], tint[2][p[2]], tint[3][p[3]]}
			}
		}
	}
	if style.Contour > 0 {
		mask.around(style.Contour, func(x, y int) { *at(x, y) = over })
	}
}
