// Package ref interprets the graphs of package graph: every operator, in plain
// Go, in float32 or float64. It is the oracle that gradients and faster engines
// are compared with, folds constants, and computes for provider go what package
// kernels has no kernel for ([Node]).
//
// Kernels are naive on purpose: one loop nest per operator, no fusion, no layout
// of its own. Only products of matrices, and convolutions as such products, are
// handed to gonum. There is one file per operator family, as in package graph.
//
// The package reads no files and knows no ONNX bytes: package internal/onnx does.
package ref
