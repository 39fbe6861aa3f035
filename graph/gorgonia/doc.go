// Package gorgonia passes tensors between package graph and gorgonia.org/tensor,
// for programs that compute with both: what goes into a session and what comes
// out of one. No other package of ours needs it, and so none links gorgonia.
package gorgonia
