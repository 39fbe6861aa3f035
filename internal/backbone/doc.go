// Package backbone takes features from a network that an ONNX file holds, a
// classifier say, for package models to model what they are like: it finds tensors
// inside to take, what the network expects of pixels, and makes of them a graph for
// any number of images, of a size that the network allows.
//
// It executes nothing. Files are package onnx's, what the features are for is
// package models'. Errors have no prefix: they get that of the package that asked.
package backbone
