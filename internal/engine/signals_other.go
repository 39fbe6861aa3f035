//go:build cgo && !unix

package engine

// holdSignals runs f: there are no signals on this system.
func holdSignals(f func()) { f() }
