// Package runtime executes ONNX models.
//
// A [Detector] takes images and gives scores, verdicts and heat maps: it knows
// what the models of package onnxexport mean, and many of those of other tools. A [Session] beneath it takes and
// gives named tensors and runs any ONNX model; training is a Session too.
// [Detector.Watch] swaps the model whenever its file changes, a [Shadow] tries one
// beside another. [Inspect] describes a file without running it, [Diagnose] says which
// providers can be used on this machine, and why the others cannot.
//
// # Providers
//
// A provider is what computes: "cpu", "cuda", "tensorrt", "openvino", "coreml"
// and "directml" are ONNX Runtime, whose shared library is loaded when the first
// of them is opened; "go" is written in Go and needs nothing. A provider that is
// named is used or is an error. "auto" is cpu, or go where ONNX Runtime is
// missing; a list such as "cuda,cpu" is the first that works. Both say through
// Options.Logf what they took.
//
// All compute in float32 unless an option asks for less; [ProviderOptions] has
// what can be set on each. A provider takes the first ONNX Runtime that was
// built with it and finds the libraries it needs; a process loads one, once.
//
// What is not here: building models (packages graph and models), writing them
// (package onnxexport), reading image files (package dataset), drawing maps
// (package heatmap).
package runtime
