// Package onnxexport turns graphs into ONNX files and back.
//
// [Marshal] writes any graph of package graph, a training step or a detector,
// as deterministic bytes: the same graph and weights give the same file. [Parse]
// reads such files. [Build] and [Write] make the models that users get: a
// network with its preprocessing, its residual map, its score and its thresholds
// in one graph, laid out by a [Profile], described by the file's metadata.
//
// Files are ONNX IR 8, opset 18, of ONNX's own operators only, except that
// graphs with foreign operators ([graph.Graph.ForeignOp]) import their domains.
//
// Other tools' files, of opsets 6 to 28, are read too: by [Read] and, for inputs
// of given shapes, by [File.For]. The files import_*.go have an importer for
// each operator that package graph does not have, or has in one of its forms.
//
// The package executes nothing but what depends on constants alone (package
// runtime does) and knows no network (package models does); what a map and a
// score are is package residual's.
package onnxexport
