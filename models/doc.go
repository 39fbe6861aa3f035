// Package models holds the network architectures: functions from a few options
// to operators of a package graph graph. A [Spec] is all it takes to build a
// network again; weights live outside, by parameter name.
//
// dcae is the deep convolutional autoencoder the project began with: three
// convolutions with max-pooling down, three with nearest upsampling back, one to
// the image's channels. Training is package train's, files are package
// onnxexport's.
package models
