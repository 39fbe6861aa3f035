// Command anomaly finds defects in images after having seen only good ones: it
// trains an autoencoder, exports it to ONNX, runs it over images and evaluates
// it. `anomaly help` lists the commands.
//
// The package parses flags, prints, lays out the report (report.html) and draws
// the parts of the demo; the rest is done by the packages train, onnxexport,
// runtime, heatmap, dataset and metrics. Results go to standard output, everything
// else to standard error. Exit codes: 0 success, 1 failure, 2 usage, 3 anomaly
// found with --fail-on-anomaly, 130 interrupted.
package main
