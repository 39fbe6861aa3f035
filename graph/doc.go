// Package graph builds computation graphs of standard ONNX operators (opset 18)
// and differentiates them.
//
// Everything the project computes with tensors is such a graph: the network,
// its loss, the gradient of the loss, the SSIM map, the score. A function such
// as [Conv] appends one operator to the graph of its operands, infers the
// result's type and returns it. [Gradients] appends the reverse-mode derivative,
// again as standard ONNX operators. What is known of an operator is one row of a
// table: how many operands it has, which of them shapes depend on, its
// attributes, its types, its vector-Jacobian product (VJP) and what it costs.
// The operators live in one file per family, which has their rows.
//
// The package executes nothing: package onnxexport turns a graph into bytes,
// package runtime runs those, and internal/ref is the interpreter that tests
// compare everything with.
//
// # Errors
//
// A mistake in building (shapes that do not fit, an unknown operand) is kept in
// the graph: [Graph.Err] gives the first one, later operators do nothing. So
// formulas read as formulas, and are checked once, at the end.
//
// # Shapes
//
// Dimensions are known, or [Dynamic]: the batch and, where a graph takes images of
// any size, their height and width. Dynamic dimensions are taken to be equal
// wherever operands must agree; [Size] gives them to the graph itself.
package graph
