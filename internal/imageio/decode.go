package imageio

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"
)

// ErrTooLarge is wrapped by the errors of images above Options.MaxPixels, or
// with a side above 2²⁰ pixels.
var ErrTooLarge = errors.New("image too large")

// maxSide bounds what Resize needs for one row, 40 bytes per pixel: a line of
// 2²⁸ pixels is a small file, and within the default of MaxPixels.
const maxSide = 1 << 20

// Options bound what is decoded. Nil means the defaults.
type Options struct {
	// MaxPixels is the largest width × height that is decoded, checked before
	// memory is allocated for the pixels. 0 means DefaultMaxPixels.
	MaxPixels int
}

// DefaultMaxPixels is 16384x16384 pixels: 1 GiB as RGBA.
const DefaultMaxPixels = 256 << 20

func (o *Options) maxPixels() int {
	if o == nil || o.MaxPixels == 0 {
		return DefaultMaxPixels
	}
	return min(o.MaxPixels, maxSide*maxSide)
}

// A format is an image file's format: its name and how it begins, '?' standing
// for any byte.
type format struct {
	name, magic string
	decode      func(io.Reader) (image.Image, error)
	config      func(io.Reader) (image.Config, error)
}

// Spelt out rather than taken from package image's registry, which any importer
// in the program can add to.
var formats = []format{
	{"PNG", "\x89PNG\r\n\x1a\n", png.Decode, png.DecodeConfig},
	{"JPEG", "\xff\xd8\xff", jpeg.Decode, jpeg.DecodeConfig},
	{"GIF", "GIF8?a", gif.Decode, gif.DecodeConfig},
	{"BMP", "BM????\x00\x00\x00\x00", bmp.Decode, bmp.DecodeConfig},
	{"TIFF", "II*\x00", decodeTIFF, decodeTIFFConfig},
	{"TIFF", "MM\x00*", decodeTIFF, decodeTIFFConfig},
	{"WebP", "RIFF????WEBPVP8", decodeWebP, webp.DecodeConfig},
}

func (f *format) matches(data []byte) bool {
	if len(data) < len(f.magic) {
		return false
	}
	for i := range len(f.magic) {
		if f.magic[i] != '?' && f.magic[i] != data[i] {
			return false
		}
	}
	return true
}

// A file is an encoded image with its header read.
type file struct {
	*format
	data          []byte
	width, height int // as stored, before orientation
	orientation   int // EXIF, 1 to 8
}

// read reads r to its end, and the header of the image in it.
func read(r io.Reader, opts *Options) (*file, error) {
	// No format needs more than its pixels at 16 bit RGBA, give or take metadata.
	limit := 8*int64(opts.maxPixels()) + 1<<24
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("imageio: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("imageio: file of more than %d bytes for at most %d pixels: %w", limit, opts.maxPixels(), ErrTooLarge)
	}
	for i := range formats {
		f := &file{format: &formats[i], data: data}
		if !f.matches(data) {
			continue
		}
		cfg, err := f.config(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("imageio: %s: %w", f.name, err)
		}
		f.width, f.height = cfg.Width, cfg.Height
		if f.width <= 0 || f.height <= 0 {
			return nil, fmt.Errorf("imageio: %s: got %dx%d pixels", f.name, f.width, f.height)
		}
		switch {
		case max(f.width, f.height) > maxSide:
			return nil, fmt.Errorf("imageio: %s: got %dx%d pixels, want at most %d a side: %w",
				f.name, f.width, f.height, maxSide, ErrTooLarge)
		case f.width > opts.maxPixels()/f.height:
			return nil, fmt.Errorf("imageio: %s: got %dx%d pixels, want at most %d (max-pixels): %w",
				f.name, f.width, f.height, opts.maxPixels(), ErrTooLarge)
		}
		f.orientation = orientation(f.name, data)
		return f, nil
	}
	return nil, fmt.Errorf("imageio: neither PNG, JPEG, GIF, BMP, TIFF nor WebP: %w", image.ErrFormat)
}

// pixels decodes the image as it is stored.
func (f *file) pixels() (image.Image, error) {
	img, err := f.decode(bytes.NewReader(f.data))
	if err != nil {
		return nil, fmt.Errorf("imageio: %s: %w", f.name, err)
	}
	return img, nil
}

// bounds is the canvas that the stored pixels lie on: a GIF's first frame may
// cover a part of it only.
func (f *file) bounds() image.Rectangle { return image.Rect(0, 0, f.width, f.height) }

// Decode reads r to its end and returns the image in it, upright (EXIF
// orientation applied) and with its upper left corner at (0,0): *image.Gray for
// images stored as grey or with a palette of greys, else *image.RGBA, opaque. Of
// 16 bit it keeps the upper 8; transparent pixels lie over black; of an animated
// GIF it is the first frame. Colour profiles are ignored on purpose, and CMYK
// becomes RGB without one: a network sees what the camera stored, whatever a
// tool wrote beside it, and so does training as running.
//
// JPEG may be progressive. TIFF may have strips or tiles, plain, LZW, Deflate,
// PackBits or fax, of 1, 8 or 16 bits, CMYK of 8; not JPEG in TIFF, BigTIFF,
// floats, or planes of single colours.
//
// Errors wrap image.ErrFormat for other formats, ErrTooLarge for images above
// the limit, and what the decoders say of damaged files.
func Decode(r io.Reader, opts *Options) (image.Image, error) {
	f, err := read(r, opts)
	if err != nil {
		return nil, err
	}
	img, err := f.pixels()
	if err != nil {
		return nil, err
	}
	return upright(flatten(img, f.bounds()), f.orientation), nil
}

// DecodeMask is Decode for ground truth: 255 where the stored pixel is not
// black, however faint (some sets number the kinds of defects 1, 2, …), else 0.
func DecodeMask(r io.Reader, opts *Options) (*image.Gray, error) {
	f, err := read(r, opts)
	if err != nil {
		return nil, err
	}
	img, err := f.pixels()
	if err != nil {
		return nil, err
	}
	return upright(nonBlack(img, f.bounds()), f.orientation).(*image.Gray), nil
}

// Size returns the width and height that Decode's image would have.
func Size(r io.Reader, opts *Options) (image.Point, error) {
	f, err := read(r, opts)
	if err != nil {
		return image.Point{}, err
	}
	if f.orientation >= 5 {
		return image.Pt(f.height, f.width), nil
	}
	return image.Pt(f.width, f.height), nil
}
