// Command loadserve measures `anomaly serve` and writes tables for
// docs/serving.md: throughput and what processor time it takes, latency by rate, overload, swaps under load, memory,
// beside a FastAPI program with ONNX Runtime where -python names a Python that has
// them (requirements.txt). Clients run on the same cores as the servers. With -soak it
// does nothing but watch the memory for a time, and fails if that grows or a request
// is lost.
package main
