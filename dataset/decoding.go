package dataset

import (
	"fmt"
	"image"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/anomaly-go/anomaly/internal/imageio"
)

// A Background is what transparent pixels lie over.
type Background string

// Black is the default. Ignore keeps the colours that transparent pixels have, as
// if there were no transparency.
const (
	Black  Background = "black"
	White  Background = "white"
	Ignore Background = "ignore"
)

// A Decoding says how image files become pixels. Nil means the defaults. It is to
// be the same for training and running.
type Decoding struct {
	// MaxPixels is the largest width × height that is decoded, checked before memory
	// is allocated for the pixels. 0 is as many as decode in 1 GiB: 16384x16384 of
	// 8 bit colour, four times as many of grey, a third of 16 bit RGBA.
	MaxPixels int
	// Background is what transparent pixels lie over; "" is Black.
	Background Background
	// Levels is how many levels images of more than 8 bits have, up to 32 how many
	// bits: 12 and 4096 are a camera of 12 bits. 0 is what the file says, else all
	// that its numbers have.
	Levels int
	// Notes, if not nil, gets what was chosen or passed over.
	Notes *Notes
}

// Validate checks the options.
func (d *Decoding) Validate() error {
	_, err := d.options(0)
	return err
}

// options returns those of package imageio.
func (d *Decoding) options(page int) (*imageio.Options, error) {
	if d == nil {
		d = &Decoding{}
	}
	opts := &imageio.Options{MaxPixels: d.MaxPixels, Levels: d.Levels, Page: page}
	switch d.Background {
	case "", Black:
	case White:
		opts.Background = imageio.White
	case Ignore:
		opts.Background = imageio.Ignore
	default:
		return nil, fmt.Errorf("dataset: background: got %q, want %s, %s or %s", d.Background, Black, White, Ignore)
	}
	switch {
	case d.MaxPixels < 0:
		return nil, fmt.Errorf("dataset: max-pixels: got %d, want 0 or more", d.MaxPixels)
	case d.Levels < 0 || d.Levels == 1:
		return nil, fmt.Errorf("dataset: levels: got %d, want 2 or more, or how many bits", d.Levels)
	case d.Levels > 0 && d.Levels <= 32:
		opts.Levels = 1 << d.Levels
	}
	return opts, nil
}

func (d *Decoding) notes() *Notes {
	if d == nil {
		return nil
	}
	return d.Notes
}

// Decode reads r to its end and returns the image in it as [Sample.Image] does:
// upright, *image.Gray or opaque *image.RGBA, the first page or frame. notes say
// what was chosen; they go to d.Notes too, as of name, which errors have in them
// unless it is "".
//
// Errors wrap image.ErrFormat where the format is not known; the text names
// formats that are known and not read.
func Decode(r io.Reader, name string, d *Decoding) (img image.Image, notes []string, err error) {
	notes, err = d.decoded(name, func(opts *imageio.Options) (notes []string, err error) {
		img, notes, err = imageio.Decode(r, opts)
		return notes, err
	})
	return img, notes, err
}

// DecodePixels is Decode for one who wants pixels: uint8 [height, width, channels], RGB
// or grey, resized as training resizes images; the image's own height and width where
// height is 0. Of a usual PNG the image is never in memory. size is the image's.
func DecodePixels(r io.Reader, name string, d *Decoding, height, width, channels int) (pixels []uint8, size image.Point, notes []string, err error) {
	notes, err = d.decoded(name, func(opts *imageio.Options) ([]string, error) {
		return imageio.DecodeResized(r, opts, func(of image.Point) ([]imageio.Target, error) {
			if size = of; height == 0 {
				height, width = size.Y, size.X
			}
			pixels = make([]uint8, height*width*channels)
			return []imageio.Target{{Pixels: pixels, Height: height, Width: width, Channels: channels}}, nil
		})
	})
	return pixels, size, notes, err
}

// decoded passes on what decode notes of the image of a name, or names it in the error.
func (d *Decoding) decoded(name string, decode func(*imageio.Options) ([]string, error)) (notes []string, err error) {
	opts, err := d.options(0)
	if err != nil {
		return nil, err
	}
	notes, err = decode(opts)
	if err != nil {
		if name == "" {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		return nil, fmt.Errorf("dataset: %q: %w", name, err)
	}
	for _, note := range notes {
		d.notes().Add(name, note)
	}
	return notes, nil
}

// Notes collects what was chosen or passed over when images were found and read,
// by kind. The zero value is ready, nil drops everything. Safe for concurrent use.
type Notes struct {
	mu   sync.Mutex
	said map[string]*said // by text
}

// said is of which names a text was said.
type said struct {
	names map[string]bool
	told  bool // by Fresh
	more  int  // beyond mostNames, which are not kept: watching goes on for months

	degree float64 // the highest
	detail string  // of it
}

const mostNames = 1000

// Add notes text of an image, file or folder; twice is as good as once.
func (n *Notes) Add(name, text string) { n.add(name, text, 0, "") }

// add is Add of something that there is more or less of: the line has the detail of the most.
func (n *Notes) add(name, text string, degree float64, detail string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said == nil {
		n.said = map[string]*said{}
	}
	s := n.said[text]
	if s == nil {
		s = &said{names: map[string]bool{}}
		n.said[text] = s
	}
	if degree > s.degree || degree == s.degree && detail < s.detail { // in whatever order they come
		s.degree, s.detail = degree, detail
	}
	switch {
	case s.names[name]:
	case len(s.names) < mostNames:
		s.names[name] = true
	default:
		s.more++
	}
}

// Lines returns one line for each text, in order, with how many it was said of and
// the first of their names: "animated: the first frame is taken (2: a.gif, b.gif)".
func (n *Notes) Lines() []string {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	for text, s := range n.said {
		lines = append(lines, s.line(text))
	}
	slices.Sort(lines)
	return lines
}

// Fresh returns the lines of those texts that it has not returned before.
func (n *Notes) Fresh() []string {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	for text, s := range n.said {
		if !s.told {
			s.told = true
			lines = append(lines, s.line(text))
		}
	}
	slices.Sort(lines)
	return lines
}

func (s *said) line(text string) string {
	const shown = 3
	var list []string
	for name := range s.names {
		list = append(list, name)
	}
	slices.Sort(list)
	if len(list) > shown {
		list = append(list[:shown], "…")
	}
	line := fmt.Sprintf("%s (%d: %s)", text, len(s.names)+s.more, strings.Join(list, ", "))
	if s.detail != "" {
		line += ", the most " + s.detail
	}
	return line
}
