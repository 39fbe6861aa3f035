// Package kernels computes graphs fast in Go: what provider go runs.
//
// [Compile] plans a graph of known shapes once: it folds constants, fuses runs of
// elementwise operators, activations and pools into the operators before them,
// turns slices and transpositions into views, lays out weights for the kernels and
// gives every value its place in one block of memory. A [Plan] is immutable and
// shared; a [State] is the memory of one run at a time.
//
// The arithmetic is in few kernels that an [isa] holds: tiles of products and of
// dot products, transforms of tiles of images, and functions of vectors. Those of
// amd64 are written by the generator in _asm, the portable ones are Go. All images
// stay row-major [N,C,H,W].
//
// Operators without a kernel here run in package internal/ref, which is also
// what the tests compare with.
package kernels
