// Package ref interprets the graphs of package graph: every operator, in plain
// Go, in float32 or float64. It is the oracle that gradients and faster engines
// are compared with, and the engine of provider go.
//
// Kernels are naive on purpose: one loop nest per operator, no fusion, no
// layout of its own. Only products of matrices, and convolutions as such
// products, are handed to gorgonia.org/tensor. There is one file per operator
// family, as in package graph.
//
// The package reads no files and knows no ONNX bytes: onnxexport parses, package
// runtime gives the provider its name.
package ref
