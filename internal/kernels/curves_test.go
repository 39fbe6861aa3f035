package kernels

import (
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// Tolerances relative to the result, in float32's unit roundoff 2⁻²⁴: of the
// exponential function and what is made of it, and of what rounds once.
const (
	curveTol = 6.
	exactTol = 1.
)

// TestCurves holds functions of vectors to those of float64, over their range and at its ends.
func TestCurves(t *testing.T) {
	var xs []float32
	for i := -4000; i < 4000; i++ {
		x := float64(i) / 4000
		xs = append(xs, float32(x), float32(100*x), float32(1e-3*x))
	}
	inf := math.Inf(1)
	for _, x := range []float64{0, math.Copysign(0, -1), inf, -inf, math.NaN(), 88.7, -87.3, -103, 1e30, -1e30, math.SmallestNonzeroFloat32} {
		xs = append(xs, float32(x))
	}
	for len(xs)%chunk != 0 {
		xs = append(xs, 0)
	}
	tests := []struct {
		name string
		op   opcode
		want func(x float64) float64
		tol  float64
	}{
		{"exp", opExp, math.Exp, curveTol},
		{"sigmoid", opSigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, curveTol},
		{"tanh", opTanh, math.Tanh, curveTol},
		{"sqrt", opSqrt, math.Sqrt, exactTol},
		{"abs", opAbs, math.Abs, 0},
		{"neg", opNeg, func(x float64) float64 { return -x }, 0},
		{"relu", opRelu, func(x float64) float64 { return max(x, 0) }, 0},
	}
	eachISA(t, func(t *testing.T, set *isa) {
		y := make([]float32, len(xs))
		for _, tt := range tests {
			set.each[tt.op](&y[0], &xs[0], &xs[0], &xs[0], len(xs))
			for i, x := range xs {
				want := tt.want(float64(x))
				rounded := float64(float32(want))
				got := float64(y[i])
				if got == rounded || math.IsNaN(got) && math.IsNaN(rounded) || math.Abs(want) < 0x1p-126 && math.Abs(got) <= 0x1p-125 {
					continue // what is below the least normal number may be zero
				}
				if d := math.Abs(got-want) / math.Abs(want) * (1 << 24); !(d <= tt.tol) {
					t.Errorf("%s(%v): got %v, want %v, %.1f roundoffs apart", tt.name, x, got, want, d)
					break
				}
			}
		}
	})
}

// TestPairs: NaNs are what the extremes of numbers beside them are, on both sides.
func TestPairs(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a, b, c := make([]float32, chunk), make([]float32, chunk), make([]float32, chunk)
	values := []float32{nan, 1, -1, inf, -inf, 0, 2, nan}
	for i := range a {
		a[i], b[i], c[i] = values[i%8], values[(i*3+1)%8], float32(i%3)
	}
	ops := []opcode{opAdd, opSub, opMul, opDiv, opMax, opMin, opGreater, opGreaterOrEqual, opEqual, opWhere}
	eachISA(t, func(t *testing.T, set *isa) {
		got, want := make([]float32, chunk), make([]float32, chunk)
		for _, op := range ops {
			set.each[op](&got[0], &a[0], &b[0], &c[0], chunk)
			portable.each[op](&want[0], &a[0], &b[0], &c[0], chunk)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
					t.Errorf("opcode %d of %v, %v and %v: got %v, want %v", op, a[i], b[i], c[i], got[i], want[i])
				}
			}
		}
		for _, x := range [][]float32{a, b} {
			if top := set.highest(&x[0], chunk); top == top {
				t.Errorf("highest of %v: got %v, want NaN", x, top)
			}
		}
	})
}

// TestRound holds rounding, which is made of sums, to the function, ties and what has no
// fraction included.
func TestRound(t *testing.T) {
	eachISA(t, func(t *testing.T, set *isa) {
		var xs []float32
		for _, x := range []float64{0, .5, 1.5, 2.5, 1 << 21, 1 << 22, 1 << 23, 1 << 24, 1e30, math.Inf(1), math.NaN()} {
			for _, by := range []float32{-1.5, -1, -.5, -.25, 0, .25, .5, 1, 1.5} {
				f := float32(x) + by
				xs = append(xs, f, -f, math.Nextafter32(f, 0), -math.Nextafter32(f, float32(math.Inf(1))))
			}
		}
		g := graph.New("round")
		x := g.Input("x", graph.Float32, len(xs))
		g.Output("y", g.Op("Round", nil, x))
		g.Output("bounded", g.Op("Round", nil, graph.Clip(x, -300, 200)))
		want, bounded := make([]float32, len(xs)), make([]float32, len(xs))
		for i, x := range xs {
			want[i] = float32(math.RoundToEven(float64(x)))
			if bounded[i] = min(max(want[i], -300), 200); x != x {
				bounded[i] = x
			}
		}
		compare(t, "round", g, map[string]*graph.Tensor{"x": graph.NewTensor(xs, len(xs))}, nil, []*graph.Tensor{graph.NewTensor(want, len(want)), graph.NewTensor(bounded, len(bounded))}, &Options{isa: set}, 0)
	})
}
