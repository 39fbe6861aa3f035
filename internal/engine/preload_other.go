//go:build !cgo || !linux

package engine

// preload leaves finding libraries to ONNX Runtime.
func preload(string, []string) (missing []string, err error) { return nil, nil }
