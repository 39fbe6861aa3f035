package heatmap

import "math"

// A Border says what lies outside an image that a window reaches beyond.
type Border int

const (
	Reflect Border = iota // d c b a | a b c d | d c b a, half-sample reflection: scipy's reflect
	Mirror                //   d c b | a b c d | c b a, whole-sample reflection: scipy's mirror, ONNX Pad's reflect
	Zero                  //   0 0 0 | a b c d | 0 0 0
)

// index returns which of n samples stands at position i, which may lie outside;
// -1 means a zero.
func (b Border) index(i, n int) int {
	if 0 <= i && i < n {
		return i
	}
	var period int
	switch {
	case b == Zero:
		return -1
	case b == Mirror && n == 1:
		return 0
	case b == Mirror:
		period = 2*n - 2
	default:
		period = 2 * n
	}
	i = ((i % period) + period) % period
	if i >= n {
		i = period - i
		if b == Reflect {
			i--
		}
	}
	return i
}

// gaussian returns 2*radius+1 taps that add up to 1.
func gaussian(radius int, sigma float64) []float64 {
	taps := make([]float64, 2*radius+1)
	var sum float64
	for i := range taps {
		taps[i] = 1
		if d := float64(i - radius); d != 0 {
			taps[i] = math.Exp(-d * d / (2 * sigma * sigma))
		}
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

// uniform returns n equal taps that add up to 1.
func uniform(n int) []float64 {
	taps := make([]float64, n)
	for i := range taps {
		taps[i] = 1 / float64(n)
	}
	return taps
}

// convolve filters src, row-major height*width, along columns and rows with an
// odd number of symmetric taps and returns the result at the same size.
func convolve(src []float64, height, width int, taps []float64, border Border) []float64 {
	radius := len(taps) / 2
	down := make([]float64, len(src))
	for y := range height {
		sum := down[y*width : (y+1)*width]
		for k, tap := range taps {
			from := border.index(y+k-radius, height)
			if from < 0 {
				continue
			}
			for x, v := range src[from*width : (from+1)*width] {
				sum[x] += tap * v
			}
		}
	}

	out := make([]float64, len(src))
	line := make([]float64, width+2*radius) // a row and what lies beside it
	for y := range height {
		row := down[y*width : (y+1)*width]
		for i := range line {
			line[i] = 0
			if from := border.index(i-radius, width); from >= 0 {
				line[i] = row[from]
			}
		}
		for x := range row {
			var sum float64
			for k, tap := range taps {
				sum += tap * line[x+k]
			}
			out[y*width+x] = sum
		}
	}
	return out
}
