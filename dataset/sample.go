package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
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

// Good is the Kind of images without a defect.
const Good = "good"

// A Sample is one image: a file, a page of a TIFF file, or a row of an .npy or idx
// file. Samples are made by Open and Find; copies share the open file that rows
// come from. Safe for concurrent use.
type Sample struct {
	// Name is the path relative to the root, '/'-separated, with the page of a TIFF
	// file of several or the row of an .npy or idx file behind it:
	// "test/crack/003.png", "scan.tif#2", "digits.npy#12".
	Name string
	Path string // of the file on disk
	Row  int    // in the file at Path, from 0; -1 if that is an image itself
	Page int    // in the TIFF file of several at Path, from 1; else 0

	Kind      string // Good or the defect's kind; "" if not known
	Anomalous bool   // Kind is known and not Good

	// Decoding says how the file becomes pixels.
	Decoding *Decoding

	pages int    // of the file, where Page is not 0
	truth *truth // nil without ground truth
	rows  rows   // nil if Path is an image
}

// OutputName is Name for files that sort like the rows and pages: row 12 of
// "digits.npy" is "digits.npy#000012", with more digits where the file has more
// than 10⁶ rows, page 2 of 10 of "scan.tif" is "scan.tif#02".
func (s *Sample) OutputName() string {
	number, digits := s.Row, 0
	switch {
	case s.rows != nil:
		digits = max(6, len(strconv.Itoa(s.rows.len()-1)))
	case s.Page > 0:
		number, digits = s.Page, len(strconv.Itoa(s.pages))
	default:
		return s.Name
	}
	return fmt.Sprintf("%s#%0*d", s.Name[:strings.LastIndexByte(s.Name, '#')], digits, number)
}

// Image decodes the image at its original size, upright: *image.Gray if it is
// stored as grey, else *image.RGBA, opaque.
func (s *Sample) Image() (image.Image, error) {
	img, notes, err := s.image()
	return img, s.tell(notes, err)
}

// File returns the image as a file and how that is to be decoded: as it is, or as a PNG
// of what Image returns, decoded already, where it is a row or a page of one.
func (s *Sample) File() (file []byte, decoding *Decoding, err error) {
	if s.Row < 0 && s.Page == 0 {
		if file, err = os.ReadFile(s.Path); err != nil {
			return nil, nil, fmt.Errorf("dataset: %q: %w", s.Name, err)
		}
		return file, s.Decoding, nil
	}
	img, err := s.Image()
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
		return nil, nil, fmt.Errorf("dataset: %q: %w", s.Name, err)
	}
	return b.Bytes(), nil, nil
}

func (s *Sample) image() (image.Image, []string, error) {
	if s.rows != nil {
		img, err := s.rows.image(s.Row)
		return img, nil, err
	}
	f, opts, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return imageio.Decode(f, opts)
}

// resized decodes the image and resizes it into the targets that are given for its size.
func (s *Sample) resized(targets func(size image.Point) ([]imageio.Target, error)) error {
	return s.tell(s.resizedInto(targets))
}

func (s *Sample) resizedInto(targets func(size image.Point) ([]imageio.Target, error)) ([]string, error) {
	if s.rows != nil {
		img, err := s.rows.image(s.Row)
		if err != nil {
			return nil, err
		}
		into, err := targets(img.Bounds().Size())
		if err != nil {
			return nil, err
		}
		return nil, imageio.ResizeAll(into, img)
	}
	f, opts, err := s.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return imageio.DecodeResized(f, opts, targets)
}

// tell passes on notes of the sample, or names it in an error.
func (s *Sample) tell(notes []string, err error) error {
	if err != nil {
		return fmt.Errorf("dataset: %q: %w", s.Name, err)
	}
	for _, note := range notes {
		s.Decoding.notes().Add(s.Name, note)
	}
	return nil
}

// open opens the sample's file, where it is in one.
func (s *Sample) open() (*os.File, *imageio.Options, error) {
	opts, err := s.Decoding.options(s.Page)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(s.Path)
	return f, opts, err
}

// Size returns the size in pixels that Image's image has, without decoding it where
// the file tells.
func (s *Sample) Size() (image.Point, error) {
	size, err := s.size()
	return size, s.tell(nil, err)
}

func (s *Sample) size() (image.Point, error) {
	if s.rows != nil {
		img, err := s.rows.image(s.Row)
		if err != nil {
			return image.Point{}, err
		}
		return img.Bounds().Size(), nil
	}
	f, opts, err := s.open()
	if err != nil {
		return image.Point{}, err
	}
	defer f.Close()
	return imageio.Size(f, opts)
}
