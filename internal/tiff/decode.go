package tiff

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"

	"github.com/anomaly-go/anomaly/internal/jpeg"
)

// An Image is a page's samples.
type Image struct {
	Width, Height int
	// Channels of a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
	Channels      int
	Premultiplied bool // colours are multiplied by alpha
	// One of these holds the samples, [Height, Width, Channels]: Pix those of up
	// to 8 bits, scaled to 255, Deep those of up to 16 bits as they are stored, and
	// Float floats and integers that are signed or longer.
	Pix   []uint8
	Deep  []uint16
	Float []float32
	// Levels are how many Deep's numbers have, 0 where the file does not say it
	// (16 bits that stand for themselves).
	Levels int
	// Integers says that Float's numbers were integers.
	Integers bool
}

// Decode reads the page.
func (p *Page) Decode() (*Image, error) {
	f, err := p.form()
	if err != nil {
		return nil, err
	}
	img := &Image{Width: f.width, Height: f.height, Channels: f.colours, Premultiplied: f.premultiplied}
	if f.alpha > 0 {
		img.Channels++
	}
	n := f.width * f.height * img.Channels
	switch {
	case f.kind != formatUint || f.bits > 16:
		img.Float = make([]float32, n)
		img.Integers = f.kind != formatFloat
	case f.bits > 8:
		img.Deep = make([]uint16, n)
		img.Levels = p.levels(f.bits)
	default:
		img.Pix = make([]uint8, n)
	}
	d := &decoder{form: f, page: p, dst: img}
	if err := d.chunks(); err != nil {
		return nil, err
	}
	return img, p.finish(f, img)
}

// levels returns how many levels 9 to 16 bit samples have. The tag for the
// largest value is believed where it tells a number of bits: some writers put
// the image's own maximum there.
func (p *Page) levels(bits int) int {
	if bits < 16 {
		return 1 << bits
	}
	if n := int(min(p.dir.number(tagMaxSampleValue, 0), 1<<16)) + 1; n > 1<<8 && n < 1<<16 && n&(n-1) == 0 {
		return n
	}
	return 0
}

// A decoder reads the chunks, strips or tiles, of a page into an image.
type decoder struct {
	*form
	page *Page
	dst  *Image
}

func (d *decoder) chunks() error {
	tables, err := d.page.dir.raw(tagJPEGTables)
	if err != nil {
		return err
	}
	planes, samples := 1, d.samples // of a chunk
	if d.planar {
		planes, samples = d.samples, 1
	}
	i := 0
	for plane := range planes {
		for y := 0; y < d.height; y += d.chunkHeight {
			for x := 0; x < d.width; x += d.chunkWidth {
				height := d.chunkHeight
				if !d.tiled {
					height = min(height, d.height-y)
				}
				if d.channel(plane) >= 0 || !d.planar {
					c := chunk{x: x, y: y, height: height, plane: plane, samples: samples}
					if err := d.chunk(c, i, tables); err != nil {
						return fmt.Errorf("strip or tile %d: %w", i, err)
					}
				}
				i++
			}
		}
	}
	return nil
}

// channel returns where sample i of a pixel goes in the image, -1 nowhere.
func (f *form) channel(i int) int {
	switch {
	case i < f.colours:
		return i
	case f.alpha > 0 && i == f.alpha:
		return f.colours
	}
	return -1
}

// smallChunk is how long a strip or tile may be in bytes however small the image.
const smallChunk = 16 << 20

type chunk struct {
	x, y, height   int // in the image
	plane, samples int // first sample of a pixel and how many
}

