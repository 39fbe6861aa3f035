// Command anomaly finds defects in images after having seen only good ones: it
// trains an autoencoder, exports it to ONNX, runs it over images and evaluates
// it. `anomaly help` lists the commands.
//
// This package is the process: signals and the exit code. The commands are in
// internal/commands, the pages that they write in internal/page, what the demo takes
// pictures of in internal/parts.
package main
