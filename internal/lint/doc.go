// Package lint holds, as tests, the rules of this repository that the compiler
// does not: which package may import which, that one file alone knows the ONNX
// Runtime binding, that no exported signature mentions a type of internal/*,
// that every package says in doc.go what it is, that no text names a package
// registry's host or a private path, and that links between documents resolve.
//
// Each rule is a function from a tree to complaints, tried on the repository
// and on small trees that break it. Formatting and go vet belong to the
// Makefile; nothing here is for import.
package lint
