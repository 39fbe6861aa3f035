package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	goruntime "runtime"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A page is docs/soak.md with its plots.
type page struct {
	settings
	command string
	stream  *streamed
	opens   []*opened
}

func (p *page) write() error {
	files := map[string]func(io.Writer) error{
		"soak.md":       p.markdown,
		"soak.png":      p.streamPlot,
		"soak-open.png": p.opensPlot,
	}
	for name, write := range files {
		if err := atomicfile.Write(filepath.Join(p.out, name), write); err != nil {
			return err
		}
	}
	return nil
}

func (p *page) markdown(w io.Writer) error {
	s := p.stream
	var b bytes.Buffer
	library := ""
	if v := anrt.Diagnose(&anrt.SessionOptions{Provider: p.provider}).Version; v != "" {
		library = ", ONNX Runtime " + v
	}
	fmt.Fprintf(&b, `# Soak

Written by `+"`%s`"+` (%s/%s, %d CPUs%s, %s). It fails if a request is
lost, a result is not its model's, or memory ends more than %.0f %% above its start.

## Swapping under a stream of requests

%d goroutines send requests of 1 to %d images to one detector, provider %s, batches of %d, while its model
is swapped %d times, in turn for one of:

`, p.command, goruntime.GOOS, goruntime.GOARCH, goruntime.GOMAXPROCS(0), library, goruntime.Version(), 100*mayGrow,
		p.clients, 2*batch+1, p.provider, batch, s.swaps)
	for i, v := range variants {
		fmt.Fprintf(&b, "- %v; it served %d images\n", v, s.served[i])
	}
	fmt.Fprintf(&b, `
Every result names its model. It must be one that was in use between the request and its answer, the same one for all images
of a request, and score and map must be what that model gives the same image alone.

| | |
|---|---|
| swaps; of them refused, as they must be (half a file) | %d; %d |
| requests; images | %d; %d |
| time | %v |
| requests lost | %d |
| results that are no model's in use, or of two models in one request | %d |
| largest difference to the image alone | %.1g |
| requests with a nil image, refused without harm to the batch | %d |
| requests whose context ended first, without harm to the batch | %d |
| resident memory before the first and after the last swap, same model, same stream | %.1f MB, %.1f MB (%+.1f %%) |
| its peak | %.1f MB |
| open files; goroutines, clients included | %d, then %d; %d, then %d |

![Resident memory over time](soak.png)

## Opening and closing

A model (%v) is opened, run once and closed, %d times, by one provider after the other in the same process.
Memory is compared from the first tenth on: stacks of threads and what libraries keep for the next time are there by then.

| provider | resident memory, MB | goroutines | open files |
|---|---|---|---|
`, s.swaps, s.refused, s.requests, s.images, s.took.Round(time.Second), s.lost, s.mixed, s.difference, s.invalid, s.cancelled,
		s.start.rss, s.end.rss, 100*s.growth(), s.peak(), s.start.files, s.end.files, s.start.goroutines, s.end.goroutines,
		variants[opensVariant], p.settings.opens)
	for _, o := range p.opens {
		first, last := o.first(), o.last()
		fmt.Fprintf(&b, "| %s | %.1f, then %.1f (%+.1f %%) | %d, then %d | %d, then %d |\n", o.provider, first.rss, last.rss, 100*(last.rss/first.rss-1),
			first.goroutines, last.goroutines, first.files, last.files)
	}
	fmt.Fprintf(&b, "\n![Resident memory by models opened](soak-open.png)\n%s", why)
	_, err := w.Write(b.Bytes())
	return err
}

const why = `
## What gives memory back

ONNX Runtime frees what a session took when it is closed, but the GNU C library keeps freed memory: it raises the size from which
on blocks are mapped one by one, and unmapped when freed, to that of the largest block that was ever freed (up to 32 MB), and
what is smaller stays with the heap of the thread that took it. Package runtime fixes that size at 1 MB when it loads ONNX
Runtime, unless ` + "`MALLOC_MMAP_THRESHOLD_`" + ` is set in the environment, and has those heaps trimmed (` + "`malloc_trim`" + `) when a model
is closed. What was tried, resident memory after opening and closing a detector of 128×128 100 times (50 MB after the first):

| | MB |
|---|---|
| as it comes | 180 to 260 |
| one heap for all threads (` + "`MALLOC_ARENA_MAX=1`" + `) | 110 to 170 |
| ` + "`malloc_trim`" + ` after closing | 52 to 124 |
| fixed size of 1 MB (also 512 KB or 128 KB) | 54 to 56 |

and after the swaps above, which differ more in what they take: with the fixed size alone 5 to 13 % more than before, with both
what the table says.
`