func (d *decoder) chunk(c chunk, i int, tables []byte) error {
	row := (d.chunkWidth*c.samples*d.bits + 7) / 8
	want := row * c.height
	units := d.units()
	if units != nil {
		want = units.bytes(d.chunkWidth, c.height)
	}
	if most := max(2*d.width*d.height*d.samples*((d.bits+7)/8), smallChunk); want > most {
		return FormatError(fmt.Sprintf("a strip or tile of %d bytes in an image of %dx%d pixels", want, d.width, d.height))
	}
	length := uint64(want)
	if d.counts != nil {
		length = d.counts[i]
	}
	if d.offsets[i] == 0 && length == 0 {
		return nil // a tile of nothing, as GDAL leaves it out
	}
	data, err := d.page.dir.bytes(d.offsets[i], length)
	if d.compression == compressionNone && err != nil && d.counts != nil && length > uint64(want) {
		data, err = d.page.dir.bytes(d.offsets[i], uint64(want))
	}
	if err != nil {
		return err
	}
	if d.compression == compressionJPEG {
		return d.jpeg(c, tables, data)
	}
	t4 := d.page.dir.number(tagT4Options, 0)
	if data, err = d.decompress(data, want, c.height, t4&1 != 0); err != nil {
		return err
	}
	if units != nil {
		d.store(c, units.spread(data, d.chunkWidth, c.height), 3*d.chunkWidth, true)
		return nil
	}
	d.store(c, data, row, d.unpredict(data, row, c.samples, d.page.dir))
	return nil
}

// jpeg reads a chunk that is a JPEG file, or one but for its tables.
func (d *decoder) jpeg(c chunk, tables, data []byte) error {
	h, err := jpeg.ReadHeader(data)
	if err != nil {
		return err
	}
	// The file may be smaller than a last strip is high.
	if h.Components != c.samples || h.Width > 2*d.chunkWidth+64 || h.Height > 2*d.chunkHeight+64 ||
		h.Width < min(d.chunkWidth, d.width-c.x) || h.Height < min(c.height, d.height-c.y) {
		return FormatError(fmt.Sprintf("JPEG of %dx%d pixels with %d components, want %dx%d with %d",
			h.Width, h.Height, h.Components, d.chunkWidth, c.height, c.samples))
	}
	model := jpeg.RGB
	switch {
	case d.photometric == photometricYCbCr:
		model = jpeg.YCbCr
	case c.samples == 4:
		model = jpeg.CMYK
	}
	img, err := jpeg.DecodeAs(tables, data, model)
	if err != nil {
		return err
	}
	switch img := img.(type) {
	case *image.Gray:
		d.storeRows(c, img.Pix, img.Stride, 1)
	case *image.RGBA:
		d.storeRows(c, img.Pix, img.Stride, 4)
	case *image.CMYK:
		d.storeRows(c, img.Pix, img.Stride, 4)
	default:
		return FormatError(fmt.Sprintf("JPEG became %T", img))
	}
	return nil
}

// storeRows copies bytes, step of them for a pixel, to the chunk's place.
func (d *decoder) storeRows(c chunk, pix []uint8, stride, step int) {
	n := d.dst.Channels
	for y := range min(c.height, d.height-c.y) {
		to := d.dst.Pix[((c.y+y)*d.width+c.x)*n:]
		from := pix[y*stride:]
		for x := range min(d.chunkWidth, d.width-c.x) {
			for i := range c.samples {
				if at := d.channel(c.plane + i); at >= 0 {
					to[x*n+at] = from[x*step+i]
				}
			}
		}
	}
}

// store unpacks rows of samples to the chunk's place.
func (d *decoder) store(c chunk, data []byte, row int, bigEndian bool) {
	n := d.dst.Channels
	width, height := min(d.chunkWidth, d.width-c.x), min(c.height, d.height-c.y)
	if d.bits == 8 && d.kind == formatUint && c.samples == n && d.photometric != photometricPalette {
		for y := range height {
			copy(d.dst.Pix[((c.y+y)*d.width+c.x)*n:][:width*n], data[y*row:])
		}
		return
	}
	sample := d.reader(bigEndian)
	for y := range height {
		line := data[y*row:][:row]
		base := ((c.y+y)*d.width + c.x) * n
		for i := range c.samples {
			at := d.channel(c.plane + i)
			if at < 0 {
				continue
			}
			for x := range width {
				sample(line, x*c.samples+i, base+x*n+at)
			}
		}
	}
}

