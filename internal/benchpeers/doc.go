// Command benchpeers does the same work with this project and with what else there
// is for it (make bench-peers): PyTorch, onnxruntime in Python, OpenCV. It writes
// bench/results.json and its part of docs/benchmarks.md.
//
// A row is a piece of work that two sides do in turn, some times each, in rounds: what
// else the machine does meets both. Before that both say what they compute, and a
// row whose sides differ by more than its tolerance is not measured but an error.
// Sides in Python run in one process, peer.py, which is asked by lines of JSON.
//
// How throughput grows with batches, cores, sizes and images is measured of this
// project alone.
package main
