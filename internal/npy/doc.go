// Package npy reads and writes NumPy's .npy files (format versions 1, 2 and 3):
// arrays in C order of bool, uint8, uint16, int32, int64, float32 or float64,
// little-endian.
//
// A [File] reads single rows of the first axis without loading the others;
// [Load] and [Write] handle whole arrays. Headers are not trusted: a shape that
// does not fit the file is an error before anything of its size is allocated.
// What an axis means is the caller's business; .npz archives, structured and
// object arrays are not read.
//
// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
package npy
