//go:build cgo && unix

package engine

/*
#include <pthread.h>
#include <signal.h>

typedef struct {
	sigset_t mask;
	stack_t stack;
} signal_state;

static void hold_signals(signal_state *before) {
	sigset_t most;
	sigfillset(&most);
	sigdelset(&most, SIGSEGV);
	sigdelset(&most, SIGBUS);
	sigdelset(&most, SIGFPE);
	sigdelset(&most, SIGILL);
	pthread_sigmask(SIG_BLOCK, &most, &before->mask);
	sigaltstack(NULL, &before->stack);
}

static void release_signals(const signal_state *before) {
	sigaltstack(&before->stack, NULL);
	pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
}
*/
import "C"

import goruntime "runtime"

// holdSignals keeps signals from the calling thread, faults apart, while f runs,
// and gives the thread its signal stack back afterwards. OpenVINO's plugin for
// CPUs with AMX leaves the thread that sets it up with a signal stack that has no
// room for Go's handler: the scheduler's next signal would end the process.
func holdSignals(f func()) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	var before C.signal_state
	C.hold_signals(&before)
	defer C.release_signals(&before)
	f()
}
