package mirror

// Index reflects index i into [0,n), edges repeated, as often as it takes. Most
// indices are inside, which costs two comparisons.
func Index(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -1 - i
		} else {
			i = 2*n - 1 - i
		}
	}
	return i
}
