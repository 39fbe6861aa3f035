//go:build cgo && !linux

package engine

// What the GNU C library needs to give memory back: see malloc_linux.go.

func returnMemory() {}

func trimMemory() {}
