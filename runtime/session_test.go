package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// testProviders are those that tests run on.
var testProviders = []Provider{Go, CPU}

// needProvider skips the test where the provider cannot be used.
func needProvider(t testing.TB, provider Provider) {
	t.Helper()
	if provider == Go {
		return
	}
	if _, _, _, err := engine.LoadLibrary("", provider.row()); err != nil {
		t.Skipf("provider %s: %v", provider, err)
	}
}

// each runs a test on each provider.
func each(t *testing.T, test func(t *testing.T, provider Provider)) {
	for _, p := range testProviders {
		t.Run(string(p), func(t *testing.T) {
			needProvider(t, p)
			test(t, p)
		})
	}
}

func marshal(t testing.TB, g *graph.Graph, weights map[string]*graph.Tensor) []byte {
	t.Helper()
	b, err := onnxexport.Marshal(&onnxexport.Model{Graph: g, Weights: weights, Metadata: map[string]string{"anomaly.note": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openTest(t testing.TB, model []byte, o *SessionOptions, outputs ...string) *Session {
	t.Helper()
	s, err := OpenSession(model, o, outputs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// affine is a model of two outputs: y = a·x+b with a an input, and z = -x.
func affine(t testing.TB) []byte {
	g := graph.New("affine")
	x := g.Input("x", graph.Float32, graph.Dynamic, 2)
	a := g.Input("a", graph.Float32, 2)
	b := g.Param("b", 2)
	g.Output("y", graph.Add(graph.Mul(x, a), b))
	g.Output("z", graph.Neg(x))
	return marshal(t, g, map[string]*graph.Tensor{"b": vector(10, 20)})
}

func vector(v ...float32) *graph.Tensor { return graph.NewTensor(v, len(v)) }

func random(seed uint64, shape ...int) *graph.Tensor {
	rng := rand.New(rand.NewPCG(seed, 0))
	t := graph.Zeros(graph.Float32, shape...)
	d := graph.Data[float32](t)
	for i := range d {
		d[i] = rng.Float32()
	}
	return t
}

func wantData[T graph.Elem](t *testing.T, got *graph.Tensor, shape []int, want ...T) {
	t.Helper()
	if got == nil || got.DType() != graph.DTypeOf[T]() || !slices.Equal(got.Shape(), shape) || !slices.Equal(graph.Data[T](got), want) {
		t.Fatalf("got %+v, want %v %v", got, shape, want)
	}
}

func TestSession(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		s := openTest(t, affine(t), &SessionOptions{Provider: provider})
		if got, want := fmt.Sprint(s.Provider(), s.Inputs(), s.Outputs(), s.Metadata()),
			fmt.Sprint(provider, `["x" float32[N,2] "a" float32[2]] ["y" float32[N,2] "z" float32[N,2]] map[anomaly.note:test]`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		a := vector(2, 3)
		for _, n := range []int{1, 3, 2, 1, 4, 5, 6, 3} { // one size after another and again
			x := graph.Zeros(graph.Float32, n, 2)
			y, z := make([]float32, 2*n), make([]float32, 2*n)
			for i := range 2 * n {
				v := float32(i + n)
				graph.Data[float32](x)[i] = v
				y[i], z[i] = v*float32(2+i%2)+float32(10+10*(i%2)), -v
			}
			in := map[string]*graph.Tensor{"x": x, "a": a}
			out, err := s.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out) != 2 {
				t.Fatalf("got %d outputs, want 2", len(out))
			}
			wantData(t, out["y"], []int{n, 2}, y...)
			wantData(t, out["z"], []int{n, 2}, z...)

			one, err := s.Run(t.Context(), in, "z")
			if err != nil {
				t.Fatal(err)
			}
			if len(one) != 1 {
				t.Fatalf("got %d outputs, want 1", len(one))
			}
			graph.Data[float32](x)[0] = 99 // results are no views of inputs
			wantData(t, one["z"], []int{n, 2}, z...)
			wantData(t, out["z"], []int{n, 2}, z...)
			graph.Data[float32](x)[0] = float32(n)

			into := map[string]*graph.Tensor{"y": random(1, n, 2)}
			for range 2 {
				if err := s.RunInto(t.Context(), in, into); err != nil {
					t.Fatal(err)
				}
				wantData(t, into["y"], []int{n, 2}, y...)
			}
		}
	})
}

func TestSessionTypes(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		g := graph.New("types")
		x := g.Input("x", graph.Uint8, graph.Dynamic)
		s := g.Input("s", graph.Float32)
		for _, d := range []graph.DType{graph.Float32, graph.Float64, graph.Int32, graph.Int64, graph.Bool} {
			g.Output(d.String(), graph.Cast(x, d))
		}
		g.Output("uint8", graph.Cast(graph.Mul(graph.Cast(x, graph.Float32), s), graph.Uint8))
		g.Output("scalar", graph.Neg(s))
		ses := openTest(t, marshal(t, g, nil), &SessionOptions{Provider: provider})
		in := map[string]*graph.Tensor{"x": graph.NewTensor([]uint8{0, 1, 7}, 3), "s": graph.NewTensor([]float32{2})}
		for range 2 {
			out, err := ses.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, out["float32"], []int{3}, []float32{0, 1, 7}...)
			wantData(t, out["float64"], []int{3}, []float64{0, 1, 7}...)
			wantData(t, out["int32"], []int{3}, []int32{0, 1, 7}...)
			wantData(t, out["int64"], []int{3}, []int64{0, 1, 7}...)
			wantData(t, out["bool"], []int{3}, false, true, true)
			wantData(t, out["uint8"], []int{3}, []uint8{0, 2, 14}...)
			wantData(t, out["scalar"], []int{}, float32(-2))
		}
		out, err := ses.Run(t.Context(), map[string]*graph.Tensor{"x": graph.NewTensor([]uint8{}, 0), "s": in["s"]}, "float32")
		if err != nil {
			t.Fatal(err)
		}
		wantData[float32](t, out["float32"], []int{0})
	})
}

func TestSessionDefaultOutputs(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		s := openTest(t, affine(t), &SessionOptions{Provider: provider}, "z")
		in := map[string]*graph.Tensor{"x": graph.NewTensor([]float32{1, 2}, 1, 2), "a": vector(0, 0)}
		out, err := s.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != 1 {
			t.Fatalf("got %d outputs, want 1", len(out))
		}
		wantData(t, out["z"], []int{1, 2}, []float32{-1, -2}...)
	})
}

