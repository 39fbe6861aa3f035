package imageio

import (
	"image"
	"io"

	"golang.org/x/image/webp"
)

// decodeWebP decodes WebP. Lossy files hold luma in [16,235] and chroma in
// [16,240] (RFC 6386, section 9.2, ITU-R BT.601), which package webp leaves in
// types of package image that stand for [0,255], as in JPEG: dark would be
// lighter and bright darker than they are.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	if err != nil {
		return nil, err
	}
	var src *image.YCbCr
	alpha := func(x, y int) uint8 { return 0xff }
	switch lossy := img.(type) {
	case *image.YCbCr:
		src = lossy
	case *image.NYCbCrA:
		src = &lossy.YCbCr
		alpha = func(x, y int) uint8 { return lossy.A[lossy.AOffset(x, y)] }
	default:
		return img, nil
	}
	dst := image.NewNRGBA(src.Rect)
	for y := src.Rect.Min.Y; y < src.Rect.Max.Y; y++ {
		for x := src.Rect.Min.X; x < src.Rect.Max.X; x++ {
			at := src.COffset(x, y)
			r, g, b := videoRGB(int(src.Y[src.YOffset(x, y)]), int(src.Cb[at]), int(src.Cr[at]))
			copy(dst.Pix[dst.PixOffset(x, y):], []uint8{r, g, b, alpha(x, y)})
		}
	}
	return dst, nil
}

// videoRGB is libwebp's conversion (src/dsp/yuv.h), in fixed point with 14 bits.
func videoRGB(y, u, v int) (r, g, b uint8) {
	clip := func(x int) uint8 { return uint8(min(max(x>>6, 0), 255)) }
	luma := y * 19077 >> 8
	return clip(luma + v*26149>>8 - 14234),
		clip(luma - u*6419>>8 - v*13320>>8 + 8708),
		clip(luma + u*33050>>8 - 17685)
}
