package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/foreground"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// A View says what of an image a model looks at, and how closely. Fields that are nil
// are the model's own, as its file's metadata say, and of a model that says nothing
// the whole image, resized to the model's size.
//
// Whatever of it is set, scores are the maps' highest residuals (heatmap's Map.Peak).
type View struct {
	// Tiles cuts images into pieces of the model's size. The zero Tiles is none.
	Tiles *Tiles
	// Region is where to look: outside of it maps are 0. Its size is any, its aspect
	// that of the images, to within a hundredth or a pixel: others are errors. The
	// zero Mask is the whole image. Do not change it while it is in use.
	Region *heatmap.Mask
	// Foreground looks at the part alone, which each image by itself tells from the
	// background: what has the colour of the image's border, if that is nearly one
	// colour, and is connected to it. A fortieth of the shorter side beyond the part is
	// looked at too. Where no part stands out the whole image is: Result.Part says so.
	Foreground *bool
}

// Tiles say how an image is cut into tiles of the model's size, whose maps are put
// together: weighted down to nothing towards the middle of where two overlap, so that
// no seam shows, and without the outer quarter of that, where a network sees no
// surroundings. An image that is smaller than a tile is continued by reflection.
//
// Memory is that of the image, its map and a batch of tiles. Maps are as large as the
// image at Scale. Results have no reconstructions.
type Tiles struct {
	// Scale is how many of the model's pixels one of the image's gets on each axis:
	// [LeastScale] to 1.
	Scale float64 `json:"scale"`
	// Overlap of tiles side by side, in the model's pixels, at the least: up to half of
	// the tile's shorter side; 0 is a quarter of it, in steps of 16. Multiples of the
	// network's strides keep its grid the same in all tiles but the last of a row or column.
	Overlap int `json:"overlap"`
}

// LeastScale is the least scale of [Tiles]: less leaves nothing of an image to look at.
const LeastScale = .01

const (
	maskedAspect = .01     // how far an image's aspect may be from the region's, as a share
	partMargin   = 1. / 40 // beyond the part, of the image's shorter side
	maxRegion    = 1 << 14 // sides of a region in pixels
	thumbnail    = 512     // longest side, in pixels, at which the part of a tiled image is looked for
)

// withDefaults settles the overlap for tiles of a size.
func (t Tiles) withDefaults(height, width int) Tiles {
	if side := min(height, width); t.Overlap == 0 {
		if t.Overlap = side / 4 / 16 * 16; t.Overlap == 0 {
			t.Overlap = side / 4
		}
	}
	return t
}

func (t Tiles) check(height, width int) error {
	switch {
	case !(t.Scale >= LeastScale && t.Scale <= 1):
		return fmt.Errorf("%w: tiles: scale: got %v, want %v to 1", ErrInput, t.Scale, LeastScale)
	case t.Overlap < 0 || t.Overlap > min(height, width)/2:
		return fmt.Errorf("%w: tiles: overlap: got %d, want 0 to %d, half of the model's %dx%d", ErrInput, t.Overlap, min(height, width)/2, width, height)
	}
	return nil
}

// viewJSON is a View as files have it.
type viewJSON struct {
	Tiles      *Tiles `json:"tiles,omitempty"`
	Region     []byte `json:"region,omitempty"` // a PNG, white is looked at
	Foreground *bool  `json:"foreground,omitempty"`
}

// MarshalJSON implements [json.Marshaler]: the region is a PNG in base64.
func (v View) MarshalJSON() ([]byte, error) {
	j := viewJSON{Tiles: v.Tiles, Foreground: v.Foreground}
	if m := v.Region; m != nil && len(m.Data) > 0 {
		img := image.NewPaletted(image.Rect(0, 0, m.Width, m.Height), color.Palette{color.Gray{}, color.Gray{255}})
		for i, on := range m.Data {
			if on {
				img.Pix[i] = 1
			}
		}
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img); err != nil {
			return nil, err
		}
		j.Region = b.Bytes()
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *View) UnmarshalJSON(b []byte) error {
	var j viewJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*v = View{Tiles: j.Tiles, Foreground: j.Foreground}
	if len(j.Region) == 0 {
		return nil
	}
	config, err := png.DecodeConfig(bytes.NewReader(j.Region))
	if err == nil && max(config.Width, config.Height) > maxRegion {
		err = fmt.Errorf("got %dx%d pixels, want at most %d a side", config.Width, config.Height, maxRegion)
	}
	if err != nil {
		return fmt.Errorf("region: %w", err)
	}
	img, err := png.Decode(bytes.NewReader(j.Region))
	if err != nil {
		return fmt.Errorf("region: %w", err)
	}
	m := &heatmap.Mask{Height: config.Height, Width: config.Width, Data: make([]bool, config.Height*config.Width)}
	for i := range m.Data {
		r, _, _, _ := img.At(i%m.Width, i/m.Width).RGBA()
		m.Data[i] = r > math.MaxUint16/2
	}
	v.Region = m
	return v.check()
}

// check reports what is wrong with a view whatever the model is.
func (v *View) check() error {
	m := v.Region
	switch {
	case m == nil || m.Height == 0 && m.Width == 0 && len(m.Data) == 0:
		return nil
	case m.Height < 1 || m.Width < 1 || max(m.Height, m.Width) > maxRegion || len(m.Data) != m.Height*m.Width:
		return fmt.Errorf("%w: region: got %d pixels, %dx%d, want 1x1 to %d a side", ErrInput, len(m.Data), m.Width, m.Height, maxRegion)
	case foreground.Share(m.Data) == 0:
		return fmt.Errorf("%w: region: got none: no pixel is set", ErrInput)
	}
	return nil
}

