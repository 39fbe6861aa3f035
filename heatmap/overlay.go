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
	return o.over(img, m.Mask(threshold, size.Y, size.X))
}

// over draws a mask, of img's size, over img.
func (o *OverlayOptions) over(img image.Image, mask *Mask) *image.RGBA {
	size := img.Bounds().Size()
	style := o.withDefaults(size)
	out := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)

	paint := func(area *Mask, opacity float64) {
		mix := func(under *uint8, over uint8) {
			*under = uint8(math.Round(float64(*under)*(1-opacity) + float64(over)*opacity))
		}
		for i, set := range area.Data {
			if set {
				mix(&out.Pix[4*i], style.Color.R)
				mix(&out.Pix[4*i+1], style.Color.G)
				mix(&out.Pix[4*i+2], style.Color.B)
				mix(&out.Pix[4*i+3], style.Color.A)
			}
		}
	}
	paint(mask, min(max(style.Opacity, 0), 1))
	if style.Contour > 0 {
		paint(mask.around(style.Contour), 1)
	}
	return out
}
