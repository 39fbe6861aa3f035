package heatmap

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// A Colormap is a scale of evenly spaced colours, interpolated linearly. Nil
// stands for [Inferno].
type Colormap []color.RGBA

// Inferno returns a map that runs from black over red to a light yellow, evenly to
// the eye and readable without colour vision: 33 of the 256 colours, within 2/255 of the
// rest, of the map by Nathaniel Smith and Stéfan van der Walt for matplotlib (CC0).
func Inferno() Colormap { return slices.Clone(inferno) }

var inferno = Colormap{
	{0, 0, 4, 255}, {4, 3, 18, 255}, {11, 7, 36, 255}, {21, 11, 55, 255}, {33, 12, 74, 255},
	{47, 10, 91, 255}, {61, 9, 101, 255}, {74, 12, 107, 255}, {87, 16, 110, 255}, {100, 21, 110, 255},
	{113, 25, 110, 255}, {125, 30, 109, 255}, {138, 34, 106, 255}, {151, 39, 102, 255}, {163, 44, 97, 255},
	{176, 49, 91, 255}, {188, 55, 84, 255}, {198, 61, 77, 255}, {208, 69, 69, 255}, {218, 78, 60, 255},
	{227, 89, 51, 255}, {235, 100, 41, 255}, {241, 113, 31, 255}, {246, 126, 20, 255}, {249, 140, 10, 255},
	{251, 155, 6, 255}, {252, 170, 15, 255}, {251, 186, 31, 255}, {249, 201, 50, 255}, {245, 217, 73, 255},
	{242, 232, 101, 255}, {243, 245, 134, 255}, {252, 255, 164, 255},
}

// At returns the colour at t in [0,1]. What lies outside gets the end's colour,
// NaN the highest, for it is not to be overlooked.
func (c Colormap) At(t float32) color.RGBA {
	if len(c) == 0 {
		c = inferno
	}
	last := len(c) - 1
	at := float64(t) * float64(last)
	if !(at < float64(last)) {
		return c[last]
	}
	if at <= 0 {
		return c[0]
	}
	i := int(at)
	low, high, f := c[i], c[i+1], at-float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-f) + float64(b)*f)) }
	return color.RGBA{mix(low.R, high.R), mix(low.G, high.G), mix(low.B, high.B), mix(low.A, high.A)}
}

// Colorize returns the map as an image of its own size in the scale's colours; nil
// colours are Inferno. Maps are comparable by eye only where the scale is the same
// for all.
func Colorize(m *Map, s Scale, colors Colormap) *image.RGBA {
	s = s.of(m)
	img := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i, v := range m.Data {
		c := colors.At(s.at(v))
		copy(img.Pix[4*i:], []uint8{c.R, c.G, c.B, c.A})
	}
	return img
}
