// Package jpeg decodes JPEG files as libjpeg-turbo does with its defaults, to
// within 2/255: package image/jpeg reads the blocks, this package interpolates
// subsampled colours ("fancy upsampling") and converts them in libjpeg's
// integers, where the standard library repeats them, up to 25/255 away.
//
// It encodes baseline files of the same quality and size as package image/jpeg,
// in less time: colours and blocks in AVX2, codes a word at a time.
package jpeg
