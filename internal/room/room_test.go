package room

import "testing"

func TestOf(t *testing.T) {
	s := []int{1, 2, 3}
	if got := Of(s[:0], 2); len(got) != 2 || &got[0] != &s[0] {
		t.Errorf("got %v, want the first two of %v", got, s)
	}
	if got := Of(s, 4); len(got) != 4 {
		t.Errorf("got %d elements, want 4", len(got))
	}
	if got := Of[int](nil, 0); len(got) != 0 {
		t.Errorf("got %d elements, want none", len(got))
	}
}

func TestPool(t *testing.T) {
	var p Pool[byte]
	for _, n := range []int{3, 0, 70, 9} {
		s := p.Get(n)
		if len(s) != n {
			t.Errorf("got %d elements, want %d", len(s), n)
		}
		p.Put(s)
	}
}
