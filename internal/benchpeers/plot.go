package main

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Sizes of the plots, two beside each other.
const tileWidth, tileHeight = 12 * vg.Centimeter, 8 * vg.Centimeter

var palette = []color.Color{color.RGBA{0x1f, 0x5f, 0xa8, 255}, color.RGBA{0xd0, 0x6a, 0x1c, 255}}

// drawGrowth writes the plots, two beside each other, as one PNG.
func drawGrowth(w io.Writer, all []growth) error {
	const across = 2
	var tiles [][]*plot.Plot
	for i, g := range all {
		p, err := g.plot()
		if err != nil {
			return err
		}
		if i%across == 0 {
			tiles = append(tiles, nil)
		}
		tiles[i/across] = append(tiles[i/across], p)
	}
	last := &tiles[len(tiles)-1]
	for len(*last) < across {
		*last = append(*last, nil)
	}
	img := vgimg.New(across*tileWidth, vg.Length(len(tiles))*tileHeight)
	canvases := plot.Align(tiles, draw.Tiles{Rows: len(tiles), Cols: across, PadX: vg.Centimeter / 2, PadY: vg.Centimeter / 2, PadRight: vg.Centimeter / 2}, draw.New(img))
	for i, row := range tiles {
		for j, p := range row {
			if p != nil {
				p.Draw(canvases[i][j])
			}
		}
	}
	_, err := vgimg.PngCanvas{Canvas: img}.WriteTo(w)
	return err
}

func (g growth) plot() (*plot.Plot, error) {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.BackgroundColor = color.White
	p.X.Label.Text, p.Y.Label.Text = g.of, g.unit
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Millimeter, -vg.Centimeter/2, vg.Centimeter/2
	if g.log {
		p.X.Scale = plot.LogScale{}
	}
	var ticks plot.ConstantTicks
	for _, pt := range g.curves[0].points {
		ticks = append(ticks, plot.Tick{Value: pt.x, Label: fmt.Sprint(pt.x)})
	}
	p.X.Tick.Marker = ticks
	p.Add(plotter.NewGrid())
	top := 0.
	for i, c := range g.curves {
		var xys plotter.XYs
		for _, pt := range c.points {
			xys = append(xys, plotter.XY{X: pt.x, Y: pt.y})
			top = max(top, pt.y)
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		line.Color, points.Color = palette[i], palette[i]
		line.Width, points.Shape = vg.Points(1.5), draw.CircleGlyph{}
		p.Add(line, points)
		p.Legend.Add(c.name, line, points)
	}
	p.Y.Min, p.Y.Max = 0, 1.1*top
	return p, nil
}
