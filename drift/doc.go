// Package drift tells when the images that a model is given are no longer such as it was
// trained on: a lamp ages, a lens loses its focus.
//
// A [Monitor] compares windows of images with the quantiles that a model's metadata keep
// of its training: scores of good images that were held back, brightness and sharpness of
// all. It says so where they differ more than chance allows, with a stated rate of false
// alarms. A [Watch] says where that begins and ends, whatever version of the model is in use.
//
// What is not here: what is unlike in a single image (package runtime, Result.Unlike).
package drift
