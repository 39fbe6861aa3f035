package heatmap

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"
	"slices"
	"sync"
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

// Colorize returns the map as an image of its own size in the scale's colours, to
// within 1/255; nil colours are Inferno. Maps are comparable by eye only where the
// scale is the same for all.
func Colorize(m *Map, s Scale, colors Colormap) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	p := newPalette(s.of(m), colors)
	p.paint(img.Pix, m.Data)
	return img
}

// A palette has the colours of residuals on a scale.
type palette struct {
	Scale
	low, high float32 // steps a residual below and above the middle
	table     *[steps + 1]uint32
}

// steps are fine enough for any two colours of Inferno beside each other to be less
// than 1/255 apart.
const steps = 4096

func newPalette(s Scale, colors Colormap) palette {
	p := palette{Scale: s}
	if !(s.Lo < s.Mid && s.Mid < s.Hi) {
		p.Mid = s.Lo/2 + s.Hi/2
	}
	p.low, p.high = steps/2/(p.Mid-p.Lo), steps/2/(p.Hi-p.Mid)
	if len(colors) > 0 {
		p.table = colors.table()
	} else {
		p.table = infernoTable()
	}
	return p
}

var infernoTable = sync.OnceValue(inferno.table)

// table is the scale's colours, as they lie in memory.
func (c Colormap) table() *[steps + 1]uint32 {
	t := new([steps + 1]uint32)
	for i := range t {
		c := c.At(float32(i) / steps)
		t[i] = binary.LittleEndian.Uint32([]uint8{c.R, c.G, c.B, c.A})
	}
	return t
}

// at returns which step a residual is at.
func (p *palette) at(v float32) int {
	if v <= p.Lo { // where Hi == Lo too: a map of zeros is not a hot one
		return 0
	}
	at := (v-p.Mid)*p.high + (steps/2 + .5)
	if v < p.Mid {
		at = (v-p.Lo)*p.low + .5
	}
	if !(at < steps) { // NaN too
		return steps
	}
	return max(int(at), 0)
}

// paint writes the colours of residuals.
func (p *palette) paint(pix []uint8, residuals []float32) {
	for i, v := range residuals {
		binary.LittleEndian.PutUint32(pix[4*i:4*i+4:4*i+4], p.table[p.at(v)])
	}
}