// reader returns what stores sample i of a row as element at of the image.
func (d *decoder) reader(bigEndian bool) func(row []byte, i, at int) {
	var order binary.ByteOrder = binary.LittleEndian
	if bigEndian {
		order = binary.BigEndian
	}
	dst := d.dst
	switch {
	case d.kind == formatFloat && d.bits == 16:
		return func(row []byte, i, at int) { dst.Float[at] = half(order.Uint16(row[2*i:])) }
	case d.kind == formatFloat && d.bits == 32:
		return func(row []byte, i, at int) { dst.Float[at] = math.Float32frombits(order.Uint32(row[4*i:])) }
	case d.kind == formatFloat:
		return func(row []byte, i, at int) { dst.Float[at] = float32(math.Float64frombits(order.Uint64(row[8*i:]))) }
	}
	number := d.integer(order)
	switch {
	case d.kind == formatInt:
		shift := 64 - d.bits
		return func(row []byte, i, at int) { dst.Float[at] = float32(int64(number(row, i)<<shift) >> shift) }
	case d.bits > 16:
		return func(row []byte, i, at int) { dst.Float[at] = float32(number(row, i)) }
	case d.bits > 8:
		return func(row []byte, i, at int) { dst.Deep[at] = uint16(number(row, i)) }
	case d.photometric == photometricPalette:
		return func(row []byte, i, at int) { dst.Pix[at] = uint8(number(row, i)) }
	}
	top := uint64(1)<<d.bits - 1
	return func(row []byte, i, at int) { dst.Pix[at] = uint8((number(row, i)*255 + top/2) / top) }
}

// integer returns what reads sample i of a row.
func (d *decoder) integer(order binary.ByteOrder) func(row []byte, i int) uint64 {
	switch d.bits {
	case 8:
		return func(row []byte, i int) uint64 { return uint64(row[i]) }
	case 16:
		return func(row []byte, i int) uint64 { return uint64(order.Uint16(row[2*i:])) }
	case 32:
		return func(row []byte, i int) uint64 { return uint64(order.Uint32(row[4*i:])) }
	}
	width := d.bits // other widths are packed, the highest bit first
	return func(row []byte, i int) (v uint64) {
		for at := i * width; at < (i+1)*width; {
			take := min(8-at%8, (i+1)*width-at)
			v = v<<take | uint64(row[at/8]>>(8-at%8-take))&(1<<take-1)
			at += take
		}
		return v
	}
}

// half is IEEE 754's float of 16 bits.
func half(b uint16) float32 {
	sign, exponent, fraction := float32(1), int(b>>10&31), float64(b&0x3ff)
	if b>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * float32(math.Ldexp(fraction, -24))
	case 31:
		if fraction != 0 {
			return float32(math.NaN())
		}
		return sign * float32(math.Inf(1))
	}
	return sign * float32(math.Ldexp(fraction+1024, exponent-25))
}

// finish makes grey or RGB of what is stored otherwise.
func (p *Page) finish(f *form, img *Image) error {
	switch f.photometric {
	case photometricWhiteIsZero:
		for i, v := range img.Pix {
			img.Pix[i] = 0xff - v
		}
	case photometricPalette:
		return p.lookUp(f, img)
	case photometricCMYK:
		img.fromCMYK()
	case photometricYCbCr:
		if f.compression != compressionJPEG {
			return p.fromYCbCr(img)
		}
	}
	return nil
}

func (p *Page) lookUp(f *form, img *Image) error {
	colours, err := p.dir.numbers(tagColorMap)
	if err != nil {
		return err
	}
	n := 1 << f.bits
	if len(colours) < 3*n {
		return FormatError(fmt.Sprintf("a colour map of %d numbers, want %d", len(colours), 3*n))
	}
	from := img.Channels
	to := from + 2
	pix := make([]uint8, img.Width*img.Height*to)
	for i := range img.Width * img.Height {
		index := int(img.Pix[i*from])
		for c := range 3 {
			pix[i*to+c] = uint8(colours[c*n+index] >> 8)
		}
		if from == 2 {
			pix[i*to+3] = img.Pix[i*from+1]
		}
	}
	img.Pix, img.Channels = pix, to
	return nil
}

