package runtime

import (
	"fmt"
)

// guarded calls f, of which a panic is an error: what a file makes operators do
// cannot all be foreseen, and none of it may end the process from a goroutine of
// ours.
func guarded(f func() error) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	return f()
}

// checkFinite reports a NaN or an infinity among the numbers that a model gives for
// an image, which every comparison with a threshold would pass as good. Operators
// that take the highest of numbers do not tell: ONNX Runtime's leave NaN out.
func checkFinite(what string, values []float32) error {
	for _, v := range values {
		if v-v != 0 { // of no finite number
			return fmt.Errorf("%w: got %s with %v in it, want finite numbers", ErrModel, what, v)
		}
	}
	return nil
}
