package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// winogradTol is relative to the largest result: sums of up to 172·9 products are made of
// products of sums, in float32, which loses twice what the sums themselves do.
const winogradTol = 5e-6

// TestWinograd holds convolutions that are computed by tiles, and their gradients, to
// what internal/ref computes: sizes and channels that fill neither tiles, blocks nor
// vectors, padding, bounds, pools, repeated pixels, batches.
func TestWinograd(t *testing.T) {
	for _, tt := range []struct {
		n, in, out, h, w int
		pads             [4]int
		bias             bool
		then             string
		steps            int // of package kernels that are Winograd's
	}{
		{1, 16, 32, 8, 8, [4]int{1, 1, 1, 1}, false, "", 3},
		{1, 33, 34, 20, 22, [4]int{1, 1, 1, 1}, true, "upsampled", 3},
		{1, 16, 16, 16, 16, [4]int{1, 1, 1, 1}, true, "relu", 3},
		{2, 19, 17, 17, 23, [4]int{1, 1, 1, 1}, true, "", 3},
		{3, 40, 33, 14, 15, [4]int{0, 1, 2, 0}, true, "clip", 3},
		{2, 17, 26, 19, 37, [4]int{2, 2, 2, 2}, false, "pool", 3},
		{1, 24, 50, 25, 130, [4]int{1, 1, 1, 1}, true, "relu pool", 3},
		{1, 130, 20, 13, 40, [4]int{1, 0, 0, 1}, true, "pool", 3},
		{1, 171, 172, 20, 20, [4]int{1, 1, 1, 1}, false, "", 3}, // more sums than one part keeps
		{1, 16, 18, 64, 70, [4]int{0, 0, 0, 0}, false, "relu", 3},
	} {
		for _, constant := range []bool{true, false} {
			name := fmt.Sprintf("%d×%d>%d %d×%d %v %s", tt.n, tt.in, tt.out, tt.h, tt.w, tt.pads, tt.then)
			rng := rand.New(rand.NewPCG(1, 2))
			feeds, weights := map[string]*graph.Tensor{}, map[string]*graph.Tensor{}
			random := func(into map[string]*graph.Tensor, name string, shape ...int) {
				into[name] = graph.NewTensor(noise(rng, graph.Elements(shape)), shape...)
			}
			random(feeds, "x", tt.n, tt.in, tt.h, tt.w)
			random(weights, "w", tt.out, tt.in, 3, 3)
			g := graph.New("winograd")
			x, w := g.Input("x", graph.Float32, tt.n, tt.in, tt.h, tt.w), g.Param("w", tt.out, tt.in, 3, 3)
			var b *graph.Value
			if tt.bias {
				random(weights, "b", tt.out)
				b = g.Param("b", tt.out)
			}
			shown := x
			if tt.then == "upsampled" {
				shown = graph.UpsampleNearest(x, 2, 2)
			}
			y := graph.Conv(shown, w, b, &graph.ConvOptions{Pads: tt.pads})
			switch tt.then {
			case "relu":
				y = graph.Relu(y)
			case "clip":
				y = graph.Clip(y, -6, 9)
			case "pool":
				y = graph.MaxPool(y, 2, 2, nil)
			case "relu pool":
				y = graph.MaxPool(graph.Relu(y), 2, 2, nil)
			}
			g.Output("y", y)
			if !constant {
				// The gradients of a sum of results that random numbers weigh.
				r := g.Input("r", graph.Float32, y.Shape...)
				random(feeds, "r", y.Shape...)
				grads, err := graph.Gradients(graph.ReduceSum(graph.Mul(y, r), false), []*graph.Value{x, w}, nil)
				if err != nil {
					t.Fatal(err)
				}
				g.Output("dx", grads[0])
				g.Output("dw", grads[1])
				for name, w := range weights {
					feeds[name] = w
				}
				weights = nil
			}
			all := map[string]*graph.Tensor{}
			for _, m := range []map[string]*graph.Tensor{feeds, weights} {
				for name, v := range m {
					all[name] = v
				}
			}
			want, err := ref.Eval[float32](t.Context(), g, all, g.Outputs()...)
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range append(instructionSets(), wide) {
				var first []*graph.Tensor
				for _, threads := range []int{1, 3} {
					p, err := Compile(g, weights, nil, &Options{Threads: threads, isa: set})
					if err != nil {
						t.Fatal(err)
					}
					steps := 0
					for _, s := range p.steps {
						switch s.(type) {
						case *winograd, *winogradGrad:
							steps++
						}
					}
					if want := map[bool]int{true: 1, false: tt.steps}[constant]; steps != want && set.transforms[0] != nil {
						t.Errorf("%s, %s: %d steps of Winograd's, want %d", set.name, name, steps, want)
					}
					s, out := p.NewState(), make([]*graph.Tensor, len(want))
					for range 2 {
						if err := s.Run(t.Context(), feeds, out); err != nil {
							t.Fatal(err)
						}
						for i, w := range want {
							largest := difference(w, graph.Zeros(graph.Float32, w.Shape()...))
							if d := furthest(out[i], w); !(d <= winogradTol*largest) {
								t.Errorf("%s, %s: %s differs by %g of %g", set.name, name, g.Outputs()[i].Name(), d, largest)
							}
						}
					}
					if first == nil {
						first = out
						continue
					}
					for i := range out {
						if furthest(out[i], first[i]) != 0 {
							t.Errorf("%s, %s: %s: another result of %d threads than of one", set.name, name, g.Outputs()[i].Name(), threads)
						}
					}
				}
			}
		}
	}
}

// wide is portable with vectors and tiles of the size of AVX-512's, so that plans for
// those are tested on every processor.
var wide = func() *isa {
	set := *portable
	set.name, set.lanes, set.rows, set.product = "wide", 16, 8, nil
	for r := range set.rows {
		var line [3]func(*byte)
		for v := range line {
			line[v] = func(p *byte) { portableProduct((*productArgs)(unsafe.Pointer(p)), r+1, 2*(v+1)) }
		}
		set.product = append(set.product, line)
	}
	for i, f := range portable.transforms {
		set.transforms[i] = func(p *byte) {
			a := *(*transformArgs)(unsafe.Pointer(p))
			a.vectors *= 2
			f((*byte)(unsafe.Pointer(&a)))
		}
	}
	return &set
}()

// furthest returns the largest difference of two tensors' elements.
func furthest(a, b *graph.Tensor) float64 {
	worst := 0.
	y := graph.Data[float32](b)
	for i, x := range graph.Data[float32](a) {
		d := float64(x - y[i])
		if d != d {
			return d
		}
		worst = max(worst, d, -d)
	}
	return worst
}
