package runtime

import (
	"errors"
	"fmt"
	"image"
)

// guarded calls f, of which a panic is an error: an image.Image is a caller's code,
// and what a file makes operators do cannot all be foreseen. None of it may end the
// process from a goroutine of ours.
func guarded(f func() error) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	return f()
}

// maxImage is how many pixels an image may have that is given to a detector. What
// has more are no photographs: image.Uniform has 4·10¹⁸.
const maxImage = 1 << 28

// sizeOf returns the size of image i of a call.
func sizeOf(imgs []image.Image, i int) (height, width int, err error) {
	err = guarded(func() error {
		if imgs[i] == nil {
			return errors.New("is nil")
		}
		r := imgs[i].Bounds()
		height, width = r.Dy(), r.Dx()
		// Sides of absurd bounds overflow.
		if r.Empty() || height < 1 || width < 1 || width > maxImage/height {
			return fmt.Errorf("got %dx%d pixels, want 1x1 to %d", height, width, maxImage)
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%w: image %d: %w", ErrInput, i, err)
	}
	return height, width, nil
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
