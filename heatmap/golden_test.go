package heatmap

// lcg returns n integers in [0,255] that the golden scripts make as well.
func lcg(n int, seed uint32) []float64 {
	values := make([]float64, n)
	for i := range values {
		seed = 1664525*seed + 1013904223
		values[i] = float64(seed >> 24)
	}
	return values
}
