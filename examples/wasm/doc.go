// Command wasm puts a detector into a web page: pictures that are dropped and
// frames of the camera are decoded, judged and drawn in the browser, in Go compiled
// to WebAssembly, and leave it for nowhere.
//
//	go run ./examples/wasm model.onnx               # then open http://127.0.0.1:8080
//	go run ./examples/wasm -out site model.onnx     # a folder for any web server
//
// The same program runs in the page (page.go) and in a worker (worker.go), which
// computes while the page answers; outside a browser (site.go) it builds and
// serves both. Without a model the page takes one that is dropped on it.
package main