func (s *streamed) peak() float64 {
	peak := 0.
	for _, f := range s.samples {
		peak = max(peak, f.rss)
	}
	return peak
}

// Sizes of a plot.
const plotWidth, plotHeight = 20 * vg.Centimeter, 9 * vg.Centimeter

// streamPlot draws memory over time, and the limits that it must end between.
func (p *page) streamPlot(w io.Writer) error {
	s := p.stream
	pl := newPlot(fmt.Sprintf("%d swaps under a stream of requests", s.swaps), "seconds", "MB", s.peak())
	var rss, heap plotter.XYs
	for _, f := range s.samples {
		rss = append(rss, plotter.XY{X: f.at.Seconds(), Y: f.rss})
		heap = append(heap, plotter.XY{X: f.at.Seconds(), Y: f.heap})
	}
	end := s.took.Seconds()
	level := func(y float64) plotter.XYs { return plotter.XYs{{X: 0, Y: y}, {X: end, Y: y}} }
	if err := addLine(pl, "resident memory", 0, false, rss); err != nil {
		return err
	}
	if err := addLine(pl, "of it Go's heap and stacks", 1, false, heap); err != nil {
		return err
	}
	if err := addLine(pl, "start, and 10 % above", 2, true, level(s.start.rss)); err != nil {
		return err
	}
	if err := addLine(pl, "", 2, true, level(s.start.rss*(1+mayGrow))); err != nil {
		return err
	}
	if n := len(s.swapped); n > 0 {
		span := plotter.XYs{{X: s.swapped[0].Seconds(), Y: 0}, {X: s.swapped[n-1].Seconds(), Y: 0}}
		if err := addLine(pl, "swaps", 3, false, span); err != nil {
			return err
		}
	}
	return writePNG(pl, w)
}

// opensPlot draws memory by the number of models opened.
func (p *page) opensPlot(w io.Writer) error {
	top := 0.
	for _, o := range p.opens {
		for _, f := range o.samples {
			top = max(top, f.rss)
		}
	}
	pl := newPlot("Opening and closing a model", "times", "MB", top)
	for i, o := range p.opens {
		var rss plotter.XYs
		for j, f := range o.samples {
			rss = append(rss, plotter.XY{X: float64(o.counts[j]), Y: f.rss})
		}
		if err := addLine(pl, "resident memory, provider "+string(o.provider), i, false, rss); err != nil {
			return err
		}
	}
	return writePNG(pl, w)
}

func newPlot(title, x, y string, top float64) *plot.Plot {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Y.Min, p.Y.Max = 0, top*1.3 // room for the legend
	p.Legend.Top = true
	p.Legend.Padding, p.Legend.XOffs = vg.Millimeter, -vg.Centimeter
	p.Add(plotter.NewGrid())
	return p
}

var palette = []color.Color{
	color.RGBA{0x1f, 0x5f, 0xa8, 255}, color.RGBA{0x2e, 0x8b, 0x57, 255}, color.Gray{0x60}, color.RGBA{0xd0, 0x6a, 0x1c, 255},
}

func addLine(p *plot.Plot, name string, colour int, dashed bool, xys plotter.XYs) error {
	l, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	l.Color = palette[colour]
	l.Width = vg.Points(1.5)
	if dashed {
		l.Dashes = []vg.Length{vg.Points(4), vg.Points(4)}
	}
	p.Add(l)
	if name != "" {
		p.Legend.Add(name, l)
	}
	return nil
}

func writePNG(p *plot.Plot, w io.Writer) error {
	to, err := p.WriterTo(plotWidth, plotHeight, "png")
	if err != nil {
		return err
	}
	_, err = to.WriteTo(w)
	return err
}
