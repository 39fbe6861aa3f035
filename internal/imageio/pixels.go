package imageio

import "image"

// FromPixels returns pixels [height, width, channels] of 1 or 3 channels as an
// image: an *image.Gray, which shares them, or an opaque *image.RGBA.
func FromPixels(pixels []uint8, height, width, channels int) image.Image {
	bounds := image.Rect(0, 0, width, height)
	if channels == 1 {
		return &image.Gray{Pix: pixels, Stride: width, Rect: bounds}
	}
	rgba := image.NewRGBA(bounds)
	for at := range height * width {
		copy(rgba.Pix[4*at:], pixels[3*at:3*at+3])
		rgba.Pix[4*at+3] = 255
	}
	return rgba
}
