package imageio

import (
	"image"
	"image/draw"
)

// flatten returns img as *image.Gray or opaque *image.RGBA with the given
// bounds: img itself where it is that already.
func flatten(img image.Image, bounds image.Rectangle) image.Image {
	if src, ok := img.(*image.Paletted); ok {
		img = lookUp(src)
	}
	if img.Bounds() == bounds {
		switch src := img.(type) {
		case *image.Gray:
			return src
		case *image.Gray16:
			return upperBytes(src)
		case *image.RGBA:
			if src.Opaque() {
				return src
			}
		}
	}
	dst := image.NewRGBA(bounds)
	draw.Draw(dst, img.Bounds(), img, img.Bounds().Min, draw.Src)
	// The colours are premultiplied by alpha: without it they lie over black.
	for i := 3; i < len(dst.Pix); i += 4 {
		dst.Pix[i] = 0xff
	}
	return dst
}

// upperBytes keeps the upper 8 of 16 bits, as color.GrayModel does.
func upperBytes(src *image.Gray16) *image.Gray {
	b := src.Bounds()
	dst := image.NewGray(b)
	for y := range b.Dy() {
		from := src.Pix[y*src.Stride:]
		for x := range b.Dx() {
			dst.Pix[y*dst.Stride+x] = from[2*x]
		}
	}
	return dst
}

// lookUp replaces the indices of src by their colours, over black; draw.Draw
// would convert the colour of every pixel. It is grey where all colours are (as
// in every grey BMP), and black beyond the palette.
func lookUp(src *image.Paletted) image.Image {
	var colours [256][4]byte
	isGrey := true
	for i, c := range src.Palette[:min(len(src.Palette), 256)] {
		r, g, b, _ := c.RGBA()
		colours[i] = [4]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8), 0xff}
		isGrey = isGrey && r == g && g == b
	}
	b := src.Bounds()
	if isGrey {
		dst := image.NewGray(b)
		for y := range b.Dy() {
			for x, i := range src.Pix[y*src.Stride:][:b.Dx()] {
				dst.Pix[y*dst.Stride+x] = colours[i][0]
			}
		}
		return dst
	}
	dst := image.NewRGBA(b)
	for y := range b.Dy() {
		to := dst.Pix[y*dst.Stride:]
		for x, i := range src.Pix[y*src.Stride:][:b.Dx()] {
			copy(to[4*x:4*x+4], colours[i][:])
		}
	}
	return dst
}

// nonBlack returns 255 where a colour of img is not 0, at img's own depth and
// over black.
func nonBlack(img image.Image, bounds image.Rectangle) *image.Gray {
	dst := image.NewGray(bounds)
	b := img.Bounds().Intersect(bounds)
	if gray, ok := img.(*image.Gray); ok {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			to := dst.Pix[dst.PixOffset(b.Min.X, y):]
			for x, v := range gray.Pix[gray.PixOffset(b.Min.X, y):][:b.Dx()] {
				if v != 0 {
					to[x] = 0xff
				}
			}
		}
		return dst
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if r, g, bl, _ := img.At(x, y).RGBA(); r|g|bl != 0 {
				dst.Pix[dst.PixOffset(x, y)] = 0xff
			}
		}
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
