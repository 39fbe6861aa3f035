package runtime

import (
	"context"
	"fmt"
	"image"
	"slices"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/tile"
)

// A mosaic is an image that is cut into tiles, and what has come of them.
type mosaic struct {
	*tile.Canvas
	down, across *tile.Axis
	looked       []image.Point // tiles to be looked at, by their index in across and down
	sum          *heatmap.Map
	thumbnail    frames // of the whole image, where its part is looked for
}

// newMosaic cuts an image into tiles of the model's size.
func (l *loaded) newMosaic(img image.Image) (*mosaic, error) {
	size, err := imageio.ImageSize(img)
	if err == nil {
		err = l.view.fits(size)
	}
	if err != nil {
		return nil, err
	}
	t := l.view.Tiles
	canvas, err := tile.NewCanvas(img, t.Scale, l.height, l.width, l.info.Channels)
	if err != nil {
		return nil, err
	}
	height, width := canvas.Height, canvas.Width
	m := &mosaic{
		Canvas: canvas, down: tile.NewAxis(height, l.height, t.Overlap), across: tile.NewAxis(width, l.width, t.Overlap),
		sum: &heatmap.Map{Data: make([]float32, height*width), Height: height, Width: width},
	}
	for row, y := range m.down.At {
		for column, x := range m.across.At {
			if l.view.Share(image.Rect(x, y, x+l.width, y+l.height), height, width) > 0 {
				m.looked = append(m.looked, image.Pt(column, row))
			}
		}
	}
	if l.view.Foreground == nil {
		return m, nil
	}
	small := min(1, thumbnail/float64(max(size.X, size.Y)))
	f := frames{n: 1, height: max(int(float64(size.Y)*small), 1), width: max(int(float64(size.X)*small), 1)}
	f.pix = make([]uint8, f.height*f.width*m.Channels)
	m.thumbnail = f
	return m, imageio.Resize(f.pix, img, f.height, f.width, m.Channels)
}

// add adds the map of a tile.
func (m *mosaic) add(at image.Point, residuals *heatmap.Map) {
	if residuals.Height != m.down.Tile || residuals.Width != m.across.Tile { // another tool's
		residuals = residuals.Resize(m.down.Tile, m.across.Tile)
	}
	down, across := m.down.Weight[at.Y], m.across.Weight[at.X]
	y, x := m.down.At[at.Y], m.across.At[at.X]
	width := min(m.across.Tile, m.across.Size)
	for i := range min(m.down.Tile, m.down.Size) {
		if down[i] == 0 {
			continue
		}
		to := m.sum.Data[(y+i)*m.sum.Width+x:][:width]
		from := residuals.Data[i*residuals.Width:][:width]
		for j, w := range across[:width] {
			to[j] += down[i] * w * from[j]
		}
	}
}

// detectTiles is Detect of a model whose view has tiles: one image after the other,
// its tiles in batches.
func (l *leased) detectTiles(ctx context.Context, imgs []image.Image) ([]Result, error) {
	results := make([]Result, len(imgs))
	size := l.contract.images.pixels()
	var buffers [2][]uint8 // while one is computed the next is prepared
	for i, img := range imgs {
		m, err := l.newMosaic(img)
		if err != nil {
			return nil, fmt.Errorf("%w: image %d: %w", ErrInput, i, err)
		}
		batches := slices.Collect(slices.Chunk(m.looked, l.batch))
		err = l.queue.serve(ctx, len(batches),
			func(at int) (frames, error) {
				pix := &buffers[at%2]
				if *pix == nil {
					*pix = make([]uint8, l.batch*size)
				}
				f := frames{(*pix)[:len(batches[at])*size], len(batches[at]), l.height, l.width}
				for j, tile := range batches[at] {
					if err := m.Cut(f.pix[j*size:][:size], m.down.At[tile.Y], m.across.At[tile.X], l.height, l.width); err != nil {
						return f, fmt.Errorf("%w: image %d: %w", ErrInput, i, err)
					}
				}
				return f, nil
			},
			func(at int, found []Result) {
				for j, tile := range batches[at] {
					m.add(tile, found[j].Map)
				}
			})
		if err != nil {
			return nil, err
		}
		r := l.newResult(m.sum)
		r.Part = l.view.mask(r.Map, m.thumbnail.pix, m.thumbnail.height, m.thumbnail.width, m.Channels)
		l.decision.judge(&r)
		r.Verdict = r.verdict()
		results[i] = r
	}
	return results, nil
}
