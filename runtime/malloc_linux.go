//go:build cgo && linux

package runtime

/*
#include <malloc.h>
#include <stdlib.h>

static void fixThreshold(int bytes) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, bytes);
#endif
}
*/
import "C"

import "os"

// mmapThreshold is the size in bytes from which on C's memory goes back to the
// system as soon as it is freed.
const mmapThreshold = 1 << 20

// returnMemory has the C library give back what models took. The GNU C library
// raises its threshold to the largest block that was ever freed; what is smaller
// then stays with the heap of the thread that took it, and ONNX Runtime takes
// blocks of many megabytes in many threads: a process that opened and closed a
// model of 128×128 pixels over and over grew from 50 MB to 180 to 260 MB, and to
// 55 MB with a threshold that does not move. A user's own setting stands.
func returnMemory() {
	if os.Getenv("MALLOC_MMAP_THRESHOLD_") == "" {
		C.fixThreshold(mmapThreshold)
	}
}
