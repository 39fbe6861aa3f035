// Package randgraph composes random graphs of the operators of package graph,
// for tests of properties that hold for every graph: that gradients are what
// differences say, that shapes are as inferred, that providers agree. A seed
// gives the same graph each time. Values stay small and curves smooth, so that
// such tests can have tight tolerances.
package randgraph
