// Package serve makes a folder of models an inference server.
//
// [New] opens a model repository: plain files NAME.onnx, or folders
// NAME/VERSION/model.onnx with whole numbers for versions. It is watched: files
// and versions that come, change or go are loaded, swapped and unloaded, each
// after its self-test and Options.Gate, while the model before works on. Requests
// for one model are computed together (runtime's Detector); images are decoded and
// resized here, side by side.
//
// # Protocols
//
// The Open Inference Protocol, version 2, over HTTP (/v2) and gRPC
// (inference.GRPCInferenceService): health, metadata, infer with JSON and binary
// tensors, and the repository's index, load and unload, as clients of KServe and
// Triton speak it. Whatever tool made a model, it is asked in one way: images as
// UINT8 [N,H,W,C] in "input", or as encoded files, BYTES [N], in "image". Over HTTP
// alone, POST /v1/models/NAME/images takes image files and gives verdicts;
// /openapi.json describes all there is. What people say of verdicts goes to
// Options.Feedback.
//
// Windows of images are compared with what models were trained on (package drift).
//
// # What a server bears
//
// A bounded number of requests computes and a bounded number waits, by priority of
// their model, then in order; the next is told when to come again. Bodies, pixels,
// images and headers are limited, all reading and waiting has a deadline, and a
// client that goes away takes its work with it. Handlers that panic answer, and the
// server goes on.
//
// # The end
//
// [Server.Serve] drains when its context ends: it says that it is not ready, asks
// clients to close their connections, answers what has come, and returns.
//
// What is not here: computing (package runtime), commands (cmd/anomaly).
package serve
