package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A growth is how throughput goes with one thing.
type growth struct {
	of     string // what grows, in words
	unit   string // of throughput
	curves []curve
	log    bool // x is drawn by its logarithm
}

// A curve has the throughput at each x.
type curve struct {
	name   string
	points []point
}

type point struct {
	x, y   float64
	memory float64 // MB at the most; 0: not measured
}

// growth measures all of them.
func (b *bench) growth(ctx context.Context) ([]growth, error) {
	var out []growth
	for _, f := range []func(context.Context) (growth, error){b.byBatch, b.byCores, b.bySize, b.byImages} {
		g, err := f(ctx)
		if err != nil {
			return nil, fmt.Errorf("growth: %w", err)
		}
		fmt.Fprintln(os.Stderr, g)
		out = append(out, g)
	}
	return out, nil
}

// computed are the providers whose growth is measured.
var computed = []anrt.Provider{anrt.CPU, anrt.Go}

// throughput returns how many images a second a detector computes, n at once, by its
// best run.
func (b *bench) throughput(ctx context.Context, model []byte, o *anrt.Options, n, side int) (float64, error) {
	det, err := anrt.OpenBytes(model, o)
	if err != nil {
		return 0, err
	}
	defer det.Close()
	pix := pictures(n, side, side)
	t := &task{do: func(ctx context.Context) error { _, err := det.DetectPixels(ctx, pix, n); return err }}
	best := 0.
	for began, runs := time.Now(), 0; runs < 3 || time.Since(began) < b.turn; runs++ {
		ms, err := t.run(ctx, 1)
		if err != nil {
			return 0, err
		}
		if runs > 0 { // the first is slower
			best = max(best, float64(n)/ms[0]*1e3)
		}
	}
	return best, nil
}

func (b *bench) byBatch(ctx context.Context) (growth, error) {
	g := growth{of: "images of a batch", unit: "images/s", log: true}
	f, err := b.dcae(ctx)
	if err != nil {
		return g, err
	}
	for _, provider := range computed {
		c := curve{name: "provider " + string(provider)}
		for n := 1; n <= b.most; n *= 4 {
			y, err := b.throughput(ctx, f.bytes, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider}, Batch: n}, n, f.height)
			if err != nil {
				return g, err
			}
			c.points = append(c.points, point{x: float64(n), y: y})
		}
		g.curves = append(g.curves, c)
	}
	return g, nil
}

func (b *bench) byCores(ctx context.Context) (growth, error) {
	g := growth{of: "cores", unit: "images/s"}
	f, err := b.dcae(ctx)
	if err != nil {
		return g, err
	}
	const n = 16
	for _, provider := range computed {
		c := curve{name: "provider " + string(provider)}
		for threads := 1; threads <= cores(); threads++ {
			y, err := b.throughput(ctx, f.bytes, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider, Threads: threads}, Batch: n}, n, f.height)
			if err != nil {
				return g, err
			}
			c.points = append(c.points, point{x: float64(threads), y: y})
		}
		g.curves = append(g.curves, c)
	}
	return g, nil
}

func (b *bench) bySize(ctx context.Context) (growth, error) {
	g := growth{of: "side of an image, pixels", unit: "megapixels/s", log: true}
	for _, provider := range computed {
		c := curve{name: "provider " + string(provider)}
		for side := 64; side <= b.largest; side *= 2 {
			net, err := models.Open(models.Spec{Height: side}, nil)
			if err != nil {
				return g, err
			}
			f, err := b.write("size.onnx", net, &onnxexport.Options{}, nil)
			if err != nil {
				return g, err
			}
			y, err := b.throughput(ctx, f.bytes, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider}}, 1, side)
			if err != nil {
				return g, err
			}
			c.points = append(c.points, point{x: float64(side), y: y * float64(side*side) / 1e6})
		}
		g.curves = append(g.curves, c)
	}
	return g, nil
}

// byImages runs the command on so many files, which are links to those there are.
func (b *bench) byImages(ctx context.Context) (growth, error) {
	g := growth{of: "image files of one run", unit: "images/s", log: true}
	f, err := b.dcae(ctx)
	if err != nil {
		return g, err
	}
	curves := []curve{{name: "anomaly run"}, {name: "anomaly run --out"}}
	dir, out := filepath.Join(b.dir, "many"), filepath.Join(b.dir, "pictures")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return g, err
	}
	linked := 0
	for _, n := range b.many {
		for ; linked < n; linked++ {
			from := b.files[linked%len(b.files)]
			if err := os.Symlink(from, filepath.Join(dir, fmt.Sprintf("%05d%s", linked, filepath.Ext(from)))); err != nil {
				return g, err
			}
		}
		for i, arguments := range [][]string{{f.path, dir}, {"--out", out, f.path, dir}} {
			began := time.Now()
			scores, memory, err := b.anomaly(ctx, arguments...)
			if err != nil {
				return g, err
			}
			if len(scores) != n {
				return g, fmt.Errorf("got %d scores of %d files", len(scores), n)
			}
			curves[i].points = append(curves[i].points, point{float64(n), float64(n) / time.Since(began).Seconds(), memory})
		}
		if err := os.RemoveAll(out); err != nil { // 10,000 pictures take 700 MB
			return g, err
		}
	}
	g.curves = curves
	return g, nil
}

// String is the table of the growth, in Markdown.
func (g growth) String() string {
	s := "| " + g.of + " |"
	line := "|--:|"
	for _, c := range g.curves {
		s += fmt.Sprintf(" %s, %s |", c.name, g.unit)
		line += "--:|"
		if c.points[0].memory > 0 {
			s += " memory at the most, MB |"
			line += "--:|"
		}
	}
	s += "\n" + line + "\n"
	for i, p := range g.curves[0].points {
		s += fmt.Sprintf("| %.0f |", p.x)
		for _, c := range g.curves {
			s += fmt.Sprintf(" %v |", digits(c.points[i].y, 3))
			if p := c.points[i]; p.memory > 0 {
				s += fmt.Sprintf(" %.0f |", p.memory)
			}
		}
		s += "\n"
	}
	return s
}