// More lists of outputs than are kept, in turns.
func TestSessionManyLists(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		g := graph.New("many")
		x := g.Input("x", graph.Float32, 1)
		for i := range 6 {
			g.Output(fmt.Sprint(i), graph.Add(x, g.Scalar(float64(i))))
		}
		s := openTest(t, marshal(t, g, nil), &SessionOptions{Provider: provider})
		for i := range 20 {
			name := fmt.Sprint(i * 5 % 6)
			out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": vector(0)}, name)
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, out[name], []int{1}, float32(i*5%6))
		}
	})
}

func network(t testing.TB, spec models.Spec) models.Network {
	t.Helper()
	net, err := models.Open(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// detectorModel is the bytes of a detector with untrained weights.
func detectorModel(t testing.TB, spec models.Spec, o *onnxexport.Options) []byte {
	t.Helper()
	net := network(t, spec)
	m, err := onnxexport.Build(net, net.Init(1), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func maxDiff(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.
	for i := range a {
		if d := math.Abs(float64(a[i]) - float64(b[i])); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

func TestSessionInputErrors(t *testing.T) {
	x, a := random(1, 3, 2), vector(1, 2)
	tests := []struct {
		name    string
		in      map[string]*graph.Tensor
		outputs []string
		want    string
	}{
		{"missing", map[string]*graph.Tensor{"x": x}, nil, `runtime: input "a": missing, want float32[2]`},
		{"unknown", map[string]*graph.Tensor{"x": x, "a": a, "q": a}, nil, `runtime: input "q": the model has "x" float32[N,2], "a" float32[2]`},
		{"dtype", map[string]*graph.Tensor{"x": graph.Zeros(graph.Uint8, 3, 2), "a": a}, nil, `runtime: input "x": got uint8[3,2], want float32[N,2]`},
		{"shape", map[string]*graph.Tensor{"x": random(1, 3, 3), "a": a}, nil, `runtime: input "x": got float32[3,3], want float32[N,2]`},
		{"rank", map[string]*graph.Tensor{"x": a, "a": a}, nil, `runtime: input "x": got float32[2], want float32[N,2]`},
		{"output", map[string]*graph.Tensor{"x": x, "a": a}, []string{"w"}, `runtime: input: output "w" is asked for, the model has "y" float32[N,2], "z" float32[N,2]`},
		{"twice", map[string]*graph.Tensor{"x": x, "a": a}, []string{"y", "y"}, `runtime: input: output "y" is asked for twice`},
	}
	each(t, func(t *testing.T, provider Provider) {
		s := openTest(t, affine(t), &SessionOptions{Provider: provider})
		for _, tt := range tests {
			_, err := s.Run(t.Context(), tt.in, tt.outputs...)
			if !errors.Is(err, ErrInput) || err.Error() != tt.want {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
			}
		}
		in := map[string]*graph.Tensor{"x": x, "a": a}
		for name, out := range map[string]map[string]*graph.Tensor{
			"none":    nil,
			"unknown": {"w": a},
			"nil":     {"y": nil},
			"shape":   {"y": random(1, 4, 2)}, // the batch is 3
			"dtype":   {"y": graph.Zeros(graph.Float64, 3, 2)},
		} {
			if err := s.RunInto(t.Context(), in, out); !errors.Is(err, ErrInput) {
				t.Errorf("RunInto %s: got %v, want ErrInput", name, err)
			}
		}
	})
}

// NaN goes through as NaN: it is no error, and not lost.
func TestSessionNaN(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		s := openTest(t, affine(t), &SessionOptions{Provider: provider})
		nan := float32(math.NaN())
		out, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": graph.NewTensor([]float32{nan, 1}, 1, 2), "a": vector(1, 1)}, "y")
		if err != nil {
			t.Fatal(err)
		}
		if y := graph.Data[float32](out["y"]); y[0] == y[0] || y[1] != 21 {
			t.Errorf("got %v, want [NaN 21]", y)
		}
	})
}

func TestOpenSessionErrors(t *testing.T) {
	good := affine(t)
	foreign := graph.New("foreign")
	x := foreign.Input("x", graph.Float32, 1)
	foreign.Output("y", foreign.ForeignOp("example.com", "Secret", nil, []graph.Type{{DType: graph.Float32, Shape: []int{1}}}, x)[0])
	tests := []struct {
		name    string
		model   []byte
		threads int
		output  []string
		want    error
	}{
		{"empty", nil, 0, nil, ErrModel},
		{"text", []byte("this is no model, but long enough to be one"), 0, nil, ErrModel},
		{"truncated", good[:len(good)/2], 0, nil, ErrModel},
		{"last byte", good[:len(good)-1], 0, nil, ErrModel},
		{"unknown operator", marshal(t, foreign, nil), 0, nil, ErrModel},
		{"output", good, 0, []string{"w"}, ErrInput},
		{"threads", good, -1, nil, ErrInput},
	}
	each(t, func(t *testing.T, provider Provider) {
		for _, tt := range tests {
			s, err := OpenSession(tt.model, &SessionOptions{Provider: provider, Threads: tt.threads}, tt.output...)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if s != nil {
				t.Errorf("%s: got a session", tt.name)
				s.Close()
			}
		}
	})
}

// slow is a model of many operators, which take some tenths of a second together.
func slow(t testing.TB) ([]byte, map[string]*graph.Tensor) {
	g := graph.New("slow")
	x := g.Input("x", graph.Float32, 1, 16, 64, 64)
	w := g.Param("w", 16, 16, 3, 3)
	y := x
	for range 1500 {
		y = graph.Sigmoid(graph.Conv(y, w, nil, graph.Same(3)))
	}
	g.Output("y", y)
	return marshal(t, g, map[string]*graph.Tensor{"w": random(2, 16, 16, 3, 3)}), map[string]*graph.Tensor{"x": random(3, 1, 16, 64, 64)}
}

// A Run in flight ends with its context, before it has a result, and leaves the
// session as good as it was.
func TestSessionCancel(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		model, in := slow(t)
		s := openTest(t, model, &SessionOptions{Provider: provider, Threads: 1})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Millisecond, cancel)
		if _, err := s.Run(ctx, in); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if _, err := s.Run(ctx, in); !errors.Is(err, context.Canceled) {
			t.Errorf("ended before: got %v, want %v", err, context.Canceled)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		if _, err := s.Run(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if provider == CPU && !testing.Short() { // Go would take too long
			if _, err := s.Run(t.Context(), in); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		}
	})
}

// A Run that waits for its turn gives up when its context ends.
func TestSessionCancelWaiting(t *testing.T) {
	s := openTest(t, affine(t), &SessionOptions{Provider: Go})
	s.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, map[string]*graph.Tensor{"x": random(1, 1, 2), "a": vector(1, 2)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	s.release()
}

// Close waits for runs in flight: each of them succeeds or finds the session closed.
func TestSessionCloseDuringRun(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		for range 5 {
			s, err := OpenSession(affine(t), &SessionOptions{Provider: provider})
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]*graph.Tensor{"x": random(1, 100, 2), "a": vector(1, 2)}
			var wg sync.WaitGroup
			started := make(chan struct{}, 4)
			for range 4 {
				wg.Go(func() {
					for i := 0; ; i++ {
						_, err := s.Run(t.Context(), in)
						if i == 0 {
							started <- struct{}{}
						}
						if errors.Is(err, ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for range 4 {
				<-started
			}
			for range 2 {
				wg.Go(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if _, err := s.Run(t.Context(), in); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want %v", err, ErrClosed)
			}
		}
	})
}

// Sessions of one library may be open side by side and closed in any order.
func TestSessionsSideBySide(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		in := map[string]*graph.Tensor{"x": graph.NewTensor([]float32{1, 2}, 1, 2), "a": vector(3, 4)}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					s, err := OpenSession(affine(t), &SessionOptions{Provider: provider, Threads: 1})
					if err != nil {
						t.Error(err)
						return
					}
					out, err := s.Run(t.Context(), in, "y")
					if err != nil {
						t.Error(err)
					} else if y := graph.Data[float32](out["y"]); !slices.Equal(y, []float32{13, 28}) {
						t.Errorf("got %v, want [13 28]", y)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// Workers of one session run side by side, each by itself, and are closed in any
// order; what the model holds is there until the last is.
func TestWorker(t *testing.T) {
	each(t, func(t *testing.T, provider Provider) {
		s, err := OpenSession(affine(t), &SessionOptions{Provider: provider, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		workers := []*Session{s}
		for range 3 {
			w, err := s.Worker()
			if err != nil {
				t.Fatal(err)
			}
			workers = append(workers, w)
		}
		var wg sync.WaitGroup
		for i, w := range workers {
			wg.Go(func() {
				for n := range 20 {
					x := graph.Zeros(graph.Float32, 1+n%6, 2) // more shapes than are kept
					outputs := [][]string{{"y"}, {"z"}, nil}[n%3]
					out, err := w.Run(t.Context(), map[string]*graph.Tensor{"x": x, "a": vector(1, float32(i))}, outputs...)
					if err != nil {
						t.Error(err)
						return
					}
					if y := out["y"]; y != nil && (y.Shape()[0] != x.Shape()[0] || graph.Data[float32](y)[1] != 20) {
						t.Errorf("got %v %v", y.Shape(), y.Raw())
					}
				}
			})
		}
		wg.Wait()
		for i, w := range workers {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if _, err := w.Worker(); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: got %v, want ErrClosed", err)
			}
			if i+1 == len(workers) {
				break
			}
			if _, err := workers[i+1].Run(t.Context(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, 2), "a": vector(1, 1)}); err != nil {
				t.Errorf("after %d are closed: %v", i+1, err)
			}
		}
	})
}

// The weights of a model are in memory once, whatever the number of workers.
func TestWorkersShareWeights(t *testing.T) {
	const side = 1 << 10 // 4 MiB of weights
	g := graph.New("heavy")
	x := g.Input("x", graph.Float32, 1, side)
	g.Output("y", graph.MatMul(x, g.Param("w", side, side)))
	b := marshal(t, g, map[string]*graph.Tensor{"w": graph.Zeros(graph.Float32, side, side)})
	run := func(s *Session) {
		if _, err := s.Run(t.Context(), map[string]*graph.Tensor{"x": graph.Zeros(graph.Float32, 1, side)}); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := openTest(t, b, &SessionOptions{Provider: Go, Threads: 1})
	run(s)
	before := heap()
	var workers []*Session
	for range 4 {
		w, err := s.Worker()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		run(w)
		workers = append(workers, w)
	}
	if after := heap(); after > before+side*side*4/2 {
		t.Errorf("%d workers took %d bytes, the weights alone are %d", len(workers), after-before, side*side*4)
	}
}