// Inks writes the RGB of a pixel of CMYK, 255 being full ink, without a colour
// profile: Pillow's formula.
func Inks(rgb, cmyk []uint8) {
	light := 255 - int(cmyk[3])
	for c := range 3 {
		t := int(cmyk[c])*light + 128
		rgb[c] = uint8(max(light-(t>>8+t)>>8, 0))
	}
}

func (img *Image) fromCMYK() {
	n := img.Width * img.Height
	if img.Deep != nil {
		pix := make([]uint8, len(img.Deep))
		for i, v := range img.Deep {
			pix[i] = uint8(v >> 8)
		}
		img.Pix, img.Deep = pix, nil
	}
	out := make([]uint8, 3*n)
	for i := range n {
		Inks(out[3*i:], img.Pix[4*i:])
	}
	img.Pix, img.Channels = out, 3
}

// units are how samples of YCbCr lie that share colours, nil where none do (TIFF
// 6.0, section 21): across × down lumas, then the two colours.
type units struct{ across, down int }

func (d *decoder) units() *units {
	if d.photometric != photometricYCbCr || d.compression == compressionJPEG {
		return nil
	}
	u := &units{2, 2}
	if s, err := d.page.dir.numbers(tagYCbCrSampling); err == nil && len(s) >= 2 {
		u.across, u.down = int(min(s[0], 8)), int(min(s[1], 8))
	}
	if u.across < 1 || u.down < 1 || u.across == 1 && u.down == 1 {
		return nil
	}
	return u
}

func (u *units) bytes(width, height int) int {
	return (width + u.across - 1) / u.across * ((height + u.down - 1) / u.down) * (u.across*u.down + 2)
}

// spread gives every pixel its colours.
func (u *units) spread(data []byte, width, height int) []byte {
	out := make([]byte, 3*width*height)
	size := u.across*u.down + 2
	perRow := (width + u.across - 1) / u.across
	for y := range height {
		for x := range width {
			unit := data[(y/u.down*perRow+x/u.across)*size:][:size]
			to := out[3*(y*width+x):]
			to[0] = unit[y%u.down*u.across+x%u.across]
			to[1], to[2] = unit[size-2], unit[size-1]
		}
	}
	return out
}

// fromYCbCr converts by the file's coefficients and reference values, those of
// ITU-R BT.601 of full range where it has none (TIFF 6.0, section 21).
func (p *Page) fromYCbCr(img *Image) error {
	coeffs, err := p.dir.fractions(tagYCbCrCoeffs)
	if err != nil {
		return err
	}
	if len(coeffs) < 3 || !(coeffs[1] > 0) {
		coeffs = []float64{.299, .587, .114}
	}
	reference, err := p.dir.fractions(tagReferenceBW)
	if err != nil {
		return err
	}
	if len(reference) < 6 {
		reference = []float64{0, 255, 128, 255, 128, 255}
	}
	scale := func(v uint8, i int, top float64) float64 {
		black, white := reference[2*i], reference[2*i+1]
		if !(white > black) {
			return float64(v)
		}
		return (float64(v) - black) * top / (white - black)
	}
	for i := range img.Width * img.Height {
		p := img.Pix[3*i : 3*i+3]
		y, cb, cr := scale(p[0], 0, 255), scale(p[1], 1, 127), scale(p[2], 2, 127)
		r := y + cr*(2-2*coeffs[0])
		b := y + cb*(2-2*coeffs[2])
		g := (y - coeffs[0]*r - coeffs[2]*b) / coeffs[1]
		for c, v := range []float64{r, g, b} {
			p[c] = uint8(min(max(v+.5, 0), 255))
		}
	}
	return nil
}
