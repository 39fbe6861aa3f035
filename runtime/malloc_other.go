//go:build cgo && !linux

package runtime

// What the GNU C library needs to give memory back: see malloc_linux.go.

func returnMemory() {}

func trimMemory() {}
