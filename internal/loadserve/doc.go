// Command loadserve measures `anomaly serve` and writes tables for
// docs/serving.md: throughput, latency by rate, overload, swaps under load, memory,
// beside a FastAPI program with ONNX Runtime where -python names a Python that has
// them (requirements.txt). Clients run on the same cores as the servers.
package main
