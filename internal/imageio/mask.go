package imageio

import (
	"image"
	"io"
	"math"
)

// A Mask is ground truth as a file has it.
type Mask struct {
	// Pixels are 255 where the image is defective and 0 elsewhere.
	Pixels *image.Gray
	// Empty says that the file has one level only, and which: all black (no pixel is
	// defective) or not (all are).
	Empty, Full bool
	// High is the file's largest level, in its own numbers.
	High uint16
}

// DecodeMask reads ground truth: defective are the pixels above the level that
// separates the mask's own levels, whatever these are.
//
// That is the middle between the smallest and the largest for files of many
// levels (smoothed or packed by JPEG); the middle of the first wide gap for files
// of a few, which number the kinds of defects; and the smallest level for files
// of none above 16, which number them from 1. A pixel's level is its strongest
// colour, of whatever depth, or its alpha where the colours are all the same.
// Errors are those of Decode.
func DecodeMask(r io.Reader, opts *Options) (mask *Mask, err error) {
	defer damaged(&err)
	opts = opts.orDefaults()
	f, err := open(r, opts)
	if err != nil {
		return nil, err
	}
	s, err := f.stored()
	if err != nil {
		return nil, err
	}
	levels, alpha := s.levels16(f.bounds())
	low, high := extremes(levels)
	if low == high && alpha != nil {
		if a, b := extremes(alpha); a != b {
			levels, low, high = alpha, a, b
		}
	}
	dst := image.NewGray(f.bounds())
	m := &Mask{Empty: high == 0, Full: low == high && high > 0, High: high}
	threshold := separating(levels, low, high)
	for i, v := range levels {
		if m.Full || float64(v) > threshold {
			dst.Pix[i] = 0xff
		}
	}
	m.Pixels = upright(dst, f.orientation).(*image.Gray)
	return m, nil
}

func extremes(levels []uint16) (low, high uint16) {
	low = math.MaxUint16
	for _, v := range levels {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// What DecodeMask takes for a mask of a few levels, for numbers of kinds, and for
// a wide gap, as a share of the widest.
const (
	fewLevels  = 16
	maxKinds   = 16
	wideGap    = .75
	depthLimit = 1 << 16
)

// separating returns the level above which pixels are defective.
func separating(levels []uint16, low, high uint16) float64 {
	if high <= maxKinds {
		return float64(low)
	}
	var seen [depthLimit]bool
	var distinct []uint16
	for _, v := range levels {
		seen[v] = true
	}
	for v := range seen {
		if seen[v] {
			distinct = append(distinct, uint16(v))
		}
	}
	middle := (float64(low) + float64(high)) / 2
	if len(distinct) > fewLevels {
		return middle
	}
	widest := 0.
	for i, v := range distinct[1:] {
		widest = max(widest, float64(v)-float64(distinct[i]))
	}
	for i, v := range distinct[1:] {
		if gap := float64(v) - float64(distinct[i]); gap >= wideGap*widest {
			return float64(distinct[i]) + gap/2
		}
	}
	return middle
}

// levels16 returns each pixel's strongest colour and, where the image has it,
// its alpha, in the numbers of the file: 8 bits stay 0 to 255.
func (s *stored) levels16(bounds image.Rectangle) (levels, alpha []uint16) {
	if s.deep != nil {
		return sampleLevels(s.deep)
	}
	levels = make([]uint16, bounds.Dx()*bounds.Dy())
	img := s.img
	if p, ok := img.(*image.Paletted); ok {
		img = lookUp(p)
	}
	if c, ok := img.(*image.CMYK); ok {
		img = fromInks(c)
	}
	b := img.Bounds().Intersect(bounds)
	each := func(pixel func(at, x, y int)) {
		for y := range b.Dy() {
			for x := range b.Dx() {
				pixel((b.Min.Y-bounds.Min.Y+y)*bounds.Dx()+b.Min.X-bounds.Min.X+x, x, y)
			}
		}
	}
	strongest := func(p []uint8) uint16 { return uint16(max(p[0], p[1], p[2])) }
	deep := func(p []uint8) uint16 { return uint16(p[0])<<8 | uint16(p[1]) }
	switch img := img.(type) {
	case *image.Gray:
		each(func(at, x, y int) { levels[at] = uint16(img.Pix[y*img.Stride+x]) })
	case *image.RGBA:
		each(func(at, x, y int) { levels[at] = strongest(img.Pix[y*img.Stride+4*x:]) })
	case *image.NRGBA:
		alpha = make([]uint16, len(levels))
		each(func(at, x, y int) {
			p := img.Pix[y*img.Stride+4*x:]
			levels[at], alpha[at] = strongest(p), uint16(p[3])
		})
	case *image.Gray16:
		each(func(at, x, y int) { levels[at] = deep(img.Pix[y*img.Stride+2*x:]) })
	case *image.NRGBA64:
		alpha = make([]uint16, len(levels))
		each(func(at, x, y int) {
			p := img.Pix[y*img.Stride+8*x:]
			levels[at], alpha[at] = max(deep(p), deep(p[2:]), deep(p[4:])), deep(p[6:])
		})
	case *image.RGBA64:
		each(func(at, x, y int) {
			p := img.Pix[y*img.Stride+8*x:]
			levels[at] = max(deep(p), deep(p[2:]), deep(p[4:]))
		})
	}
	return levels, alpha
}

// sampleLevels is levels16 of samples of more than 8 bits; floats are stretched
// to 16 bits.
func sampleLevels(s *samples) (levels, alpha []uint16) {
	n := s.Width * s.Height
	levels = make([]uint16, n)
	colours := s.Channels
	if s.Channels%2 == 0 {
		colours, alpha = s.Channels-1, make([]uint16, n)
	}
	if s.Deep != nil {
		for i := range n {
			p := s.Deep[i*s.Channels:][:s.Channels]
			for _, v := range p[:colours] {
				levels[i] = max(levels[i], v)
			}
			if alpha != nil {
				alpha[i] = p[colours]
			}
		}
		return levels, alpha
	}
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range s.Float {
		if v == v {
			low, high = min(low, v), max(high, v)
		}
	}
	for i := range n {
		for _, v := range s.Float[i*s.Channels:][:colours] {
			switch {
			case v != v:
			case low < high:
				levels[i] = max(levels[i], uint16((v-low)/(high-low)*(depthLimit-1)))
			case high > 0:
				levels[i] = depthLimit - 1
			}
		}
	}
	return levels, nil
}
