package conformance

import (
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

func TestCompare(t *testing.T) {
	floats := func(v ...float32) *graph.Tensor { return graph.NewTensor(v, len(v)) }
	bools := func(v ...bool) *graph.Tensor { return graph.NewTensor(v, len(v)) }
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name      string
		got, want *graph.Tensor
		tol       tolerance
		diff      difference
		tolerated bool
	}{
		{"equal", floats(1, 2), floats(1, 2), exact, difference{}, true},
		{"absolute", floats(1, 2.5), floats(1, 2), tolerance{abs: .5}, difference{Max: .5}, true},
		{"beyond", floats(1, 2.5), floats(1, 2), tolerance{abs: .25}, difference{Max: .5}, false},
		{"relative", floats(-80), floats(-100), tolerance{rel: .25}, difference{Max: 20}, true},
		{"NaN wanted", floats(nan, inf), floats(nan, inf), exact, difference{}, true},
		{"NaN", floats(nan), floats(1), tolerance{abs: 10}, difference{Max: math.Inf(1)}, false},
		{"not NaN", floats(1), floats(nan), tolerance{abs: 10}, difference{Max: math.Inf(1)}, false},
		{"infinite", floats(1), floats(-inf), tolerance{rel: 1}, difference{Max: math.Inf(1)}, false},
		{"booleans", bools(true, false, true), bools(true, true, false), exact, difference{Max: 2, Of: 3}, false},
		{"shape", floats(1), floats(1, 1), tolerance{abs: 10}, difference{}, false},
		{"type", floats(1), bools(true), tolerance{abs: 10}, difference{}, false},
	}
	for _, tt := range tests {
		diff, err := compare(tt.got, tt.want, tt.tol)
		if diff != tt.diff || (err == nil) != tt.tolerated {
			t.Errorf("%s: got %v, %v, want %v, tolerated: %t", tt.name, diff, err, tt.diff, tt.tolerated)
		}
	}
}

// A label may differ where its value is at the threshold, and nowhere else.
func TestCompareLabels(t *testing.T) {
	c := modelTest{tol: tolerance{abs: .01}, labels: []label{{"label", "score", .5}}}
	golden := map[string]*graph.Tensor{
		"score": graph.NewTensor([]float32{.495, .6}, 2), "label": graph.NewTensor([]bool{false, true}, 2),
	}
	for _, tt := range []struct {
		got       []bool
		differ    float64
		tolerated bool
	}{{[]bool{false, true}, 0, true}, {[]bool{true, true}, 1, true}, {[]bool{false, false}, 0, false}} {
		d, err := c.compare("label", graph.NewTensor(tt.got, 2), golden, c.tol)
		if d.Max != tt.differ || (err == nil) != tt.tolerated {
			t.Errorf("%v: got %v, %v, want %v differ, tolerated: %t", tt.got, d, err, tt.differ, tt.tolerated)
		}
	}
}
