package imageio

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"github.com/anomaly-go/anomaly/internal/tiff"
)

// flatten returns the image as *image.Gray or opaque *image.RGBA with the given
// bounds: the stored one itself where it is that already. Parts that it does not
// cover are transparent.
func (s *stored) flatten(bounds image.Rectangle, opts *Options) (image.Image, error) {
	if err := s.eight(opts); err != nil {
		return nil, err
	}
	switch src := s.img.(type) {
	case *image.Paletted:
		s.img = lookUp(src)
	case *image.CMYK:
		s.img = fromInks(src)
	}
	if s.img.Bounds() != bounds {
		canvas := image.NewNRGBA(bounds)
		draw.Draw(canvas, s.img.Bounds(), s.img, s.img.Bounds().Min, draw.Src)
		s.img = canvas
	}
	switch src := s.img.(type) {
	case *image.Gray:
		return src, nil
	case *image.RGBA:
		return src, nil
	case *image.NRGBA:
		return s.over(src, opts.Background), nil
	}
	return nil, fmt.Errorf("got an image of type %T", s.img)
}

// over lays src over a background, in place.
func (s *stored) over(src *image.NRGBA, background Background) *image.RGBA {
	dst := &image.RGBA{Pix: src.Pix, Stride: src.Stride, Rect: src.Rect}
	if src.Opaque() {
		return dst
	}
	under := map[Background]int{White: 255}[background]
	for i := 0; i+3 < len(src.Pix); i += 4 {
		p := src.Pix[i : i+4 : i+4]
		if a := int(p[3]); a < 255 && background != Ignore {
			for c := range 3 {
				p[c] = uint8((int(p[c])*a + under*(255-a) + 127) / 255)
			}
		}
		p[3] = 0xff
	}
	note := map[Background]string{
		Black: "transparent pixels are laid over black", White: "transparent pixels are laid over white",
		Ignore: "transparency is ignored",
	}[background]
	if plain(dst) {
		note += ", which leaves nothing to see: all pixels are the same"
	}
	s.notes = append(s.notes, note)
	return dst
}

// plain reports whether all pixels are the same.
func plain(img *image.RGBA) bool {
	for i := 4; i < len(img.Pix); i += 4 {
		if [3]uint8(img.Pix[i:]) != [3]uint8(img.Pix) {
			return false
		}
	}
	return true
}

// fromInks makes RGB of CMYK.
func fromInks(src *image.CMYK) *image.RGBA {
	dst := image.NewRGBA(image.Rectangle{Max: src.Rect.Size()})
	for y := range dst.Rect.Dy() {
		for x := range dst.Rect.Dx() {
			to := dst.Pix[y*dst.Stride+4*x:]
			tiff.Inks(to, src.Pix[y*src.Stride+4*x:])
			to[3] = 0xff
		}
	}
	return dst
}

// lookUp replaces the indices of src by their colours: grey where all colours are
// (as in every grey BMP), with alpha where one is transparent, and black beyond
// the palette.
func lookUp(src *image.Paletted) image.Image {
	var colours [256]color.NRGBA
	for i := range colours {
		colours[i].A = 0xff
	}
	isGrey, isOpaque := true, true
	for i, c := range src.Palette[:min(len(src.Palette), 256)] {
		c := color.NRGBAModel.Convert(c).(color.NRGBA)
		colours[i] = c
		isGrey = isGrey && c.R == c.G && c.G == c.B
		isOpaque = isOpaque && c.A == 0xff
	}
	b := src.Bounds()
	if isGrey && isOpaque {
		dst := image.NewGray(b)
		for y := range b.Dy() {
			for x, i := range src.Pix[y*src.Stride:][:b.Dx()] {
				dst.Pix[y*dst.Stride+x] = colours[i].R
			}
		}
		return dst
	}
	dst := image.NewNRGBA(b)
	for y := range b.Dy() {
		to := dst.Pix[y*dst.Stride:]
		for x, i := range src.Pix[y*src.Stride:][:b.Dx()] {
			c := &colours[i]
			p := to[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2], p[3] = c.R, c.G, c.B, c.A
		}
	}
	if isOpaque {
		return &image.RGBA{Pix: dst.Pix, Stride: dst.Stride, Rect: dst.Rect}
	}
	return dst
}

// upright applies an EXIF orientation to a *image.Gray or *image.RGBA whose
// bounds begin at (0,0).
func upright(img image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return img
	}
	size := img.Bounds().Size()
	if orientation >= 5 {
		size.X, size.Y = size.Y, size.X
	}
	bounds := image.Rectangle{Max: size}
	switch src := img.(type) {
	case *image.Gray:
		dst := image.NewGray(bounds)
		orient(dst.Pix, dst.Stride, src.Pix, src.Stride, size, 1, orientation)
		return dst
	case *image.RGBA:
		dst := image.NewRGBA(bounds)
		orient(dst.Pix, dst.Stride, src.Pix, src.Stride, size, 4, orientation)
		return dst
	}
	return img
}

// orient writes dst of the given size, with n bytes per pixel. The orientations
// name where the stored row 0 and column 0 belong: 1 top left, 2 top right,
// 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom,
// 8 left bottom (EXIF 2.3, table 6).
func orient(dst []byte, dstStride int, src []byte, srcStride int, size image.Point, n, orientation int) {
	stepX, stepY := n, srcStride // in src, per step to the right and down in dst
	if orientation >= 5 {
		stepX, stepY = stepY, stepX
	}
	start := 0
	if o := orientation; o == 2 || o == 3 || o == 6 || o == 7 { // right to left
		start += (size.X - 1) * stepX
		stepX = -stepX
	}
	if o := orientation; o == 3 || o == 4 || o == 7 || o == 8 { // bottom up
		start += (size.Y - 1) * stepY
		stepY = -stepY
	}
	for y := range size.Y {
		to, from := dst[y*dstStride:], start+y*stepY
		for x := range size.X {
			copy(to[x*n:x*n+n], src[from:from+n])
			from += stepX
		}
	}
}
