// Package models holds the network architectures, one file each, behind one
// interface: [Network], built from operators of package graph. A [Spec] names an
// architecture and its options, and [Open] makes the network of it; weights live
// outside, by parameter name.
//
// dcae is the deep convolutional autoencoder the project began with: three
// convolutions with max-pooling down, three with nearest upsampling back, one to
// the image's channels. ssimae is the autoencoder of the paper that brought SSIM
// to this field, which every image goes through as a vector of 100 numbers. unet is
// a U-Net that is trained to undo defects that package corrupt puts on good
// images. Of each of them Spec.AEGrad makes a network that moves the image itself. features models what a pretrained [EfficientNet] makes
// of good images, in closed form. Training is package train's, files are package
// onnxexport's.
//
// # Adding a network
//
// One file: a type that embeds base, an architecture with the defaults and the
// limits of its options, and a test; one row in architectures. A [Spec] gets a
// field, with omitempty, for an option that no other network has. The network is
// one of two kinds:
//
//   - [Trainable] learns by gradient descent. Loss builds what is trained, which
//     may differ from Forward; [Frozen] parameters keep their initial values.
//   - [Fitter] is fitted in closed form. Package train runs Features on every
//     image, in order and as often as [Fit.Passes] asks, and merges what
//     [Fit.Solve] returns into the weights of Init. It fits to five folds as well,
//     so that each image is scored by a fit that has not seen it.
//
// What a network makes is in its [Outputs]. Of a reconstruction the exporter makes
// a map; a network that makes a Map itself has the kind residual.NetworkMap in its
// [Recipe].
//
// Weights that come from a file, a pretrained backbone's say, reach the
// architecture's open function in [Resources], and Init returns them, under their
// parameters' names. An exported model has them as it has all weights: to open it
// again, package onnxexport gives open all weights of the file as Resources.
package models
