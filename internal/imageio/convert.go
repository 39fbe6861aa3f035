package imageio

import (
	"fmt"
	"image"
	"image/draw"
	"reflect"

	"github.com/anomaly-go/anomaly/internal/jpeg"
)

// ImageSize returns the size of an image that somebody else made, and an error
// where Resize would give one for its type, bounds or pixels.
func ImageSize(img image.Image) (size image.Point, err error) {
	defer rescue(img, &err)
	if v := reflect.ValueOf(img); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return image.Point{}, fmt.Errorf("imageio: got a nil image (%T)", img)
	}
	size = img.Bounds().Size()
	switch {
	case size.X <= 0 || size.Y <= 0:
		return size, fmt.Errorf("imageio: got an image of %dx%d pixels", size.X, size.Y)
	case size.X > maxSide || size.Y > maxSide:
		return size, fmt.Errorf("imageio: got an image of %dx%d pixels, want at most %d a side: %w", size.X, size.Y, maxSide, ErrTooLarge)
	}
	switch src := img.(type) {
	case *image.Gray:
		return size, enough(len(src.Pix), src.Stride, size, 1)
	case *image.RGBA:
		return size, enough(len(src.Pix), src.Stride, size, 4)
	}
	if size.X > DefaultMemory/4/size.Y { // converting it takes as much
		return size, fmt.Errorf("imageio: got an image of %dx%d pixels, want at most %d: %w", size.X, size.Y, DefaultMemory/4, ErrTooLarge)
	}
	return size, nil
}

// enough tests that there are all pixels, n bytes each.
func enough(length, stride int, size image.Point, n int) error {
	if stride < size.X*n || length-size.X*n < 0 || (size.Y-1) > (length-size.X*n)/stride {
		return fmt.Errorf("imageio: got an image with %d bytes of pixels, stride %d, want %dx%d pixels of %d bytes", length, stride, size.X, size.Y, n)
	}
	return nil
}

// rescue makes an error of a panic in an image's own methods.
func rescue(img image.Image, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("imageio: reading an image of type %T panicked: %v", img, p)
	}
}

// convert returns any image as *image.Gray or *image.RGBA, over black and with
// its upper left corner at (0,0).
func convert(img image.Image, size image.Point) image.Image {
	bounds := image.Rectangle{Max: size}
	switch src := img.(type) {
	case *image.Gray16:
		dst := image.NewGray(bounds)
		for y := range size.Y {
			from := src.Pix[y*src.Stride:]
			for x := range size.X {
				dst.Pix[y*dst.Stride+x] = from[2*x]
			}
		}
		return dst
	case *image.Paletted:
		at := *src
		at.Rect = bounds
		img = lookUp(&at)
		if opaque, ok := img.(*image.Gray); ok {
			return opaque
		}
	case *image.YCbCr:
		if src.Rect.Min == (image.Point{}) {
			return jpeg.ToRGB(src)
		}
	}
	dst := image.NewRGBA(bounds)
	draw.Draw(dst, bounds, img, img.Bounds().Min, draw.Src)
	opaque(dst.Pix) // the colours are multiplied by alpha: without it they lie over black
	return dst
}
