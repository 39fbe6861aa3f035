package mirror

import "testing"

func TestIndex(t *testing.T) {
	const n = 3
	want := []int{0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1} // of -7 to 7
	for i := -7; i <= 7; i++ {
		if got := Index(i, n); got != want[i+7] {
			t.Errorf("%d: got %d, want %d", i, got, want[i+7])
		}
		if got := Index(i, 1); got != 0 {
			t.Errorf("%d of one: got %d, want 0", i, got)
		}
	}
}
