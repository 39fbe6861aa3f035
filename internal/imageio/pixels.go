package imageio

import (
	"encoding/binary"
	"image"
)

// FromPixels returns pixels [height, width, channels] of 1 or 3 channels as an
// image: an *image.Gray, which shares them, or an opaque *image.RGBA.
func FromPixels(pixels []uint8, height, width, channels int) image.Image {
	bounds := image.Rect(0, 0, width, height)
	if channels == 1 {
		return &image.Gray{Pix: pixels, Stride: width, Rect: bounds}
	}
	rgba := image.NewRGBA(bounds)
	Opaque(rgba.Pix, pixels)
	return rgba
}

// Opaque writes RGB as RGBA.
func Opaque(rgba, rgb []uint8) {
	for len(rgb) >= 4 {
		binary.LittleEndian.PutUint32(rgba, binary.LittleEndian.Uint32(rgb)|0xff<<24)
		rgba, rgb = rgba[4:], rgb[3:]
	}
	if len(rgb) == 3 {
		copy(rgba, []uint8{rgb[0], rgb[1], rgb[2], 255})
	}
}
