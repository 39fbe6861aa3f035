package tiff

import (
	"fmt"
	"image"
	"slices"
	"strings"
)

// A Page is one image of a file.
type Page struct {
	dir *directory
}

// Values of tags.
const (
	photometricWhiteIsZero = 0
	photometricBlackIsZero = 1
	photometricRGB         = 2
	photometricPalette     = 3
	photometricMask        = 4
	photometricCMYK        = 5
	photometricYCbCr       = 6
	photometricCFA         = 32803
	photometricLinearRaw   = 34892

	formatUint  = 1
	formatInt   = 2
	formatFloat = 3

	alphaPremultiplied = 1 // of ExtraSamples
	alphaStraight      = 2
	alphaCorel         = 999 // Corel Draw 10's, straight
)

var photometricNames = map[uint64]string{
	photometricMask: "a transparency mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*",
	photometricCFA: "camera raw", 32844: "LogL", 32845: "LogLuv", photometricLinearRaw: "camera raw",
}

// A form is what a page's tags say of its samples.
type form struct {
	width, height int
	bits          int // of every sample
	kind          int // formatUint, …
	samples       int // of a pixel
	colours       int // of them, the others are extra
	alpha         int // the sample that is alpha, 0 without
	premultiplied bool
	planar        bool
	photometric   uint64
	compression   uint64
	predictor     uint64
	reversed      bool // FillOrder 2: the lowest bit of a byte first

	chunkWidth, chunkHeight int // of strips and tiles
	tiled                   bool
	offsets, counts         []uint64
}

// Config returns the size of the page, which orientation it has (EXIF, 1 to 8)
// and how many bytes of memory Decode takes for a pixel.
func (p *Page) Config() (size image.Point, orientation, cost int, err error) {
	f, err := p.form()
	if err != nil {
		return image.Point{}, 0, 0, err
	}
	cost = max(f.bits/8, 1) * f.samples
	return image.Pt(f.width, f.height), p.orientation(), 2*cost + 4, nil
}

func (p *Page) orientation() int {
	if o := p.dir.number(tagOrientation, 1); o >= 1 && o <= 8 {
		return int(o)
	}
	return 1
}

// XMP returns the page's XMP packet, nil without one.
func (p *Page) XMP() []byte {
	if _, ok := p.dir.fields[tagOrientation]; ok {
		return nil // goes before it
	}
	b, err := p.dir.raw(tagXMP)
	if err != nil {
		return nil
	}
	return b
}

// raw names the maker's format if the page is that of a camera's raw file.
func (p *Page) raw() string {
	d := p.dir
	if _, ok := d.fields[tagDNGVersion]; ok {
		return "DNG (camera raw)"
	}
	at, err := d.numbers(tagSubIFDs)
	if err != nil {
		return ""
	}
	for _, at := range at[:min(len(at), 16)] {
		sub, _, err := d.directory(at)
		if err != nil {
			continue
		}
		if n := sub.number(tagPhotometric, 0); n == photometricCFA || n == photometricLinearRaw {
			maker, _ := d.raw(tagMake)
			for prefix, name := range map[string]string{"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "Canon": "CR2", "SAMSUNG": "SRW"} {
				if strings.HasPrefix(string(maker), prefix) {
					return name + " (camera raw)"
				}
			}
			return "camera raw"
		}
	}
	return ""
}

// form reads the tags and refuses what Decode does not read.
func (p *Page) form() (*form, error) {
	if name := p.raw(); name != "" {
		return nil, UnsupportedError(name)
	}
	d := p.dir
	f := &form{
		photometric: d.number(tagPhotometric, photometricWhiteIsZero),
		compression: d.number(tagCompression, compressionNone),
		predictor:   d.number(tagPredictor, 1),
		planar:      d.number(tagPlanar, 1) == 2,
		reversed:    d.number(tagFillOrder, 1) == 2,
	}
	const maxSide = 1 << 30
	w, h := d.number(tagWidth, 0), d.number(tagLength, 0)
	if w == 0 || h == 0 || w > maxSide || h > maxSide {
		return nil, FormatError(fmt.Sprintf("got %dx%d pixels", w, h))
	}
	f.width, f.height = int(w), int(h)
	if err := f.readSamples(d); err != nil {
		return nil, err
	}
	if err := f.readChunks(d); err != nil {
		return nil, err
	}
	return f, f.check()
}

