package imageio

import (
	"fmt"
	"image"

	"github.com/anomaly-go/anomaly/internal/tiff"
)

// samples are pixels as TIFF and PNM files store them.
type samples = tiff.Image

// stored is an image as its file stores it.
type stored struct {
	// img is an *image.Gray, *image.Gray16, *image.Paletted, *image.NRGBA,
	// *image.NRGBA64, *image.RGBA or *image.RGBA64 (both opaque) or *image.CMYK;
	// nil where deep has the pixels.
	img  image.Image
	deep *samples
	// levels are how many the numbers of more than 8 bits have, 0 where the file
	// does not say it.
	levels int
	notes  []string
}

// fromSamples makes a standard image of 8 bit samples, and leaves others.
func fromSamples(s *samples) (*stored, error) {
	if s.Pix == nil {
		return &stored{deep: s, levels: s.Levels}, nil
	}
	bounds := image.Rect(0, 0, s.Width, s.Height)
	if s.Channels == 1 {
		return &stored{img: &image.Gray{Pix: s.Pix, Stride: s.Width, Rect: bounds}}, nil
	}
	pix := s.Pix
	if s.Channels < 4 {
		pix = make([]uint8, 4*s.Width*s.Height)
		for i := range s.Width * s.Height {
			from, to := s.Pix[i*s.Channels:][:s.Channels], pix[4*i:4*i+4]
			to[0], to[1], to[2], to[3] = from[0], from[0], from[0], 0xff
			if s.Channels == 2 {
				to[3] = from[1]
			} else {
				to[1], to[2] = from[1], from[2]
			}
		}
	}
	if s.Channels == 3 {
		return &stored{img: &image.RGBA{Pix: pix, Stride: 4 * s.Width, Rect: bounds}}, nil
	}
	if s.Premultiplied {
		for i := 0; i < len(pix); i += 4 {
			if a := int(pix[i+3]); a > 0 && a < 255 {
				for c := range 3 {
					pix[i+c] = uint8(min((int(pix[i+c])*255+a/2)/a, 255))
				}
			}
		}
	}
	return &stored{img: &image.NRGBA{Pix: pix, Stride: 4 * s.Width, Rect: bounds}}, nil
}

// deepBytes returns the big-endian samples of an image of 16 bits and how many a
// pixel has, 0 for other images.
func deepBytes(img image.Image) (pix []uint8, channels int) {
	switch img := img.(type) {
	case *image.Gray16:
		return img.Pix, 1
	case *image.NRGBA64:
		return img.Pix, 4
	case *image.RGBA64:
		return img.Pix, 4
	}
	return nil, 0
}

// deepSample returns sample i, and whether it is a colour.
func deepSample(pix []uint8, channels, i int) (v uint16, colour bool) {
	return uint16(pix[2*i])<<8 | uint16(pix[2*i+1]), channels == 1 || i%channels != channels-1
}

// eight makes 8 bit samples of deeper ones.
func (s *stored) eight(opts *Options) error {
	if s.deep != nil {
		return s.eightSamples(opts)
	}
	pix, channels := deepBytes(s.img)
	if channels == 0 {
		return nil
	}
	out := make([]uint8, len(pix)/2)
	table := s.table(opts, func() (top uint16) {
		for i := range out {
			if v, colour := deepSample(pix, channels, i); colour {
				top = max(top, v)
			}
		}
		return top
	})
	for i := range out {
		if table == nil {
			out[i] = pix[2*i]
		} else {
			out[i] = table[uint16(pix[2*i])<<8|uint16(pix[2*i+1])]
		}
	}
	switch img := s.img.(type) {
	case *image.Gray16:
		s.img = &image.Gray{Pix: out, Stride: img.Stride / 2, Rect: img.Rect}
	case *image.NRGBA64:
		if table != nil && img.Opaque() {
			opaque(out)
		}
		s.img = &image.NRGBA{Pix: out, Stride: img.Stride / 2, Rect: img.Rect}
	case *image.RGBA64:
		opaque(out)
		s.img = &image.RGBA{Pix: out, Stride: img.Stride / 2, Rect: img.Rect}
	}
	return nil
}

// table returns what 8 bits become of each of 16, nil for the upper ones, and
// notes it. top returns the largest sample.
func (s *stored) table(opts *Options, top func() uint16) *[1 << 16]uint8 {
	levels := s.levels
	switch {
	case opts.Levels > 0:
		levels = opts.Levels
		s.notes = append(s.notes, fmt.Sprintf("more than 8 bits: taken as %d levels, as asked", levels))
	case levels > 0:
		s.notes = append(s.notes, fmt.Sprintf("%d levels, as the file says", levels))
	default:
		if top := int(top()); top > 0 {
			for _, bits := range []int{8, 10, 12, 14} {
				if top < 1<<bits {
					s.notes = append(s.notes, fmt.Sprintf("16 bits with no value above %d: dark, or from a camera of %d bits (say how many levels)", 1<<bits-1, bits))
					break
				}
			}
		}
		return nil
	}
	if levels == 1<<16 {
		return nil
	}
	table := new([1 << 16]uint8)
	for v := range table {
		table[v] = scale(float64(v), levels)
	}
	return table
}

// scale returns the upper 8 bits of a number that has so many levels.
func scale(v float64, levels int) uint8 {
	return uint8(min(max(v*256/float64(levels), 0), 255))
}

func opaque(pix []uint8) {
	for i := 3; i < len(pix); i += 4 {
		pix[i] = 0xff
	}
}

func (s *stored) eightSamples(opts *Options) error {
	from := s.deep
	out := make([]uint8, from.Width*from.Height*from.Channels)
	if from.Deep != nil {
		table := s.table(opts, func() (top uint16) {
			for i, v := range from.Deep {
				if from.Channels%2 == 1 || i%from.Channels != from.Channels-1 {
					top = max(top, v)
				}
			}
			return top
		})
		for i, v := range from.Deep {
			if table == nil {
				out[i] = uint8(v >> 8)
			} else {
				out[i] = table[v]
			}
		}
	} else {
		switch {
		case opts.Levels > 0:
			s.notes = append(s.notes, fmt.Sprintf("more than 8 bits: taken as %d levels, as asked", opts.Levels))
		case from.Integers:
			return fmt.Errorf("integers of 32 bits or with a sign: %w (say how many)", ErrLevels)
		default:
			s.notes = append(s.notes, "floats, 0 black and 1 white")
		}
		for i, v := range from.Float {
			switch {
			case v != v:
				return fmt.Errorf("sample %d is NaN", i)
			case opts.Levels > 0:
				out[i] = scale(float64(v), opts.Levels)
			case v < 0 || v > 1:
				return fmt.Errorf("sample %d is %v, want floats in [0,1]: %w (say how many)", i, v, ErrLevels)
			default:
				out[i] = uint8(v*255 + .5)
			}
		}
	}
	eight, err := fromSamples(&samples{Width: from.Width, Height: from.Height, Channels: from.Channels, Premultiplied: from.Premultiplied, Pix: out})
	s.img, s.deep = eight.img, nil
	return err
}
