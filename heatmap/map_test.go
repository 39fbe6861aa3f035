package heatmap

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// mapTol: float32 roundings of values up to 255; Pillow rounds once more,
// between columns and rows.
const mapTol = 3e-5

func maxDifference(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var worst float64
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

func TestMapGolden(t *testing.T) {
	var golden struct {
		Map    []float32
		Resize []struct {
			Height, Width int
			Data          []float32
		}
		Blur []struct {
			Sigma float64
			Data  []float32
		}
	}
	testenv.Golden(t, "map_golden.py", "map.json", &golden)
	m := &Map{Data: golden.Map, Height: 7, Width: 5}
	for _, want := range golden.Resize {
		got := m.Resize(want.Height, want.Width)
		if d := maxDifference(got.Data, want.Data); !(d <= mapTol) || got.Height != want.Height || got.Width != want.Width {
			t.Errorf("Resize(%d, %d): got a %dx%d map, off by up to %v", want.Height, want.Width, got.Height, got.Width, d)
		}
	}
	for _, want := range golden.Blur {
		if d := maxDifference(m.Blur(want.Sigma).Data, want.Data); !(d <= mapTol) {
			t.Errorf("Blur(%v): off by up to %v", want.Sigma, d)
		}
	}
}

func TestResizeProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := NewMap(6, 9)
	for i := range m.Data {
		m.Data[i] = rng.Float32()
	}
	if same := m.Resize(6, 9); !slices.Equal(same.Data, m.Data) || &same.Data[0] == &m.Data[0] {
		t.Error("the same size is not a copy")
	}
	if small := m.Resize(2, 3); small.Max() >= m.Max() {
		t.Errorf("shrunk: got maximum %v, want it below %v", small.Max(), m.Max())
	}
	if large := m.Resize(60, 91); large.Max() > m.Max() {
		t.Errorf("enlarged: got maximum %v, want at most %v", large.Max(), m.Max())
	}
	flat := NewMap(4, 4)
	for i := range flat.Data {
		flat.Data[i] = .5
	}
	for _, v := range flat.Resize(7, 3).Data {
		if v != .5 {
			t.Errorf("flat map: got %v, want 0.5", v)
		}
	}
	for _, empty := range []*Map{NewMap(0, 3).Resize(2, 2), m.Resize(0, 5), m.Resize(-1, 5), NewMap(-1, 2)} {
		if len(empty.Data) != empty.Height*empty.Width || empty.Max() != 0 {
			t.Errorf("from or to nothing: got %+v", empty)
		}
	}
}

func TestMax(t *testing.T) {
	nan := float32(math.NaN())
	tests := map[string]struct {
		data []float32
		want float32
	}{
		"highest":  {[]float32{1, 3, 2}, 3},
		"negative": {[]float32{-2, -1}, -1},
		"empty":    {nil, 0},
		"NaN":      {[]float32{1, nan, 2}, nan},
	}
	for name, tc := range tests {
		got := (&Map{Data: tc.data, Height: 1, Width: len(tc.data)}).Max()
		if got != tc.want && !(got != got && tc.want != tc.want) {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestBlurKeepsSigmaZero(t *testing.T) {
	m := &Map{Data: []float32{1, 2, 3, 4}, Height: 2, Width: 2}
	for _, sigma := range []float64{0, -1} {
		if got := m.Blur(sigma); !slices.Equal(got.Data, m.Data) {
			t.Errorf("sigma %v: got %v, want %v", sigma, got.Data, m.Data)
		}
	}
}

func TestThreshold(t *testing.T) {
	m := &Map{Data: []float32{.4, .5, .6, float32(math.NaN())}, Height: 2, Width: 2}
	mask := m.Threshold(.5)
	if want := []bool{false, false, true, false}; !slices.Equal(mask.Data, want) || mask.Height != 2 || mask.Width != 2 {
		t.Errorf("got %+v, want %v", mask, want)
	}
	if got, want := mask.Image().Pix, []uint8{0, 0, 255, 0}; !slices.Equal(got, want) {
		t.Errorf("image: got %v, want %v", got, want)
	}
}

// TestMaskKeepsDetections: one residual just above the threshold sets a pixel
// at any size, though interpolation lowers it below.
func TestMaskKeepsDetections(t *testing.T) {
	for i := range 6 * 5 {
		m := NewMap(6, 5)
		m.Data[i] = .501
		for _, size := range [][2]int{{6, 5}, {12, 10}, {3, 2}, {1, 1}, {100, 77}} {
			mask := m.Mask(.5, size[0], size[1])
			if len(mask.Data) != size[0]*size[1] || !slices.Contains(mask.Data, true) {
				t.Errorf("residual %d at %v: lost", i, size)
			}
		}
	}
	m := NewMap(6, 5)
	if mask := m.Mask(.5, 12, 10); slices.Contains(mask.Data, true) {
		t.Error("nothing above the threshold: got a pixel set")
	}
	if mask := m.Mask(.5, 0, 4); len(mask.Data) != 0 {
		t.Errorf("no rows: got %+v", mask)
	}
}

// TestMaskIsSmooth: a square enlarged sixteenfold has its corners rounded, which
// a mask resized as such has not.
func TestMaskIsSmooth(t *testing.T) {
	m := NewMap(8, 8)
	for y := 2; y < 6; y++ {
		for x := 2; x < 6; x++ {
			m.Data[y*8+x] = 1
		}
	}
	mask := m.Mask(.5, 128, 128)
	if !mask.Data[64*128+32] || !mask.Data[32*128+64] {
		t.Error("the middle of the square's edges is not set")
	}
	if mask.Data[32*128+32] {
		t.Error("the square's corner is set")
	}
}

func TestAround(t *testing.T) {
	mask := &Mask{Data: make([]bool, 25), Height: 5, Width: 5}
	mask.Data[0], mask.Data[3*5+3] = true, true
	const rows = "" +
		".#..." +
		"##..." +
		"..###" +
		"..#.#" +
		"..###"
	got := []byte(".........................")
	mask.around(1, func(x, y int) { got[5*y+x] = '#' })
	if string(got) != rows {
		t.Errorf("got %s, want %s", got, rows)
	}
}
