//go:build cgo && linux

package engine

/*
#include <malloc.h>
#include <stdlib.h>

static void fixThreshold(int bytes) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, bytes);
#endif
}

static void trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

import "os"

// mmapThreshold is the size in bytes from which on C's memory goes back to the
// system as soon as it is freed.
const mmapThreshold = 1 << 20

// returnMemory has the C library give back the large blocks that models took as
// soon as they are freed. The GNU C library raises its threshold for that to the
// largest block that was ever freed; what is smaller then stays with the heap of
// the thread that took it, and ONNX Runtime takes blocks of many megabytes in many
// threads (what that comes to is measured in docs/soak.md). A user's own setting
// stands.
func returnMemory() {
	if os.Getenv("MALLOC_MMAP_THRESHOLD_") == "" {
		C.fixThreshold(mmapThreshold)
	}
}

// trimMemory has the C library give back the small blocks that a model took, now
// that it is closed: they would stay in the heaps of threads.
func trimMemory() { C.trim() }
