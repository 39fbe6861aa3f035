package runtime

import (
	"image"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// An imageType is how a tensor holds images. Height and width are [graph.Dynamic]
// where they are each image's own.
type imageType struct {
	layout                  string
	batch                   int // graph.Dynamic, or what the model insists on
	channels, height, width int
}

func (i imageType) shape(n int) []int {
	if i.layout == NHWC {
		return []int{n, i.height, i.width, i.channels}
	}
	return []int{n, i.channels, i.height, i.width}
}

// at returns the type for images of a size.
func (i imageType) at(height, width int) imageType {
	i.height, i.width = height, width
	return i
}

// pixels is the number of values of one image.
func (i imageType) pixels() int { return i.channels * i.height * i.width }

// What a file may declare of its images and a batch of them: far beyond any
// network, and a few bytes can declare more than any memory.
const (
	maxPixels = 1 << 26   // of one image: 8192x8192
	maxBatch  = 1<<31 - 1 // values of all images
)

// readImages tells the layout of images from a shape: grey or RGB. Where both
// layouts would fit and none is wanted, uint8 is NHWC, as images are decoded, and
// float NCHW, as networks compute.
func readImages(p *onnx.Port, layout string) (imageType, bool) {
	if len(p.Shape) != 4 || p.DType != graph.Uint8 && p.DType != graph.Float32 {
		return imageType{}, false
	}
	s := p.Shape
	types := []imageType{{NCHW, s[0], s[1], s[2], s[3]}, {NHWC, s[0], s[3], s[1], s[2]}}
	if p.DType == graph.Uint8 {
		slices.Reverse(types)
	}
	side := func(n int) bool { return n == graph.Dynamic || n > 0 && n <= maxPixels }
	for _, t := range types {
		if layout != "" && t.layout != layout || t.channels != 1 && t.channels != 3 || !side(t.height) || !side(t.width) ||
			t.height > 0 && t.width > maxPixels/t.height || t.batch != graph.Dynamic && t.batch < 1 {
			continue
		}
		return t, true
	}
	return imageType{}, false
}

// frames are images of one size, as the model takes them.
type frames struct {
	pix              []uint8 // [n, height, width, channels]
	n, height, width int
}

func (f *frames) sameSize(g *frames) bool { return f.height == g.height && f.width == g.width }

// tensor gives images the model's type and layout; rows beyond the images are black.
// It is valid until the next one in the same scratch.
func (c *contract) tensor(f frames, rows int, s *scratch) *graph.Tensor {
	t := c.images.at(f.height, f.width)
	shape := t.shape(rows)
	pix := f.pix
	if missing := rows*t.pixels() - len(pix); missing > 0 {
		pix = append(reuse(s.bytes, "padded", len(pix)+missing)[:0], pix...)
		pix = pix[:len(pix)+missing]
		clear(pix[len(pix)-missing:])
	}
	area := f.height * f.width
	if c.input.DType == graph.Float32 {
		values := reuse(s.floats, "input", len(pix))
		c.transfer.floats(values, pix, t.layout, t.channels, area)
		return graph.NewTensor(values, shape...)
	}
	if t.layout == NCHW && t.channels == 3 {
		split := reuse(s.bytes, "planes", len(pix))
		planes(split, pix, area)
		pix = split
	}
	return graph.NewTensor(pix, shape...)
}

// image makes an image of one row of a tensor whose values are in a range.
func (t imageType) image(data []float32, r Range) image.Image {
	scale := 255 / (r.High - r.Low)
	value := func(at, channel int) uint8 {
		i := at*t.channels + channel
		if t.layout == NCHW {
			i = channel*t.height*t.width + at
		}
		return uint8(min(max((data[i]-r.Low)*scale, 0), 255) + .5)
	}
	bounds := image.Rect(0, 0, t.width, t.height)
	if t.channels == 1 {
		grey := image.NewGray(bounds)
		for at := range grey.Pix {
			grey.Pix[at] = value(at, 0)
		}
		return grey
	}
	rgba := image.NewRGBA(bounds)
	for at := range t.height * t.width {
		copy(rgba.Pix[4*at:], []uint8{value(at, 0), value(at, 1), value(at, 2), 255})
	}
	return rgba
}
