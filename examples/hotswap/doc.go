// Command hotswap serves one detector to many goroutines while its model is
// swapped: put another model in the file's place, and see when results come from
// it. No call fails and none waits for the new model to load.
//
//	go run ./examples/hotswap model.onnx images/
//	anomaly deploy other.onnx model.onnx    # meanwhile, elsewhere
//	anomaly rollback model.onnx
package main
