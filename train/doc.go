// Package train fits a network of package models to images of good parts.
//
// [Fit] builds one graph that holds the forward pass, the loss and the gradient
// of every weight, runs it on a provider of package runtime for a few images at
// a time, side by side on the cores, sums the gradients in the order of the
// images and takes a step of the optimiser in Go. The graph it trains is the graph
// that package onnxexport writes. Afterwards it scores good images the network
// has not seen and sets the threshold from them.
//
// [CrossFit] scores each image by a network that has not seen it, which shows
// those that may have a defect themselves.
//
// # Determinism
//
// Nothing depends on time, on the number of cores or on the order in which they
// finish: equal data, settings and seed give equal weights, bit by bit, on one
// machine, provider and library version; so does stopping and resuming.
//
// # Checkpoints
//
// With [Settings.Checkpoint] the state is written after every epoch and when the
// context is cancelled, beside the file and then renamed into place. A process
// that is killed leaves the last one that was whole.
package train
