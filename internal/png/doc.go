// Package png reads the usual PNG file, a pair of rows at a time: 8 bits, grey, RGB
// or RGBA, not interlaced, without a transparent colour. Its memory is a few rows
// and what Deflate looks back on.
//
// It gives the pixels that package image/png gives, and gives up on whatever is
// not plainly right, which is left to that package: so there is one judge of
// damaged files.
package png
