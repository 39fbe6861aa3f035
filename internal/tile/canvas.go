package tile

import (
	"fmt"
	"image"
	"math"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/mirror"
)

// mostPixels is how many a canvas may have: 8192x8192.
const mostPixels = 1 << 26

// A Canvas is an image at a scale, of which tiles are cut. It is safe for concurrent use.
type Canvas struct {
	Height, Width, Channels int

	img image.Image // of this size; nil if pix is set
	pix []uint8     // [Height, Width, Channels]
}

// NewCanvas returns an image, resized as package imageio does to scale times its size,
// above 0, as RGB or grey. The image itself is kept where tiles of height×width can be
// cut of it as it is: do not change it.
func NewCanvas(img image.Image, scale float64, height, width, channels int) (*Canvas, error) {
	size, err := imageio.ImageSize(img)
	if err != nil {
		return nil, err
	}
	scaled := func(n int) int { return max(int(math.Round(float64(n)*scale)), 1) }
	c := &Canvas{Height: scaled(size.Y), Width: scaled(size.X), Channels: channels}
	if c.Width > mostPixels/c.Height {
		return nil, fmt.Errorf("got an image of %dx%d pixels, want at most %d to be cut into tiles", c.Width, c.Height, mostPixels)
	}
	switch img.(type) {
	case *image.Gray, *image.RGBA: // of which a piece costs nothing
		if (image.Point{X: c.Width, Y: c.Height}) == size && c.Height >= height && c.Width >= width {
			c.img = img
			return c, nil
		}
	}
	c.pix = make([]uint8, c.Height*c.Width*channels)
	return c, imageio.Resize(c.pix, img, c.Height, c.Width, channels)
}

// Cut writes the tile whose upper left corner is at (x,y) to dst [height, width,
// channels]. What lies beyond the image is its reflection.
func (c *Canvas) Cut(dst []uint8, y, x, height, width int) error {
	if c.img != nil {
		at := c.img.Bounds().Min.Add(image.Pt(x, y))
		piece := c.img.(interface {
			SubImage(r image.Rectangle) image.Image
		}).SubImage(image.Rectangle{Min: at, Max: at.Add(image.Pt(width, height))})
		return imageio.Resize(dst, piece, height, width, c.Channels)
	}
	n := c.Channels
	for i := range height {
		from := c.pix[mirror.Index(y+i, c.Height)*c.Width*n:]
		to := dst[i*width*n:][:width*n]
		if x+width <= c.Width {
			copy(to, from[x*n:])
			continue
		}
		for j := range width {
			copy(to[j*n:][:n], from[mirror.Index(x+j, c.Width)*n:])
		}
	}
	return nil
}
