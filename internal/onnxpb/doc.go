// Package onnxpb is ONNX's protobuf schema as Go types: generated from
// onnx.proto, nothing written by hand. Package onnxexport is its only reader
// and writer.
//
// The proto package is anomaly.onnx and the registered file anomaly/onnx.proto:
// a program that links a second copy of onnx.proto would panic at init if both
// had the same names. The wire format does not depend on them.
//
// onnx.proto is the ONNX project's, under the Apache licence 2.0; its head says
// which version. ./generate makes both files anew.
package onnxpb

//go:generate ./generate
