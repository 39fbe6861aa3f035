// Command embed is the least that a program does with a model: open it, detect
// images, close it.
//
//	go run ./examples/embed model.onnx images/
package main
