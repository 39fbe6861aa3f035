// Package tiff reads TIFF 6.0 and BigTIFF files, page by page: strips and tiles,
// chunky and planar samples of 1 to 64 bits, integers and floats in any order of
// bytes and bits, every compression that cameras and tools of this field write.
//
// It gives the samples as they are stored; making 8 bits of them, orientation and
// transparency are package imageio's work. What it does not read is refused by
// name with an [UnsupportedError].
package tiff
