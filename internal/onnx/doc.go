// Package onnx is the ONNX file: it reads and writes them, and nothing else of this
// repository knows what is where in one.
//
// [Read] parses a file, once; a [File] has what it declares, what the ends
// of its graph tell ([Trace]) and its metadata, and gives its bytes as runtimes need
// them: with weights of other files in it, with float32 inputs and outputs, pruned
// to some outputs. [File.Source] makes graphs of package graph of it, of files of
// ours and, for inputs of given shapes, of other tools' files of opsets 6 to 28, or of their beginning; the
// files import_*.go have an importer for each operator that package graph does not
// have, or has in one of its forms. [Marshal] writes a graph as deterministic bytes.
// names.go lists the names and metadata keys there are.
//
// Nothing is executed here but what depends on constants alone. Errors have no
// prefix: packages that others import wrap theirs around them.
package onnx
