package imageio

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math"

	"github.com/anomaly-go/anomaly/internal/png"
)

var (
	// ErrTooLarge is wrapped by the errors of images above the limits of Options,
	// or with a side above 2²⁰ pixels.
	ErrTooLarge = errors.New("image too large")
	// ErrUnsupported is wrapped by the errors of formats that are known and not read.
	ErrUnsupported = errors.New("unsupported image format")
	// ErrLevels is wrapped by the errors of numbers whose black and white nothing
	// tells: Options.Levels does.
	ErrLevels = errors.New("unknown number of grey levels")
)

// maxSide bounds what Resize needs for one row, 40 bytes per pixel: a line of
// 2²⁸ pixels is a small file.
const maxSide = 1 << 20

// DefaultMemory is what decoding one image may take, in bytes, unless
// Options.MaxPixels says how large it may be.
const DefaultMemory = 1 << 30

// A Background is what transparent pixels lie over.
type Background int

// Black is the default. Ignore keeps the colours that transparent pixels have,
// as if there were no transparency.
const (
	Black Background = iota
	White
	Ignore
)

// Options say how an image is decoded. Nil means the defaults.
type Options struct {
	// MaxPixels is the largest width × height that is decoded, checked before
	// memory is allocated for the pixels. 0 leaves it to DefaultMemory: 16384x16384
	// pixels of 8 bit colour, four times as many of grey, a third of 16 bit RGBA.
	MaxPixels int
	// Background is what transparent pixels lie over.
	Background Background
	// Levels is how many levels images of more than 8 bits have, whatever they say:
	// 4096 for a camera of 12 bits. 0 is what the file says, else all that its
	// numbers have.
	Levels int
	// Page is which page of a TIFF file is decoded, from 1; 0 is the first.
	Page int
}

func (o *Options) orDefaults() *Options {
	if o == nil {
		return &Options{}
	}
	return o
}

// A format is an image file's format: its name, how it begins ('?' standing for
// any byte), and what reads its header.
type format struct {
	name, magic string
	open        func(src *source, opts *Options) (*file, error)
}

// Spelt out rather than taken from package image's registry, which any importer
// in the program can add to.
var formats = []format{
	{"PNG", "\x89PNG\r\n\x1a\n", openPNG},
	{"JPEG", "\xff\xd8\xff", openJPEG},
	{"GIF", "GIF8?a", openGIF},
	{"BMP", "BM????????????", openBMP},
	{"TIFF", "II*\x00", openTIFF},
	{"TIFF", "MM\x00*", openTIFF},
	{"TIFF", "II+\x00\x08\x00", openTIFF},
	{"TIFF", "MM\x00+\x00\x08", openTIFF},
	{"WebP", "RIFF????WEBP", openWebP},
	{"PBM", "P1", openPNM},
	{"PGM", "P2", openPNM},
	{"PPM", "P3", openPNM},
	{"PBM", "P4", openPNM},
	{"PGM", "P5", openPNM},
	{"PPM", "P6", openPNM},
	{"PAM", "P7\n", openPNM},
	{"PFM", "Pf", openPNM},
	{"PFM", "PF", openPNM},
	{"DIB", "\x28\x00\x00\x00", openDIB},
	{"DIB", "\x6c\x00\x00\x00", openDIB},
	{"DIB", "\x7c\x00\x00\x00", openDIB},
	{"DIB", "\x0c\x00\x00\x00", openDIB},
}

