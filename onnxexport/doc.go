// Package onnxexport makes ONNX files of networks, and reopens them.
//
// [Build] and [Write] make the models that users get: a network with its
// preprocessing, its residual map, its score and its thresholds in one graph, laid
// out by a [Profile], described by the file's metadata. [Marshal] writes those, and
// any other graph of package graph, as deterministic bytes: the same graph and
// weights give the same file. [Reopen] reads them back, to be given other thresholds
// or to be built anew.
//
// Files are ONNX IR 8, opset 18, of ONNX's own operators only, except that
// graphs with foreign operators ([graph.Graph.ForeignOp]) import their domains.
//
// The package executes nothing (package runtime does) and knows no network (package
// models does); what a map and a score are is package residual's, the file's layout
// internal/onnx's.
package onnxexport
