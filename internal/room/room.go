package room

import (
	"slices"
	"sync"
)

// Of returns n elements, those of s where it has as many. They hold anything.
func Of[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// A Pool keeps slices that are not needed any more. Its zero value is empty; it may be
// used by several goroutines at a time.
type Pool[T any] struct{ kept sync.Pool }

// Get returns n elements, which hold anything.
func (p *Pool[T]) Get(n int) []T {
	s, _ := p.kept.Get().(*[]T)
	if s == nil {
		s = new([]T)
	}
	return Of(*s, n)
}

// Put keeps s, which is not to be used any more.
func (p *Pool[T]) Put(s []T) { p.kept.Put(&s) }