func (f *form) readSamples(d *directory) error {
	samples := d.number(tagSamplesPerPixel, 1)
	if samples < 1 || samples > 64 {
		return FormatError(fmt.Sprintf("got %d samples per pixel", samples))
	}
	f.samples = int(samples)
	bits, err := d.numbers(tagBitsPerSample)
	if err != nil {
		return err
	}
	if len(bits) == 0 {
		bits = []uint64{1}
	}
	if bits = bits[:min(len(bits), f.samples)]; slices.Min(bits) != slices.Max(bits) {
		return UnsupportedError(fmt.Sprintf("samples of %v bits", bits))
	}
	if bits[0] < 1 || bits[0] > 64 {
		return FormatError(fmt.Sprintf("got samples of %d bits", bits[0]))
	}
	f.bits = int(bits[0])
	kinds, err := d.numbers(tagSampleFormat)
	if err != nil {
		return err
	}
	f.kind = formatUint
	if len(kinds) > 0 {
		if kinds = kinds[:min(len(kinds), f.samples)]; slices.Min(kinds) != slices.Max(kinds) {
			return UnsupportedError("samples of several formats")
		}
		if kinds[0] != 4 { // 4: void, not said
			f.kind = int(min(kinds[0], 255))
		}
	}
	switch f.photometric {
	case photometricRGB, photometricYCbCr:
		f.colours = 3
	case photometricCMYK:
		f.colours = 4
	default:
		f.colours = 1
	}
	if f.photometric == photometricYCbCr && f.samples == 1 {
		f.photometric, f.colours = photometricBlackIsZero, 1 // grey that is called YCbCr
	}
	if f.samples < f.colours {
		return FormatError(fmt.Sprintf("got %d samples per pixel, want %d colours", f.samples, f.colours))
	}
	extra, err := d.numbers(tagExtraSamples)
	if err != nil {
		return err
	}
	if extra == nil && f.photometric == photometricRGB && f.samples == 4 {
		extra = []uint64{alphaStraight} // as other readers take it
	}
	for i, e := range extra[:min(len(extra), f.samples-f.colours)] {
		if f.alpha == 0 && (e == alphaPremultiplied || e == alphaStraight || e == alphaCorel) {
			f.alpha, f.premultiplied = f.colours+i, e == alphaPremultiplied
		}
	}
	if f.photometric == photometricCMYK || f.photometric == photometricYCbCr {
		f.alpha = 0
	}
	return nil
}

func (f *form) readChunks(d *directory) (err error) {
	offsets, counts := uint16(tagStripOffsets), uint16(tagStripByteCounts)
	f.chunkWidth = f.width
	f.chunkHeight = int(min(d.number(tagRowsPerStrip, uint64(f.height)), uint64(f.height)))
	if _, ok := d.fields[tagTileWidth]; ok {
		f.tiled = true
		offsets, counts = tagTileOffsets, tagTileByteCounts
		if _, ok := d.fields[offsets]; !ok { // some writers
			offsets, counts = tagStripOffsets, tagStripByteCounts
		}
		const maxTile = 1 << 16
		w, h := d.number(tagTileWidth, 0), d.number(tagTileLength, 0)
		if w > maxTile || h > maxTile {
			return FormatError(fmt.Sprintf("tiles of %dx%d pixels", w, h))
		}
		f.chunkWidth, f.chunkHeight = int(w), int(h)
	}
	if f.chunkWidth < 1 || f.chunkHeight < 1 {
		return FormatError(fmt.Sprintf("strips or tiles of %dx%d pixels", f.chunkWidth, f.chunkHeight))
	}
	if f.offsets, err = d.numbers(offsets); err != nil {
		return err
	}
	if f.counts, err = d.numbers(counts); err != nil {
		return err
	}
	n := f.across() * f.down()
	if f.planar {
		n *= f.samples
	}
	if len(f.offsets) < n {
		return FormatError(fmt.Sprintf("got %d strips or tiles, want %d", len(f.offsets), n))
	}
	if len(f.counts) < n {
		if f.compression != compressionNone && n > 1 || len(f.counts) > 0 && n > 1 {
			return FormatError(fmt.Sprintf("got the lengths of %d strips or tiles, want %d", len(f.counts), n))
		}
		f.counts = nil // what the samples need
	}
	return nil
}

func (f *form) across() int { return (f.width + f.chunkWidth - 1) / f.chunkWidth }
func (f *form) down() int   { return (f.height + f.chunkHeight - 1) / f.chunkHeight }

// check refuses by name what is not read.
func (f *form) check() error {
	if name, ok := photometricNames[f.photometric]; ok {
		return UnsupportedError(name)
	}
	if f.photometric > photometricYCbCr {
		return UnsupportedError(fmt.Sprintf("photometric interpretation %d", f.photometric))
	}
	if err := f.checkCompression(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s of %d bits", [...]string{"white-is-zero grey", "grey", "RGB", "palette", "", "CMYK", "YCbCr"}[f.photometric], f.bits)
	switch f.kind {
	case formatUint, formatInt:
		if f.bits > 32 {
			return UnsupportedError(name)
		}
	case formatFloat:
		if f.bits != 16 && f.bits != 32 && f.bits != 64 {
			return UnsupportedError("floats, " + name)
		}
	default:
		return UnsupportedError(fmt.Sprintf("sample format %d", f.kind))
	}
	if f.planar && f.samples > 1 && f.compression == compressionNone && (f.bits != 8 || f.reversed) {
		return UnsupportedError(name + " in planes without compression") // readers differ on it
	}
	plain := f.kind == formatUint && f.bits <= 16
	switch f.photometric {
	case photometricPalette:
		if f.kind != formatUint || f.bits > 8 {
			return UnsupportedError(name)
		}
	case photometricYCbCr:
		if f.kind != formatUint || f.bits != 8 || f.planar {
			return UnsupportedError(name + map[bool]string{true: " in planes"}[f.planar])
		}
	case photometricCMYK:
		if f.kind != formatUint || f.bits != 8 && f.bits != 16 {
			return UnsupportedError(name)
		}
	case photometricWhiteIsZero:
		// Readers differ on whether deeper samples are inverted.
		if f.kind != formatUint || f.bits > 8 || f.alpha > 0 {
			return UnsupportedError(name)
		}
	default:
		if !plain && f.alpha > 0 {
			return UnsupportedError(name + ", signed or float, with alpha")
		}
	}
	return nil
}
