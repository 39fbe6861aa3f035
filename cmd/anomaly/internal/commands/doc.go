// Package commands holds the subcommands of anomaly, each in a file of its name:
// flags in; tables, JSON and pages out. What it prints comes from the packages
// train, onnxexport, runtime, heatmap, dataset and metrics.
//
// Results go to standard output, everything else to standard error. Exit codes: 0
// success, 1 failure, 2 usage, 3 anomaly found with --fail-on-anomaly, 4 a
// detector of no use with --strict, 130 interrupted.
package commands
