// Package dataset finds images and their ground truth on disk and reads them,
// ready for a network.
//
// [Open] reads a set with its split (the layouts are at [Open]), [Find] the
// images that a command line names. Both give [Sample] values that hold paths,
// not pixels: [Sample.Image] decodes one, [Load] all of them into one batch, and
// [Stream] one after the other while the caller works on those before.
//
// [Decode] is the same for files that come another way. What was chosen for an
// image (the first frame, how many grey levels) or passed over in a folder is
// collected in [Notes].
//
// What a pixel becomes is the one preprocessing's affair (decoding, orientation,
// resizing as Pillow does). Augmentation lives in package train, metrics in
// package metrics.
package dataset
