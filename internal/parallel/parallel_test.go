package parallel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestEach(t *testing.T) {
	var got [100]int
	Each(len(got), func(i int) { got[i]++ })
	if slices.Min(got[:]) != 1 || slices.Max(got[:]) != 1 {
		t.Errorf("got %v calls, want 1 each", got)
	}
	Each(0, func(int) { t.Error("called for none") })
}

func TestDo(t *testing.T) {
	for workers := range 4 {
		err := Do(t.Context(), 50, workers, func(i int) error {
			if i >= 7 {
				return fmt.Errorf("error %d", i)
			}
			return nil
		})
		if err == nil || err.Error() != "error 7" {
			t.Errorf("%d workers: got %v, want the error of the smallest index", workers, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := Do(ctx, 10, 1, func(int) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("got %v after %d calls, want %v after 1", err, calls, context.Canceled)
	}
}