// String says in words what is looked at; "" is the whole image.
func (v View) String() string {
	var parts []string
	if t := v.Tiles; t != nil && *t != (Tiles{}) {
		of := "images at their full size"
		if t.Scale != 1 {
			of = fmt.Sprintf("images at %.4g of their size", t.Scale)
		}
		parts = append(parts, fmt.Sprintf("tiles that overlap by %d pixels, of %s", t.Overlap, of))
	}
	if m := v.Region; m != nil && len(m.Data) > 0 {
		parts = append(parts, fmt.Sprintf("a region of %.1f %% of the image, drawn at %dx%d", 100*foreground.Share(m.Data), m.Width, m.Height))
	}
	if v.Foreground != nil && *v.Foreground {
		parts = append(parts, "the part, where one stands out from the background")
	}
	return strings.Join(parts, "; ")
}

// Metadata returns the view as a file carries it, for [onnxexport.Options].Metadata:
// nothing if it is the whole image.
func (v View) Metadata() (map[string]string, error) {
	if v.String() == "" {
		return nil, nil
	}
	b, err := json.Marshal(v)
	return map[string]string{strings.TrimPrefix(onnx.KeyView, onnx.Prefix): string(b)}, err
}

// readView returns the view that a file carries.
func readView(metadata map[string]string) (v View, err error) {
	s, ok := metadata[onnx.KeyView]
	if !ok {
		return v, nil
	}
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return v, fmt.Errorf("%w: metadata %s: %w", ErrModel, onnx.KeyView, err)
	}
	return v, nil
}

// For returns the view with its defaults, for a model of a size, and what is wrong
// with it; fields that say nothing are nil.
func (v View) For(height, width int) (View, error) { return v.settled(View{}, height, width) }

// settled returns the view of a model whose file carries one, for images of its
// size: fields are nil where there is nothing to do.
func (v View) settled(of View, height, width int) (View, error) {
	if v.Tiles == nil {
		v.Tiles = of.Tiles
	}
	if v.Region == nil {
		v.Region = of.Region
	}
	if v.Foreground == nil {
		v.Foreground = of.Foreground
	}
	if err := v.check(); err != nil {
		return v, err
	}
	if m := v.Region; m != nil && len(m.Data) == 0 {
		v.Region = nil
	}
	if v.Foreground != nil && !*v.Foreground {
		v.Foreground = nil
	}
	if v.Tiles == nil || *v.Tiles == (Tiles{}) {
		v.Tiles = nil
		return v, nil
	}
	if height < 1 {
		return v, fmt.Errorf("%w: tiles: got a model that takes images of any size, want the size of a tile", ErrInput)
	}
	t := v.Tiles.withDefaults(height, width)
	v.Tiles = &t
	return v, t.check(height, width)
}

// masks reports whether maps are changed.
func (v *View) masks() bool { return v.Region != nil || v.Foreground != nil }

// Fits reports an image of a size, in pixels, whose aspect is not the region's.
func (v *View) Fits(size image.Point) error {
	if err := v.fits(size); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	return nil
}

func (v *View) fits(size image.Point) error {
	m := v.Region
	if m == nil || len(m.Data) == 0 {
		return nil
	}
	// How many pixels of the image, or of the region, the aspects differ by.
	got, want := float64(size.X)*float64(m.Height), float64(size.Y)*float64(m.Width)
	off := math.Abs(got-want) / max(got, want)
	if off > maskedAspect && off*float64(min(size.X, size.Y, m.Height, m.Width)) > 1 {
		return fmt.Errorf("got an image of %dx%d pixels, want the aspect of the region of interest, %dx%d", size.X, size.Y, m.Width, m.Height)
	}
	return nil
}

// Share returns how much of a rectangle of an image of a size lies in the region, in
// [0,1]; what lies beyond the image does not count.
func (v *View) Share(r image.Rectangle, height, width int) float64 {
	m := v.Region
	if m == nil || len(m.Data) == 0 {
		return 1
	}
	r = r.Intersect(image.Rect(0, 0, width, height))
	in := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := m.Data[(2*y+1)*m.Height/(2*height)*m.Width:]
		for x := r.Min.X; x < r.Max.X; x++ {
			if row[(2*x+1)*m.Width/(2*width)] {
				in++
			}
		}
	}
	return float64(in) / float64(max(r.Dx()*r.Dy(), 1))
}

// mask sets a map to 0 where the view does not look: outside the region, and outside
// the part that pixels [height, width, channels] of the whole image show. It returns
// the part's share of the image; nil where none is looked for, or stands out.
func (v *View) mask(m *heatmap.Map, pixels []uint8, height, width, channels int) *float64 {
	if m != nil && v.Region != nil {
		erase(m, v.Region.Data, v.Region.Height, v.Region.Width)
	}
	if v.Foreground == nil {
		return nil
	}
	part, _ := foreground.Part(pixels, height, width, channels)
	if part == nil {
		return nil
	}
	part = foreground.Grown(part, height, width, max(int(math.Ceil(partMargin*float64(min(height, width)))), 1), true)
	if m != nil {
		erase(m, part, height, width)
	}
	share := foreground.Share(part)
	return &share
}

// erase sets a map to 0 where a mask of another size is not set at the nearest pixel.
func erase(m *heatmap.Map, mask []bool, height, width int) {
	for y := range m.Height {
		row := mask[(2*y+1)*height/(2*m.Height)*width:][:width]
		for x := range m.Width {
			if !row[(2*x+1)*width/(2*m.Width)] {
				m.Data[y*m.Width+x] = 0
			}
		}
	}
}
