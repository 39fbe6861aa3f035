//go:build cgo && !unix

package runtime

// holdSignals runs f: there are no signals on this system.
func holdSignals(f func()) { f() }
