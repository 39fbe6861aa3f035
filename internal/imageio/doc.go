// Package imageio is the preprocessing that training, running, calibrating and
// evaluating share, so that a network sees the same numbers everywhere:
//
//	decode → EXIF orientation → RGB or grey, 8 bit → resize → NHWC uint8
//
// [Decode] makes an upright *image.Gray or opaque *image.RGBA of any PNG, JPEG,
// GIF, BMP, TIFF or WebP file, [Resize] one row of a batch of it, bit for bit as
// Pillow's BILINEAR does. Casting, scaling to [0,1] and transposing are the
// graph's work, finding images package dataset's, and drawing package heatmap's.
package imageio
