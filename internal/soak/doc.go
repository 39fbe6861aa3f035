// Command soak runs a detector for minutes as a production line would, and writes
// what became of it to docs/soak.md (make soak).
//
// It holds two promises of package runtime against a running process. Models can
// be swapped under a stream of requests: none is lost, none gets another model's
// result, and memory returns to what it was. Models can be opened and closed again
// and again: nothing grows.
//
// What is not here: how fast that is, which `anomaly bench` measures.
package main
