// Package conformance is one suite of tests that is run over every provider of
// package runtime: the models that package onnxexport writes, models of other
// tools with their golden outputs, and ONNX's own tests of the operators that
// are used. It has nothing to import.
//
// testdata/manifest.txt says which of ONNX's tests are in scope, and which tests
// of what provider fail and why. What it says is tried too: a test that is said
// to fail and passes, or fails for another reason, fails the suite.
//
// `go test` runs providers go and cpu; `make conformance PROVIDER=openvino` runs
// one provider in a process and, where needed, a library of its own.
// docs/interop.md is made of what was measured, by -update-interop.
package conformance
