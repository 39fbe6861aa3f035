package corrupt

import (
	"math"
	"math/rand/v2"
)

// noise adds to field [h,w] smooth noise: normal numbers on a grid of cells by
// cells, with cubic interpolation between them (Keys 1981, a = -1/2), times scale.
func noise(rng *rand.Rand, field []float32, h, w, cells int, scale float32) {
	cells = max(cells, 2)
	grid := make([]float32, cells*cells)
	for i := range grid {
		grid[i] = scale * float32(rng.NormFloat64())
	}
	across, down := taps(cells, w), taps(cells, h)
	rows := make([]float32, cells*w)
	for y := range cells {
		line := grid[y*cells : (y+1)*cells]
		for x, t := range across {
			rows[y*w+x] = float32(t.weight[0]*line[t.at[0]]) + float32(t.weight[1]*line[t.at[1]]) + float32(t.weight[2]*line[t.at[2]]) + float32(t.weight[3]*line[t.at[3]])
		}
	}
	for y, t := range down {
		a, b, c, d := rows[t.at[0]*w:][:w], rows[t.at[1]*w:][:w], rows[t.at[2]*w:][:w], rows[t.at[3]*w:][:w]
		out := field[y*w:][:w]
		for x := range out {
			out[x] += float32(t.weight[0]*a[x]) + float32(t.weight[1]*b[x]) + float32(t.weight[2]*c[x]) + float32(t.weight[3]*d[x])
		}
	}
}

// A tap is where one of the results of an interpolation comes from.
type tap struct {
	at     [4]int
	weight [4]float32
}

// taps interpolates n numbers to size places, half-sample centred, the ends continued.
func taps(n, size int) []tap {
	ts := make([]tap, size)
	for i := range ts {
		x := (float64(i)+.5)*float64(n)/float64(size) - .5
		first := math.Floor(x)
		f := x - first
		for k := range 4 {
			ts[i].at[k] = min(max(int(first)+k-1, 0), n-1)
			ts[i].weight[k] = float32(cubic(f - float64(k-1)))
		}
	}
	return ts
}

// cubic is Keys' kernel with a = -1/2.
func cubic(x float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-.5*x+2.5)*x-4)*x + 2
	}
	return 0
}

// octave returns a whole number between lo and hi, uniform in its logarithm.
func octave(rng *rand.Rand, lo, hi float64) int {
	return int(math.Exp2(math.Log2(lo) + rng.Float64()*(math.Log2(hi)-math.Log2(lo))))
}

// quantile returns about the q-quantile of xs, in 1024 steps of their range.
func quantile(xs []float32, q float64) float32 {
	const steps = 1024
	lo, hi := xs[0], xs[0]
	for _, x := range xs {
		lo, hi = min(lo, x), max(hi, x)
	}
	if !(hi > lo) {
		return hi
	}
	var count [steps]int
	to := (steps - 1) / (hi - lo)
	for _, x := range xs {
		count[int((x-lo)*to)]++
	}
	want := int(q * float64(len(xs)))
	for i, n := range count {
		if want -= n; want < 0 {
			return lo + float32(i)/to
		}
	}
	return hi
}

// uniform returns a number in [lo,hi).
func uniform(rng *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*rng.Float64() }
