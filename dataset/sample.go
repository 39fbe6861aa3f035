package dataset

import (
	"errors"
	"fmt"
	"image"
	"os"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/internal/imageio"
)

var (
	// ErrEmpty is wrapped where a place that exists holds no images.
	ErrEmpty = errors.New("no images")
	// ErrLayout is wrapped where a folder has none of the layouts that Open reads.
	ErrLayout = errors.New("unknown layout")
	// ErrMask is wrapped where ground truth is missing or does not fit its image.
	ErrMask = errors.New("bad ground truth")
)

// DefaultMaxPixels is 16384x16384 pixels, which take 1 GiB.
const DefaultMaxPixels = imageio.DefaultMaxPixels

// Good is the Kind of images without a defect.
const Good = "good"

// A Sample is one image: a file, or a row of an .npy or idx file. Samples are
// made by Open and Find; copies share the open file that rows come from. Safe
// for concurrent use.
type Sample struct {
	// Name is the path relative to the root, '/'-separated, with the row of an
	// .npy or idx file behind it: "test/crack/003.png", "digits.npy#12".
	Name string
	Path string // of the file on disk
	Row  int    // in the file at Path, from 0; -1 if that is an image itself

	Kind      string // Good or the defect's kind; "" if not known
	Anomalous bool   // Kind is known and not Good

	// MaxPixels is the largest width × height of an image file that Image and
	// Mask decode, checked before memory is allocated for the pixels; larger ones
	// are an error. 0 means DefaultMaxPixels.
	MaxPixels int

	mask string // path of the ground truth; "" without
	rows rows   // nil if Path is an image
}

// OutputName is Name for files that sort like the rows: row 12 of "digits.npy"
// is "digits.npy#000012", with more digits where the file has more than 10⁶ rows.
func (s *Sample) OutputName() string {
	if s.rows == nil {
		return s.Name
	}
	digits := max(6, len(strconv.Itoa(s.rows.len()-1)))
	return fmt.Sprintf("%s#%0*d", s.Name[:strings.LastIndexByte(s.Name, '#')], digits, s.Row)
}

// Image decodes the image at its original size, upright: *image.Gray if it is
// stored as grey, else *image.RGBA, opaque (transparent pixels lie over black).
func (s *Sample) Image() (image.Image, error) {
	img, err := s.image()
	if err != nil {
		return nil, fmt.Errorf("dataset: %q: %w", s.Name, err)
	}
	return img, nil
}

func (s *Sample) image() (image.Image, error) {
	if s.rows != nil {
		return s.rows.image(s.Row)
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return imageio.Decode(f, s.limits())
}

func (s *Sample) limits() *imageio.Options { return &imageio.Options{MaxPixels: s.MaxPixels} }

// HasMask reports whether the image has ground truth. A good image has none.
func (s *Sample) HasMask() bool { return s.mask != "" }

// Mask decodes the ground truth, 255 where the image is defective (the file is
// not black) and 0 elsewhere, of the image's own size. The error wraps ErrMask
// where there is none or its size differs.
func (s *Sample) Mask() (*image.Gray, error) {
	if !s.HasMask() {
		return nil, fmt.Errorf("dataset: mask of %q: there is none: %w", s.Name, ErrMask)
	}
	mask, err := s.readMask()
	if err != nil {
		return nil, fmt.Errorf("dataset: mask of %q: %w", s.Name, err)
	}
	return mask, nil
}

func (s *Sample) readMask() (*image.Gray, error) {
	f, err := os.Open(s.mask)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mask, err := imageio.DecodeMask(f, s.limits())
	if err != nil {
		return nil, err
	}
	img, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	want, err := imageio.Size(img, s.limits())
	if err != nil {
		return nil, err
	}
	if got := mask.Rect.Size(); got != want {
		return nil, fmt.Errorf("%q: got %dx%d pixels, want the image's %dx%d: %w",
			s.mask, got.X, got.Y, want.X, want.Y, ErrMask)
	}
	return mask, nil
}
