package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// tile is the longest side of a picture in a figure, gap what lies between pictures, in pixels.
const tile, gap = 160, 8

// figure draws the article's: for an image of each kind, and for the networks trained with
// these losses beside each other, the input, the reconstruction, the heat map and what is marked.
func (s *settings) figure(ctx context.Context, set *set, losses []string) error {
	examples, err := set.examples(s.data)
	if err != nil {
		return err
	}
	images := make([]image.Image, len(examples))
	for i, e := range examples {
		if images[i], err = e.sample.Image(); err != nil {
			return err
		}
	}
	pictures := make([][]image.Image, len(examples))
	for _, loss := range losses {
		det, err := anrt.Open(s.model(set, loss), &anrt.Options{Reconstruction: true})
		if err != nil {
			return err
		}
		results, err := det.Detect(ctx, images...)
		det.Close()
		if err != nil {
			return err
		}
		hi := float32(0) // one scale for a network's maps, good parts' included
		for _, r := range results {
			hi = max(hi, r.Map.Max())
		}
		for i, r := range results {
			pictures[i] = append(pictures[i], heatmap.Picture(images[i], r.Map, &heatmap.PictureOptions{
				Reconstruction: r.Reconstruction, Threshold: r.Threshold, Tile: tile, Scale: heatmap.Scale{Hi: hi},
				Caption: fmt.Sprintf("%s, %s loss: %s", strings.ReplaceAll(examples[i].kind, "_", " "), loss, heatmap.Caption(r.Score, r.Threshold)),
			}))
		}
	}
	return writePNG(filepath.Join(s.out, set.name+".png"), montage(pictures))
}

// comparison draws distortions of one picture, all with the same squared error.
func comparison() (image.Image, []compared, error) {
	const mse = .004
	clean := gray(mesh())
	show := func(img image.Image, caption string) image.Image {
		o := &heatmap.PictureOptions{NoMap: true, Tile: side, Caption: caption}
		p := heatmap.Picture(img, nil, o)
		title := image.Pt(p.Rect.Min.X, heatmap.Layout(img.Bounds().Size(), o)[0].Min.Y) // "input", which it is not
		return p.SubImage(image.Rectangle{Min: title, Max: p.Rect.Max})
	}
	row := []image.Image{show(clean, "original")}
	var list []compared
	for _, d := range distortions {
		img := d.distorted(mesh(), mse)
		ssim, err := similarity(clean, img)
		if err != nil {
			return nil, nil, err
		}
		c := compared{d.name, squaredError(clean, img), ssim}
		list = append(list, c)
		row = append(row, show(img, fmt.Sprintf("%s: SSIM %.2f", c.name, c.ssim)))
	}
	return montage([][]image.Image{row}), list, nil
}

// compared says how far a distorted picture is from the original.
type compared struct {
	name      string
	mse, ssim float64
}

// montage puts rows of pictures together, on white.
func montage(rows [][]image.Image) image.Image {
	var size image.Point
	at := make([][]image.Rectangle, len(rows))
	for i, row := range rows {
		x, bottom := 0, size.Y
		for _, p := range row {
			r := p.Bounds().Sub(p.Bounds().Min).Add(image.Pt(x, size.Y))
			at[i] = append(at[i], r)
			x, bottom = r.Max.X+gap, max(bottom, r.Max.Y+gap)
		}
		size = image.Pt(max(size.X, x), bottom)
	}
	canvas := image.NewRGBA(image.Rect(0, 0, max(size.X-gap, 1), max(size.Y-gap, 1)))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for i, row := range rows {
		for j, p := range row {
			draw.Draw(canvas, at[i][j], p, p.Bounds().Min, draw.Src)
		}
	}
	return canvas
}

func writePNG(path string, img image.Image) error {
	return atomicfile.Write(path, func(w io.Writer) error { return png.Encode(w, img) })
}
