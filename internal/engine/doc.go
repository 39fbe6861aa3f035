// Package engine computes ONNX files on providers.
//
// A [Plan] is a file opened on a provider: immutable, its weights parsed and laid out
// once, shared by any number of workers. A [State] is one worker's: what a run at a
// time needs. Behind both are ONNX Runtime (ort.go, the one file that knows the
// binding) and Go (go.go).
//
// All that is known of a provider but its options is its row in provider.go: which
// library it is in and what that needs, whether it shares the processor's cores,
// how it fails. Options, as users give them, are package runtime's.
package engine
