package page

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/metrics"
)

// An evaluation is what index.html shows of an evaluation beside the images.
type evaluation struct{ *judge.Evaluation }

// A TableRow is a line of figures: of a kind of anomaly, or of all.
type TableRow struct {
	Name    string
	N       int // images
	Figures []string
	Total   bool
}

// nothing is the figure that there is none of.
const nothing = "–"

// tabulate makes a row of each kind and of all, of figures of so many digits.
func tabulate(e *judge.Evaluation, digits int, figures func(judge.OfKind, func(float64) string) []string) []TableRow {
	spell := func(x float64) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	var rows []TableRow
	for _, kind := range slices.Sorted(maps.Keys(e.Kinds)) {
		of := e.Kinds[kind]
		rows = append(rows, TableRow{Name: kind, N: of.N, Figures: figures(of, spell)})
	}
	all := judge.OfKind{Image: e.Image, Pixel: e.Pixel, Decided: e.Decided, N: e.N.Anomalous}
	return append(rows, TableRow{Name: "all", N: all.N, Figures: figures(all, spell), Total: true})
}

// MetricsTable returns what scores and residuals tell whatever the threshold: AUROC, AP
// and F1-max of images, and where pixels were measured those of them, AU-PRO .3 and .05.
func MetricsTable(e *judge.Evaluation, digits int) []TableRow {
	return tabulate(e, digits, func(of judge.OfKind, spell func(float64) string) []string {
		figures := []string{spell(of.Image.AUROC), spell(of.Image.AP), spell(of.Image.F1Max)}
		switch p := of.Pixel; {
		case p != nil:
			figures = append(figures, spell(p.AUROC), spell(p.AP), spell(p.F1Max), spell(p.AUPRO30), spell(p.AUPRO05))
		case e.Pixel != nil:
			figures = append(figures, nothing, nothing, nothing, nothing, nothing)
		}
		return figures
	})
}

// DecidedTable returns what the verdicts do: missed, found, recall, its bound, precision
// and F1; nil where there are none.
func DecidedTable(e *judge.Evaluation, digits int) []TableRow {
	if e.Decided == nil {
		return nil
	}
	return tabulate(e, digits, func(of judge.OfKind, spell func(float64) string) []string {
		d := of.Decided
		precision := nothing // is above
		if d.Precision != nil {
			precision = spell(*d.Precision)
		}
		r := d.Recall
		return []string{fmt.Sprint(r.Of - r.Above), fmt.Sprint(r.Above), spell(r.Share), spell(r.AtLeast), precision, spell(d.F1)}
	})
}

// Table returns the figures of each kind and of all.
func (e *evaluation) Table() []TableRow { return MetricsTable(e.Evaluation, 4) }

// DecidedTable returns what the verdicts do to each kind and to all; nil where there
// are none.
func (e *evaluation) DecidedTable() []TableRow { return DecidedTable(e.Evaluation, 3) }

// A plot is a curve's picture: lines in a square of 100x100, y downwards.
type plot struct {
	Title, X, Y string
	Right       string // what X's axis ends at
	Lines       []plotLine
	Marker      string // "roc" or "pr": it shows where the slider's threshold is
}

type plotLine struct {
	Name, Figure string
	Path         string // SVG path data
}

// Plots returns the curves.
func (e *evaluation) Plots() []plot {
	roc := plot{Title: "ROC", X: "false-positive rate", Y: "true-positive rate", Right: "1", Marker: "roc"}
	pr := plot{Title: "Precision and recall", X: "recall", Y: "precision", Right: "1", Marker: "pr"}
	roc.add("images", "AUROC", e.Image.AUROC, polyline(e.Curves.ROC, 1))
	pr.add("images", "AP", e.Image.AP, steps(e.Curves.PR))
	if e.Pixel == nil {
		return []plot{roc, pr}
	}
	roc.add("pixels", "AUROC", e.Pixel.AUROC, polyline(e.Curves.PixelROC, 1))
	pr.add("pixels", "AP", e.Pixel.AP, steps(e.Curves.PixelPR))
	const limit = .3 // as far as AU-PRO is usually integrated
	pro := plot{Title: "PRO", X: "false-positive rate of pixels", Y: "per-region overlap", Right: "0.3"}
	pro.add("regions", "AU-PRO .3", e.Pixel.AUPRO30, polyline(e.Curves.PRO, limit))
	return []plot{roc, pr, pro}
}

func (p *plot) add(name, figure string, value float64, path string) {
	p.Lines = append(p.Lines, plotLine{name, fmt.Sprintf("%s %.3f", figure, value), path})
}

// polyline draws a curve up to x = right, which lies at 100.
func polyline(c []metrics.Point, right float64) string {
	var b strings.Builder
	for i, p := range c {
		if p.X > right {
			before := c[i-1] // the first point has X = 0
			p.Y = before.Y + (p.Y-before.Y)*(right-before.X)/(p.X-before.X)
			p.X = right
			fmt.Fprintf(&b, "L100 %s", coordinate(1-p.Y))
			break
		}
		letter := 'L'
		if i == 0 {
			letter = 'M'
		}
		fmt.Fprintf(&b, "%c%s %s", letter, coordinate(p.X/right), coordinate(1-p.Y))
	}
	return b.String()
}

// steps draws a curve whose y holds from the point before up to its own: average
// precision is the area under that.
func steps(c []metrics.Point) string {
	var b strings.Builder
	for i, p := range c {
		if i == 0 {
			fmt.Fprintf(&b, "M%s %s", coordinate(p.X), coordinate(1-p.Y))
			continue
		}
		fmt.Fprintf(&b, "V%sH%s", coordinate(1-p.Y), coordinate(p.X))
	}
	return b.String()
}

// coordinate spells a number of [0,1] as one of 0 to 100.
func coordinate(v float64) string { return fmt.Sprint(math.Round(1e4*v) / 100) }

// A histogram is how the scores of the images of one kind are spread.
type histogram struct {
	Kind, Name string
	N          int
	Path       string // SVG path data of its outline in a box of histogramBins x 1
}

const histogramBins = 80

// Defects reports whether the images have a defect, as their kind says.
func (h histogram) Defects() bool { return h.Kind != "" && h.Kind != dataset.Good }

// Bins is the width of a histogram's box.
func (histogram) Bins() int { return histogramBins }

// Histograms returns one for each kind, or one for all images without truth,
// over the range of the threshold's slider. The fullest bin of each fills its
// box; what is not empty can be seen.
func (r *Report) Histograms() []histogram {
	kinds, known := r.kinds(), r.Eval != nil
	if !known {
		kinds = []string{""}
	}
	lo, hi := r.span()
	var list []histogram
	for _, kind := range kinds {
		h := histogram{Kind: kind, Name: kind}
		if !known {
			h.Name = "all images"
		}
		var counts [histogramBins]int
		most := 0
		for _, row := range r.Rows {
			if row.Err == nil && (!known || row.Sample.Kind == kind) {
				at := min(int(float64(row.Score-lo)/float64(hi-lo)*histogramBins), histogramBins-1)
				counts[at]++
				most = max(most, counts[at])
				h.N++
			}
		}
		if h.N == 0 && kind != dataset.Good {
			continue
		}
		var b strings.Builder
		b.WriteString("M0 1")
		for i, n := range counts {
			const visible = .08
			height := 0.
			if n > 0 {
				height = max(float64(n)/float64(most), visible)
			}
			fmt.Fprintf(&b, "V%.3gH%d", 1-height, i+1)
		}
		b.WriteString("V1Z")
		h.Path = b.String()
		list = append(list, h)
	}
	return list
}
