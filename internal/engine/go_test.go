package engine

import (
	"slices"
	"testing"
)

func TestKeep(t *testing.T) {
	var list []int
	for _, x := range []int{1, 2, 3, 4, 2, 5} {
		list = keep(list, x)
	}
	if want := []int{5, 2, 4, 3}; !slices.Equal(list, want) {
		t.Errorf("got %v, want %v", list, want)
	}
}
