package runtime

import (
	"fmt"
	goruntime "runtime"
	"strings"
)

// reportLeak tells logf of an x that the garbage collector finds before its Close
// has stopped this. It frees nothing: a program that leaves that to the collector,
// which knows nothing of C's memory, would seem to work until it runs out of it.
func reportLeak[T any](x *T, opened string, logf func(format string, args ...any)) goruntime.Cleanup {
	name := strings.TrimPrefix(fmt.Sprintf("%T", x), "*runtime.")
	return goruntime.AddCleanup(x, func(opened string) {
		logf("a %s was not closed, what it holds outside of Go's memory is lost; opened at %s", name, opened)
	}, opened)
}

// caller returns the file and line that called the caller.
func caller() string {
	_, file, line, _ := goruntime.Caller(2)
	return fmt.Sprintf("%s:%d", file, line)
}
