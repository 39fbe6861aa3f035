package label

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// parse reads rows of '.', for background, and anything else.
func parse(rows ...string) (mask []bool, height, width int) {
	for _, c := range strings.Join(rows, "") {
		mask = append(mask, c != '.')
	}
	return mask, len(rows), len(rows[0])
}

func TestComponents(t *testing.T) {
	tests := map[string]struct {
		rows []string // the expected labels as digits, '.' for background
		n    int
	}{
		"empty":           {[]string{"...", "..."}, 0},
		"full":            {[]string{"111", "111"}, 1},
		"diagonal joins":  {[]string{"1..", ".1.", "..1"}, 1},
		"other diagonal":  {[]string{"..1", ".1.", "1.."}, 1},
		"gap of one":      {[]string{"1.2", "1.2"}, 2},
		"no wrap at edge": {[]string{"..1", "2..", "2.."}, 2},
		"U joined below":  {[]string{"1.1.2", "1.1.2", "111.2"}, 2},
		"W joined late":   {[]string{"1.1.1", "1.1.1", ".1.1.", "....."}, 1},
		"spiral": {[]string{
			"1111111",
			"......1",
			"11111.1",
			"1...1.1",
			"1.111.1",
			"1.....1",
			"1111111"}, 1},
		"raster order": {[]string{"...1", "2...", "...3"}, 3},
		"one row":      {[]string{"1.22.3"}, 3},
		"one column":   {[]string{"1", ".", "2"}, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			mask, h, w := parse(tc.rows...)
			labels, n := Components(mask, h, w)
			var got strings.Builder
			for _, k := range labels {
				if k == 0 {
					got.WriteByte('.')
				} else {
					fmt.Fprint(&got, k)
				}
			}
			if want := strings.Join(tc.rows, ""); got.String() != want || n != tc.n {
				t.Errorf("got %s (%d), want %s (%d)", got.String(), n, want, tc.n)
			}
		})
	}
}

// TestComponentsEqualFloodFill compares with the obvious algorithm on noise of
// every density.
func TestComponentsEqualFloodFill(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 300 {
		h, w := 1+rng.IntN(20), 1+rng.IntN(20)
		mask := make([]bool, h*w)
		density := rng.Float64()
		for i := range mask {
			mask[i] = rng.Float64() < density
		}
		want, wantN := floodFill(mask, h, w)
		got, n := Components(mask, h, w)
		if n != wantN || !slices.Equal(got, want) {
			t.Fatalf("trial %d, %dx%d: got %d components %v, want %d %v", trial, h, w, n, got, wantN, want)
		}
	}
}

func floodFill(mask []bool, h, w int) (labels []int32, n int) {
	labels = make([]int32, h*w)
	var fill func(y, x int)
	fill = func(y, x int) {
		if y < 0 || y >= h || x < 0 || x >= w || !mask[y*w+x] || labels[y*w+x] != 0 {
			return
		}
		labels[y*w+x] = int32(n)
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				fill(y+dy, x+dx)
			}
		}
	}
	for y := range h {
		for x := range w {
			if mask[y*w+x] && labels[y*w+x] == 0 {
				n++
				fill(y, x)
			}
		}
	}
	return labels, n
}

func BenchmarkComponents(b *testing.B) {
	const side = 900
	rng := rand.New(rand.NewPCG(1, 2))
	mask := make([]bool, side*side)
	for i := range mask {
		mask[i] = rng.IntN(2) == 0
	}
	for b.Loop() {
		Components(mask, side, side)
	}
}
