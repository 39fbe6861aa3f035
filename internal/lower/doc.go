// Package lower turns the graph of a loss into the graph of a training step,
// loss and gradients, in the form that a provider runs fastest. Only what is run
// is lowered, never what is exported.
//
// [Plain] is the step in standard ONNX operators, for every provider. [CPU]
// writes what it knows of a network with the operators of ONNX Runtime's CPU
// provider for images in blocks of channels (NCHWc) and leaves the rest as it
// is, with changes of layout between. Such a step takes parameters rearranged
// and returns gradients as its convolutions leave them: [Step.Pack] and
// [Step.Unpack] are for that.
//
// Running a step is package train's business, gradients of single operators are
// package graph's.
package lower
