package page

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A curve is a line of a chart: y by x, from left to right.
type curve struct {
	name   string
	colour int // of the palette
	dashed bool
	x, y   []float64
}

// Sizes of a chart in pixels.
const (
	chartWidth, chartHeight               = 560, 260
	chartLeft, chartRight, chartTop, foot = 84, 10, 10, 40
)

// chart draws curves as SVG: x linear from 0, y logarithmic, which suits losses,
// rates and norms; values that have no logarithm are left out.
func chart(yLabel, xLabel string, curves []curve) template.HTML {
	xMax, lo, hi := 1., math.Inf(1), 0.
	for _, c := range curves {
		for i, y := range c.y {
			if y > 0 {
				xMax, lo, hi = max(xMax, c.x[i]), min(lo, y), max(hi, y)
			}
		}
	}
	if hi == 0 {
		return ""
	}
	lo, hi = lo/1.1, hi*1.1
	across := func(x float64) float64 {
		return chartLeft + x/xMax*(chartWidth-chartLeft-chartRight)
	}
	up := func(y float64) float64 {
		return chartTop + math.Log(hi/y)/math.Log(hi/lo)*(chartHeight-chartTop-foot)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, chartHeight, template.HTMLEscapeString(yLabel))
	fmt.Fprintf(&b, `<text transform="translate(13 %d) rotate(-90)" text-anchor="middle">%s</text>`, (chartTop+chartHeight-foot)/2, template.HTMLEscapeString(yLabel))
	for _, y := range logTicks(lo, hi) {
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%.6g</text>`,
			chartLeft, up(y), chartWidth-chartRight, chartLeft-6, up(y)+4, y) // round, up to a few roundings
	}
	step := max(1, tickStep(xMax))
	for x := 0.; x <= xMax; x += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`, across(x), chartHeight-foot+18, x)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, (chartLeft+chartWidth-chartRight)/2, chartHeight-3, template.HTMLEscapeString(xLabel))
	for _, c := range curves {
		class := fmt.Sprintf("c%d", c.colour)
		if c.dashed {
			class += " dashed"
		}
		fmt.Fprintf(&b, `<path class="curve %s" d="`, class)
		pen := "M"
		for i, y := range c.y {
			if y > 0 {
				fmt.Fprintf(&b, "%s%.1f %.1f", pen, across(c.x[i]), up(y))
				pen = "L"
			}
		}
		if len(c.y) == 1 && c.y[0] > 0 {
			b.WriteString("h1") // a point, lest nothing be seen
		}
		fmt.Fprintf(&b, `"><title>%s</title></path>`, template.HTMLEscapeString(c.name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// logTicks returns values for an axis from lo to hi: powers of ten, over short
// spans their 2 and 5-fold too, over shorter ones equal steps.
func logTicks(lo, hi float64) []float64 {
	var ticks []float64
	if hi/lo < 5 {
		step := tickStep(hi - lo)
		for i := math.Ceil(lo / step); i*step <= hi; i++ {
			ticks = append(ticks, i*step)
		}
		return ticks
	}
	factors := []float64{1, 2, 5}
	if hi/lo > 1e3 {
		factors = factors[:1]
	}
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for _, f := range factors {
			if y := f * math.Pow(10, e); y >= lo && y <= hi {
				ticks = append(ticks, y)
			}
		}
	}
	return ticks
}

// tickStep returns a round number that divides a span in four to ten.
func tickStep(span float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(span)))
	switch n := span / unit; {
	case n < 2:
		return unit / 5
	case n < 5:
		return unit / 2
	default:
		return unit
	}
}
