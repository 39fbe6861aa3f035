package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"image"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/parallel"
	"github.com/anomaly-go/anomaly/internal/regular"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

// viewFlags say what of an image is looked at, and how closely.
var viewFlags = []cli.Flag{
	&cli.BoolFlag{Name: "tiles", Usage: "look at images in tiles of the network's size, which overlap, not resized to it; --tiles=false at the whole image", DisableDefaultText: true},
	&cli.Float64Flag{Name: "tile-scale", Usage: "`SCALE` at which images are cut into tiles, 0.01 to 1", DefaultText: "1"},
	&cli.IntFlag{Name: "tile-overlap", Usage: "`PIXELS` of the network's by which tiles overlap", DefaultText: "a quarter of a tile"},
	&cli.StringFlag{Name: "roi", Usage: "image `FILE` of what is looked at, in white, and black what is not, of the images' aspect"},
	&cli.BoolFlag{Name: "foreground", Usage: "look at the part alone, where one stands out from a background of one colour", DisableDefaultText: true},
}

// parseView reads viewFlags.
func parseView(c *cli.Context) (v anrt.View, err error) {
	scale, overlap := c.Float64("tile-scale"), c.Int("tile-overlap")
	switch {
	case c.Bool("tiles"):
		t := anrt.Tiles{Scale: 1, Overlap: overlap}
		if c.IsSet("tile-scale") {
			t.Scale = scale
		}
		if !(t.Scale >= anrt.LeastScale && t.Scale <= 1) {
			return v, usagef("--tile-scale: got %v, want %v to 1", scale, anrt.LeastScale)
		}
		if overlap < 0 {
			return v, usagef("--tile-overlap: got %d, want 1 or more", overlap)
		}
		v.Tiles = &t
	case scale != 0 || overlap != 0:
		return v, usagef("--tile-scale and --tile-overlap need --tiles")
	case c.IsSet("tiles"):
		v.Tiles = &anrt.Tiles{}
	}
	if c.IsSet("foreground") {
		v.Foreground = new(c.Bool("foreground"))
	}
	if path := c.String("roi"); path != "" {
		if v.Region, err = readRegion(path); err != nil {
			return v, fmt.Errorf("%w: --roi: %w", errUsage, err)
		}
	}
	return v, nil
}

// readRegion reads the image of --roi.
func readRegion(path string) (*heatmap.Mask, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mask, err := imageio.DecodeMask(f, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	size := mask.Pixels.Rect.Size()
	switch {
	case mask.Empty:
		return nil, fmt.Errorf("%s: got a black image, want white where to look", path)
	case max(size.X, size.Y) > maxZonesSide:
		return nil, fmt.Errorf("%s: got %dx%d pixels, want at most %d on each side", path, size.X, size.Y, maxZonesSide)
	}
	m := &heatmap.Mask{Height: size.Y, Width: size.X, Data: make([]bool, size.X*size.Y)}
	for i, v := range mask.Pixels.Pix {
		m.Data[i] = v > 0
	}
	return m, nil
}

// setView reads viewFlags of train, where what is not asked for is not done.
func (o *trainOptions) setView(c *cli.Context) error {
	v, err := parseView(c)
	if err != nil {
		return err
	}
	if v.Tiles != nil && *v.Tiles == (anrt.Tiles{}) {
		v.Tiles = nil
	}
	if v.Foreground != nil && !*v.Foreground {
		v.Foreground = nil
	}
	if v.Tiles != nil && (o.suspects != "" || o.drop) {
		return usagef("--suspects and --drop-suspects look at whole images: they go without --tiles")
	}
	o.settings.View, o.roi = v, c.String("roi")
	return nil
}

// tiled reports whether images are cut into tiles.
func (o *trainOptions) tiled() bool { return o.settings.View.Tiles != nil }

// chooseTiles returns what a network of tiles is chosen by: there are many of them,
// square, and no place of one is another's, so that features have one covariance.
func (o *trainOptions) chooseTiles() (preset train.Preset, images, width, height int) {
	if (o.spec.Model == train.Auto || o.spec.Model == "features") && o.spec.Rank == 0 {
		o.spec.Rank = -1
	}
	return train.Fast, anyImages, 1, 1
}

// fits reports the first training image whose aspect is not that of the region of interest.
func (o *trainOptions) fits(ctx context.Context, samples []dataset.Sample) error {
	if o.settings.View.Region == nil {
		return nil
	}
	return parallel.Do(ctx, len(samples), 0, func(i int) error {
		size, err := samples[i].Size()
		if err != nil {
			return nil // which is said when it is read
		}
		if err := o.settings.View.Fits(size); err != nil {
			return fmt.Errorf("%s: %w", samples[i].Name, err)
		}
		return nil
	})
}

// load reads the training images, or cuts them into tiles.
func (o *trainOptions) load(ctx context.Context, samples []dataset.Sample) (*train.Data, error) {
	if o.tiled() {
		return train.CutTiles(ctx, o.net, len(samples), func(i int) (image.Image, error) { return samples[i].Image() }, &o.settings)
	}
	channels, height, width := o.net.InputSize()
	pixels, err := dataset.Load(ctx, samples, height, width, channels, 0)
	return &train.Data{Pixels: pixels}, err
}

// viewLine says in words what a described model looks at; "" is the whole image.
func viewLine(d *anrt.Description) string {
	var v anrt.View
	if err := json.Unmarshal([]byte(d.Metadata[onnx.KeyView]), &v); err != nil {
		return "" // of none, or one that opening the model complains of
	}
	if v, err := v.For(d.Images.Height, d.Images.Width); err == nil {
		return v.String()
	}
	return ""
}