// matches reports whether data begins with magic.
func matches(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// A file is an encoded image with its header read.
type file struct {
	format        string
	width, height int // as stored, before orientation
	orientation   int // EXIF, 1 to 8; 0 is 1
	cost          int // bytes of memory that decode takes for a pixel
	decode        func() (*stored, error)
	usual         *png.File // that can be read by rows, else nil
	data          []byte    // that usual is read from
	notes         []string  // what was chosen
}

// A source is an encoded image.
type source struct {
	io.ReaderAt
	size int64
}

// bytes returns all of it.
func (s *source) bytes() ([]byte, error) { return s.into(make([]byte, s.size)) }

// into is bytes in data, which is as large.
func (s *source) into(data []byte) ([]byte, error) {
	n, err := s.ReadAt(data, 0)
	if n == len(data) {
		return data, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// newSource reads r to its end, a file on disk only when its bytes are needed:
// a page of a long TIFF is a small part of it. What is in memory is not copied.
func newSource(r io.Reader, opts *Options) (*source, error) {
	// No format needs more than its pixels at 16 bit RGBA, give or take metadata.
	limit := int64(DefaultMemory)
	if opts.MaxPixels > 0 {
		limit = 8*min(int64(opts.MaxPixels), maxSide*maxSide) + 1<<24
	}
	if f, ok := r.(interface {
		io.ReaderAt
		Stat() (fs.FileInfo, error)
	}); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return &source{f, info.Size()}, nil
		}
	}
	b, ok := r.(*bytes.Reader) // in memory already
	if !ok || b.Len() != int(b.Size()) {
		data, err := io.ReadAll(io.LimitReader(r, limit+1))
		if err != nil {
			return nil, err
		}
		b = bytes.NewReader(data)
	}
	if b.Size() > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge)
	}
	return &source{b, b.Size()}, nil
}

// open reads the header of the image in r.
func open(r io.Reader, opts *Options) (*file, error) {
	src, err := newSource(r, opts)
	if err != nil {
		return nil, fmt.Errorf("imageio: %w", err)
	}
	if src.size == 0 {
		return nil, fmt.Errorf("imageio: the file is empty: %w", io.ErrUnexpectedEOF)
	}
	head := make([]byte, min(src.size, 512))
	if _, err := src.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("imageio: %w", err)
	}
	if name := refusedName(head); name != "" {
		return nil, unsupported(name)
	}
	for _, format := range formats {
		if !matches(head, format.magic) {
			continue
		}
		f, err := format.open(src, opts)
		if err == nil {
			f.format = format.name
			err = f.check(opts)
		}
		if err != nil {
			return nil, fmt.Errorf("imageio: %s: %w", format.name, err)
		}
		return f, nil
	}
	if isTGA(head, src) {
		return nil, unsupported("TGA")
	}
	but := ""
	if what := noImage(head); what != "" {
		but = ", but " + what
	}
	return nil, fmt.Errorf("imageio: neither PNG, JPEG, GIF, BMP, TIFF, WebP nor PNM%s: %w", but, image.ErrFormat)
}

func unsupported(name string) error {
	return fmt.Errorf("imageio: %s: %w (convert it to PNG or TIFF)", name, ErrUnsupported)
}

// check tests the size against the limits.
func (f *file) check(opts *Options) error {
	if f.width <= 0 || f.height <= 0 {
		return fmt.Errorf("got %dx%d pixels", f.width, f.height)
	}
	if max(f.width, f.height) > maxSide {
		return fmt.Errorf("got %dx%d pixels, want at most %d a side: %w", f.width, f.height, maxSide, ErrTooLarge)
	}
	pixels := int64(f.width) * int64(f.height) // below 2⁴⁰
	switch {
	case opts.MaxPixels > 0 && pixels > int64(opts.MaxPixels):
		return fmt.Errorf("got %dx%d pixels, want at most %d (max-pixels): %w", f.width, f.height, opts.MaxPixels, ErrTooLarge)
	case opts.MaxPixels == 0 && pixels > DefaultMemory/int64(f.cost):
		return fmt.Errorf("got %dx%d pixels, which take %.1f GiB to decode, want at most %d (or say max-pixels): %w",
			f.width, f.height, float64(pixels)*float64(f.cost)/(1<<30), DefaultMemory/f.cost, ErrTooLarge)
	case pixels > min(math.MaxInt32*4, math.MaxInt): // more than a slice may hold
		return fmt.Errorf("got %dx%d pixels: %w", f.width, f.height, ErrTooLarge)
	}
	return nil
}

// stored decodes the image as it is stored.
func (f *file) stored() (s *stored, err error) {
	s, err = f.decode()
	if err != nil {
		return nil, fmt.Errorf("imageio: %s: %w", f.format, err)
	}
	s.notes = append(f.notes[:len(f.notes):len(f.notes)], s.notes...)
	return s, nil
}

