// Package runtime executes ONNX models.
//
// A [Detector] takes images and gives scores, verdicts and heat maps: it knows
// what the models of package onnxexport mean, and many of those of other tools. A
// [Session] beneath it takes and gives named tensors and runs any ONNX model;
// training is a Session too. [Detector.Watch] swaps the model whenever its file
// changes, a [Shadow] tries one beside another, [Deploy] and [Rollback] put files in
// place. [Inspect] describes a file without running it, [Diagnose] says which
// providers can be used on this machine, and why the others cannot.
//
// # Providers
//
// A provider is what computes: "cpu", "cuda", "tensorrt", "openvino", "coreml"
// and "directml" are ONNX Runtime, whose shared library is loaded when the first
// of them is opened; "go" is written in Go and needs nothing. A provider that is
// named is used or is an error. "auto" is go for models that clearly take less time on
// it, by an estimate from their operators that is the same each time, or where ONNX
// Runtime is missing, else cpu; a list such as "cuda,cpu" is the first that works. Both
// say through Options.Logf what they took.
//
// All compute in float32 unless an option asks for less; [ProviderOptions] has
// what can be set on each. A provider takes the first ONNX Runtime that was
// built with it and finds the libraries it needs; a process loads one, once.
//
// # Concurrency and lifetime
//
// Detectors and sessions may be used by any number of goroutines, also while they
// are swapped or closed. A session computes one Run at a time; [Session.Worker]
// gives another on the same model, whose weights are there once. A detector computes
// calls side by side together, as many images as fit a batch: while one batch is
// computed the next gathers; Options.BatchWindow makes one that is not full wait.
// Neither the images beside one nor the calls beside one change what is found, and
// a call that fails or whose context ends does neither to others.
//
// What is given belongs to the caller again when the call returns, also when its
// context ended: images and pixels are not read any more, tensors not written. What
// is kept are the bytes of a model (OpenBytes, OpenSession) and Options.Zones, until
// Close, and images that a Shadow is offered, until they are compared. What is
// returned belongs to the caller and is never touched again.
//
// Detect returns ctx.Err() as soon as its context ends: before it begins, while
// images are prepared (after the one in hand), in the queue, or while its batch is
// computed, which goes on for the others. If no other is in the batch ONNX Runtime
// is told to stop. A Run of a session returns when the operator in hand is done.
//
// [Detector.Swap] opens, checks and warms up the new model beside the old one: there
// must be memory for both. Calls that began before it took over end with the old
// one; Swap returns when they have and the old one is freed. If it fails, or
// its context ends before the new model takes over, the old one stays. Swaps side by
// side happen one after the other.
//
// Close waits for calls that have begun, cancels a Swap that has not taken over,
// and frees the model; calls that begin later return [ErrClosed]. It may be called
// again. Who opened a detector or a session closes it: the garbage collector frees
// nothing of ONNX Runtime's and only reports to Options.Logf what was forgotten, as
// long as Logf does not hold on to it. ONNX Runtime itself stays loaded until the
// process ends. On Linux with the GNU C library it is told to give freed memory back
// (docs/soak.md shows what that does); MALLOC_MMAP_THRESHOLD_ in the environment
// overrules that.
//
// What is not here: building models (packages graph and models), writing them
// (package onnxexport), reading image files (package dataset), drawing maps
// (package heatmap).
package runtime