// bounds is the canvas that the stored pixels lie on: a GIF's first frame may
// cover a part of it only.
func (f *file) bounds() image.Rectangle { return image.Rect(0, 0, f.width, f.height) }

// Decode reads r to its end and returns the image in it, upright (orientation of
// EXIF, else XMP, applied) and with its upper left corner at (0,0): *image.Gray
// for images stored as grey or with a palette of greys, else *image.RGBA, opaque.
// Colour profiles are ignored on purpose, and CMYK becomes RGB without one: a
// network sees what the camera stored, whatever a tool wrote beside it, and so
// does training as running.
//
// Files are read as Pillow reads them, to within 3/255; docs/images.md has the
// kinds and figures. Of more than 8 bits the upper 8 are kept; where the file or
// Options.Levels says that it has fewer levels than its numbers could, these go
// from 0 to 255. Floats are in [0,1]. Transparent pixels lie over the background.
// Of an animation it is the first frame.
//
// notes say what of this was chosen or is suspicious, the same words for every
// image of a kind, so that they can be counted: "animated: the first frame is
// taken".
//
// Errors wrap image.ErrFormat where the format is not known, ErrUnsupported where
// it is known and not read, ErrTooLarge for images above the limits, ErrLevels
// where black and white are not known, and what the decoders say of damaged
// files.
func Decode(r io.Reader, opts *Options) (img image.Image, notes []string, err error) {
	defer damaged(&err)
	opts = opts.orDefaults()
	f, err := open(r, opts)
	if err != nil {
		return nil, nil, err
	}
	return f.image(opts)
}

// image is Decode of the file.
func (f *file) image(opts *Options) (img image.Image, notes []string, err error) {
	s, err := f.stored()
	if err != nil {
		return nil, nil, err
	}
	img, err = s.flatten(f.bounds(), opts)
	if err != nil {
		return nil, nil, fmt.Errorf("imageio: %s: %w", f.format, err)
	}
	return upright(img, f.orientation), s.notes, nil
}

// DecodeResized is Decode, then Resize into each of the targets that are given for
// the image's size, bit for bit. Of a usual PNG file (8 bits, grey, RGB or opaque
// RGBA, not interlaced, upright) the image is never in memory: its rows are resized
// as they come. After an error nothing in the targets counts; one that targets
// returns is passed on as it is.
func DecodeResized(r io.Reader, opts *Options, targets func(size image.Point) ([]Target, error)) (notes []string, err error) {
	defer damaged(&err)
	opts = opts.orDefaults()
	f, err := open(r, opts)
	if err != nil {
		return nil, err
	}
	into, err := targets(f.size())
	if err != nil {
		return nil, err
	}
	for i := range into {
		if err := into[i].check(); err != nil {
			return nil, err
		}
	}
	if f.usual != nil && f.orientation <= 1 && shrink(f.usual, into) {
		pngFiles.Put(f.data)
		return f.notes, nil
	}
	img, notes, err := f.image(opts)
	if err != nil {
		return nil, err
	}
	if err := ResizeAll(into, img); err != nil {
		return nil, err
	}
	return notes, nil
}

// ResizeAll is Resize into each of the targets, until one fails.
func ResizeAll(into []Target, img image.Image) error {
	for _, t := range into {
		if err := Resize(t.Pixels, img, t.Height, t.Width, t.Channels); err != nil {
			return err
		}
	}
	return nil
}

// damaged makes an error of a decoder's panic: a file is somebody else's, and in a
// server the process everybody's.
func damaged(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("imageio: a damaged file: %v", p)
	}
}

// Size returns the width and height that Decode's image would have.
func Size(r io.Reader, opts *Options) (size image.Point, err error) {
	defer damaged(&err)
	f, err := open(r, opts.orDefaults())
	if err != nil {
		return image.Point{}, err
	}
	return f.size(), nil
}

// size is that of the upright image.
func (f *file) size() image.Point {
	if f.orientation >= 5 {
		return image.Pt(f.height, f.width)
	}
	return image.Pt(f.width, f.height)
}
