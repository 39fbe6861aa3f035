package backbone

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// tolerance is what sums in another order leave of float32 numbers of about 1.
const tolerance = 2e-5

// drawn is a tensor of normal numbers.
func drawn(seed uint64, shape ...int) *graph.Tensor {
	rng := rand.New(rand.NewPCG(seed, 7))
	t := graph.Zeros(graph.Float32, shape...)
	fan := max(1, t.Len()/max(1, shape[0]))
	d := graph.Data[float32](t)
	for i := range d {
		d[i] = float32(rng.NormFloat64() / math.Sqrt(float64(fan)))
	}
	return t
}

// A network is a graph of one image under construction, its weights constants.
type network struct {
	g    *graph.Graph
	seed uint64
}

func (n *network) weight(shape ...int) *graph.Value {
	n.seed++
	return n.g.Const(fmt.Sprint("w", n.seed), drawn(n.seed, shape...))
}

func (n *network) conv(x *graph.Value, out, kernel, stride int) *graph.Value {
	p := (kernel - 1) / 2
	return graph.Conv(x, n.weight(out, x.Dim(1), kernel, kernel), n.weight(out), &graph.ConvOptions{Pads: [4]int{p, p, p, p}, Strides: [2]int{stride, stride}})
}

// named gives the value a name in the file.
func named(v *graph.Value, name string) *graph.Value {
	v.Node().Rename(name)
	return v
}

// residual is a network of four residual blocks, each of half the size of the one
// before, and a classifier's head.
func residual(x *graph.Value) *graph.Value {
	n := &network{g: x.Graph()}
	x = graph.Relu(n.conv(x, 4, 3, 2))
	for i, c := range []int{6, 8, 10, 12} {
		x = graph.Relu(n.conv(x, c, 3, 2))
		x = named(graph.Relu(graph.Add(x, n.conv(x, c, 3, 1))), fmt.Sprint("block", i))
	}
	x = graph.Reshape(graph.ReduceMean(x, true, 2, 3), 1, 12)
	return graph.Gemm(x, n.weight(12, 5), nil, nil)
}

// transformer has patches of 16 pixels, a token for the class, and attention over
// tokens that come first, as PyTorch's has it; shapes of one image are written in.
func transformer(x *graph.Value) *graph.Value {
	n := &network{g: x.Graph(), seed: 100}
	const d, heads = 12, 3
	x = graph.Conv(x, n.weight(d, 3, 16, 16), nil, &graph.ConvOptions{Strides: [2]int{16, 16}})
	patches := x.Dim(2) * x.Dim(3)
	tokens := patches + 1
	x = graph.Transpose(graph.Reshape(x, 1, d, patches), 0, 2, 1)
	x = graph.Add(graph.Concat(1, n.weight(1, 1, d), x), n.weight(1, tokens, d))
	y := graph.Reshape(graph.Transpose(x, 1, 0, 2), tokens, d) // [T·1,d]
	y = graph.Gemm(y, n.weight(3*d, d), n.weight(3*d), &graph.GemmOptions{TransB: true})
	y = graph.Transpose(graph.Reshape(y, tokens, 1, 3, d), 2, 0, 1, 3) // [3,T,1,d]
	var of [3]*graph.Value
	for i := range of {
		of[i] = graph.Reshape(graph.SliceAxis(y, 0, i, i+1, 1), tokens, heads, d/heads)
	}
	q, k, v := graph.Transpose(of[0], 1, 0, 2), graph.Transpose(of[1], 1, 2, 0), graph.Transpose(of[2], 1, 0, 2)
	y = graph.MatMul(graph.Softmax(graph.MatMul(q, k), -1), v) // [heads,T,d/heads]
	y = graph.Transpose(graph.Reshape(graph.Transpose(y, 1, 0, 2), tokens, 1, d), 1, 0, 2)
	x = named(graph.Add(x, y), "sum")
	mean := graph.ReduceMean(x, true, 2)
	x = named(graph.Sub(x, mean), "norm")
	return graph.Reshape(graph.SliceAxis(x, 1, 0, 1, 1), 1, d)
}

// write makes a file of a network of one image.
func write(t *testing.T, in *graph.Value, y *graph.Value, metadata map[string]string) string {
	t.Helper()
	g := in.Graph()
	g.Output("y", y)
	b, err := onnx.Marshal(&onnx.Model{Graph: g, Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func eval(t *testing.T, g *graph.Graph, feeds map[string]*graph.Tensor, want ...*graph.Value) []*graph.Tensor {
	t.Helper()
	out, err := ref.Eval[float32](context.Background(), g, feeds, want...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// image cuts image i of a batch.
func image(x *graph.Tensor, i int) *graph.Tensor {
	shape := slices.Clone(x.Shape())
	shape[0] = 1
	n := graph.Elements(shape)
	return graph.NewTensor(graph.Data[float32](x)[i*n:(i+1)*n], shape...)
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d numbers, want %d", what, len(got), len(want))
	}
	for i, v := range got {
		if d := math.Abs(float64(v - want[i])); !(d <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: got %v at %d, want %v", what, v, i, want[i])
		}
	}
}

// Features of three images together are those that the network of one image has of
// each, normalised; of images of other sizes too, where the network allows it.
func TestFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		net   func(*graph.Value) *graph.Value
		taps  []string
		free  bool // of the size
		grids [][3]int
	}{
		{"residual", residual, []string{"block0", "block1", "block2"}, true, [][3]int{{6, 16, 20}, {8, 8, 10}, {10, 4, 5}}},
		{"transformer", transformer, []string{"norm"}, false, [][3]int{{12, 4, 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := func(h, w int) (*graph.Graph, *graph.Value) {
				g := graph.New("net")
				in := g.Input("in", graph.Float32, 1, 3, h, w)
				return g, c.net(in)
			}
			g, y := build(64, 80)
			k, err := Open(write(t, g.Inputs()[0], y, nil), &Options{Mean: []float64{.5}, Std: []float64{.25, .5, 1}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(k.Taps, c.taps) || (k.Height == 0) != c.free || k.Step != 16 {
				t.Errorf("got taps %v, step %d, size %dx%d, want taps %v", k.Taps, k.Step, k.Height, k.Width, c.taps)
			}
			sizes := [][2]int{{64, 80}}
			if c.free {
				sizes = append(sizes, [2]int{96, 64})
			} else if _, _, err := k.For(96, 64); err == nil || !strings.Contains(err.Error(), "want 80x64") {
				t.Errorf("another size: got %v", err)
			}
			for _, s := range sizes {
				lifted, weights, err := k.For(s[0], s[1])
				if err != nil {
					t.Fatal(err)
				}
				x := drawn(5, 3, 3, s[0], s[1])
				feeds := map[string]*graph.Tensor{"x": x}
				for name, w := range weights {
					feeds[name] = w
				}
				got := eval(t, lifted, feeds, lifted.Outputs()...)
				one, _ := build(s[0], s[1])
				var taps []*graph.Value
				for _, name := range c.taps {
					taps = append(taps, one.Lookup(name))
				}
				for i := range 3 {
					normalised := slices.Clone(graph.Data[float32](image(x, i)))
					for j := range normalised {
						normalised[j] = (normalised[j] - .5) / []float32{.25, .5, 1}[j/(s[0]*s[1])]
					}
					want := eval(t, one, map[string]*graph.Tensor{"in": graph.NewTensor(normalised, 1, 3, s[0], s[1])}, taps...)
					for j := range taps {
						if grid := c.grids[j]; s == [2]int{64, 80} && !slices.Equal(got[j].Shape()[1:], grid[:]) {
							t.Fatalf("tap %d: got %v, want %v", j, got[j].Shape(), grid)
						}
						features := graph.Data[float32](want[j])
						if len(want[j].Shape()) == 3 { // tokens, the class's first
							p, d := want[j].Shape()[1]-1, want[j].Shape()[2]
							turned := make([]float32, p*d)
							for a := range p {
								for b := range d {
									turned[b*p+a] = features[(a+1)*d+b]
								}
							}
							features = turned
						}
						same(t, fmt.Sprint(s, " image ", i, " tap ", j), graph.Data[float32](image(got[j], i)), features)
					}
				}
			}
		})
	}
}

// Whatever an operator does to one image, it does to each of several.
func TestLift(t *testing.T) {
	shape := []int{1, 4, 6, 2}
	for name, f := range map[string]func(n *network, x *graph.Value) *graph.Value{
		"sum with a constant of the image's shape": func(n *network, x *graph.Value) *graph.Value { return graph.Add(x, n.weight(1, 4, 6, 2)) },
		"sum of higher rank":                       func(n *network, x *graph.Value) *graph.Value { return graph.Add(x, n.weight(3, 1, 4, 6, 2)) },
		"sum of two orders": func(n *network, x *graph.Value) *graph.Value {
			return graph.Add(graph.Transpose(x, 1, 0, 2, 3), graph.Reshape(x, 4, 1, 6, 2))
		},
		"windows": func(n *network, x *graph.Value) *graph.Value { // as Swin's
			y := graph.Reshape(graph.Transpose(graph.Reshape(x, 1, 2, 2, 6, 2), 0, 1, 3, 2, 4), 12, 2, 2)
			y = graph.Add(graph.MatMul(y, n.weight(2, 2)), n.weight(12, 1, 2))
			return graph.Reshape(y, 1, 4, 6, 2)
		},
		"convolution of several to an image": func(n *network, x *graph.Value) *graph.Value {
			return n.conv(graph.Reshape(x, 2, 4, 3, 2), 3, 3, 1)
		},
		"softmax over what a batch was": func(n *network, x *graph.Value) *graph.Value { return graph.Softmax(x, 0) },
		"softmax of tokens first":       func(n *network, x *graph.Value) *graph.Value { return graph.Softmax(graph.Reshape(x, 24, 2), 0) },
		"transposed":                    func(n *network, x *graph.Value) *graph.Value { return graph.Transpose(x, 3, 1, 0, 2) },
		"means":                         func(n *network, x *graph.Value) *graph.Value { return graph.ReduceMean(x, false, 0, -1) },
		"mean of all":                   func(n *network, x *graph.Value) *graph.Value { return graph.ReduceMean(x, true) },
		"slices":                        func(n *network, x *graph.Value) *graph.Value { return graph.SliceAxis(x, 2, -1, -4, -2) },
		"slice of the batch":            func(n *network, x *graph.Value) *graph.Value { return graph.SliceAxis(x, 0, 0, 1, 1) },
		"gathered":                      func(n *network, x *graph.Value) *graph.Value { return graph.Gather(x, 2, 3, 0, 3) },
		"gathered from the batch":       func(n *network, x *graph.Value) *graph.Value { return graph.Gather(x, 0, 0) },
		"gathered before the batch": func(n *network, x *graph.Value) *graph.Value {
			return graph.Gather(graph.Transpose(x, 1, 0, 2, 3), 0, 2, 1)
		},
		"split": func(n *network, x *graph.Value) *graph.Value {
			s := graph.Split(x, 2, 1, 5)
			return graph.Mul(s[0], s[1])
		},
		"padded": func(n *network, x *graph.Value) *graph.Value {
			return graph.Pad(x, "constant", []int{0, 0, 1, 0}, []int{0, 0, 0, 2})
		},
		"padded the batch": func(n *network, x *graph.Value) *graph.Value {
			return graph.Pad(x, "constant", []int{1, 0, 0, 0}, []int{0, 0, 0, 0})
		},
		"expanded": func(n *network, x *graph.Value) *graph.Value {
			return graph.Expand(graph.SliceAxis(x, 1, 0, 1, 1), 1, 3, 6, 2)
		},
		"expanded the batch": func(n *network, x *graph.Value) *graph.Value {
			return graph.Expand(x, 5, 4, 6, 2)
		},
		"joined with constants": func(n *network, x *graph.Value) *graph.Value {
			return graph.Concat(2, n.weight(1, 4, 2, 2), x, graph.Exp(x), n.weight(1, 4, 1, 2))
		},
		"joined without the batch": func(n *network, x *graph.Value) *graph.Value {
			y := graph.Reshape(x, 24, 2)
			return graph.Concat(0, y, graph.Relu(y), n.weight(3, 2))
		},
		"joined along the batch": func(n *network, x *graph.Value) *graph.Value { return graph.Concat(0, x, n.weight(1, 4, 6, 2)) },
		"product, rows": func(n *network, x *graph.Value) *graph.Value {
			return graph.MatMul(graph.Transpose(x, 1, 2, 0, 3), n.weight(2, 5))
		},
		"product, the constant first": func(n *network, x *graph.Value) *graph.Value { return graph.MatMul(n.weight(5, 6), x) },
		"product with itself": func(n *network, x *graph.Value) *graph.Value {
			y := graph.Reshape(x, 24, 2)
			return graph.MatMul(y, graph.Transpose(y, 1, 0))
		},
		"Gemm": func(n *network, x *graph.Value) *graph.Value {
			return graph.Gemm(graph.Reshape(x, 24, 2), n.weight(24, 3), n.weight(3), &graph.GemmOptions{TransA: true})
		},
		"Gemm of a row": func(n *network, x *graph.Value) *graph.Value {
			return graph.Gemm(graph.Reshape(x, 1, 48), n.weight(48, 3), nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := graph.New("one")
			in := one.Input("x", graph.Float32, shape...)
			y := f(&network{g: one}, in)
			flat := graph.Reshape(y, 1, graph.Elements(y.Shape)) // so that images come first
			if err := one.Err(); err != nil {
				t.Fatal(err)
			}
			many := graph.New("many")
			x := many.Input("x", graph.Float32, graph.Dynamic, 4, 6, 2)
			l := &lifting{to: many, leaf: func(v *graph.Value, _ bool) *graph.Value { return many.Const("", v.Const()) }}
			out, err := l.lift(in, x, []*graph.Value{flat})
			if err != nil {
				t.Fatal(err)
			}
			images := drawn(9, 3, 4, 6, 2)
			got := eval(t, many, map[string]*graph.Tensor{"x": images}, out...)[0]
			for i := range 3 {
				want := eval(t, one, map[string]*graph.Tensor{"x": image(images, i)}, flat)[0]
				same(t, fmt.Sprint("image ", i), graph.Data[float32](image(got, i)), graph.Data[float32](want))
			}
		})
	}
}

// Who says what pixels are normalised by.
func TestNormalisation(t *testing.T) {
	for name, c := range map[string]struct {
		begin    func(x *graph.Value) *graph.Value
		metadata map[string]string
		o        Options
		says     string
		scale    float64 // of the first channel
	}{
		"nobody":        {nil, nil, Options{}, "ImageNet's", 1 / .229},
		"flags":         {nil, map[string]string{"mean": "1", "std": "2"}, Options{Mean: []float64{0}, Std: []float64{.5}}, "as given", 2},
		"metadata":      {nil, map[string]string{"mean": "[0.5, 0.5, 0.5]", "std": "0.1 0.2 0.3"}, Options{}, "metadata", 10},
		"metadata, 255": {nil, map[string]string{"image_mean": "123.7,116.3,103.5", "image_std": "51,51,51"}, Options{}, "metadata", 5},
		"network": {func(x *graph.Value) *graph.Value {
			return graph.Div(graph.Sub(x, x.Graph().Scalar(.5)), x.Graph().Scalar(.2))
		}, nil, Options{}, "0 to 1,", 1},
		"network of 255": {func(x *graph.Value) *graph.Value { return graph.Mul(x, x.Graph().Scalar(1./255)) }, nil, Options{}, "0 to 255,", 255},
	} {
		t.Run(name, func(t *testing.T) {
			g := graph.New("net")
			x := g.Input("in", graph.Float32, 1, 3, 64, 64)
			y := x
			if c.begin != nil {
				y = c.begin(x)
			}
			k, err := Open(write(t, x, residual(y), c.metadata), &c.o)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(k.Normalisation, c.says) || math.Abs(k.scale[0]-c.scale) > 1e-9 {
				t.Errorf("got %q, scale %v, want %q, %v", k.Normalisation, k.scale, c.says, c.scale)
			}
		})
	}
}

// Images with channels last, and maps with channels last, are turned.
func TestChannelsLast(t *testing.T) {
	g := graph.New("net")
	in := g.Input("in", graph.Float32, graph.Dynamic, 64, 64, 3)
	n := &network{g: g}
	y := named(graph.Transpose(n.conv(graph.Transpose(in, 0, 3, 1, 2), 6, 3, 4), 0, 2, 3, 1), "map")
	k, err := Open(write(t, in, graph.Relu(y), nil), &Options{Taps: []string{"map"}, Mean: []float64{0}, Std: []float64{1}})
	if err != nil {
		t.Fatal(err)
	}
	lifted, _, err := k.For(64, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := lifted.Outputs()[0].Shape; !slices.Equal(got, []int{graph.Dynamic, 6, 16, 16}) {
		t.Errorf("got a tap %v, want [N,6,16,16]", got)
	}
}

func TestOpenWrong(t *testing.T) {
	file := func(dtype graph.DType, shape []int, f func(n *network, x *graph.Value) *graph.Value) string {
		g := graph.New("net")
		x := g.Input("in", dtype, shape...)
		return write(t, x, f(&network{g: g}, x), nil)
	}
	net := func(n *network, x *graph.Value) *graph.Value { return residual(x) }
	fine := []int{1, 3, 64, 64}
	garbage := filepath.Join(t.TempDir(), "garbage.onnx")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		o    Options
		want string
	}{
		"no file":  {filepath.Join(t.TempDir(), "none.onnx"), Options{}, "no such file"},
		"no model": {garbage, Options{}, "no ONNX model"},
		"rank":     {file(graph.Float32, []int{1, 12}, func(n *network, x *graph.Value) *graph.Value { return graph.Relu(x) }), Options{}, "want images [N,3,H,W]"},
		"channels": {file(graph.Float32, []int{1, 1, 64, 64}, net), Options{}, "want three channels"},
		"type":     {file(graph.Uint8, fine, func(n *network, x *graph.Value) *graph.Value { return residual(graph.Cast(x, graph.Float32)) }), Options{}, "want float32"},
		"two inputs": {file(graph.Float32, fine, func(n *network, x *graph.Value) *graph.Value {
			return graph.Add(residual(x), n.g.Input("more", graph.Float32, 1, 5))
		}), Options{}, "want one of images"},
		"no such tap":   {file(graph.Float32, fine, net), Options{Taps: []string{"blok1"}}, `"block1" [8,8,8]`},
		"tap of no map": {file(graph.Float32, fine, net), Options{Taps: []string{"y"}}, "want a map"},
		"no stride":     {file(graph.Float32, fine, func(n *network, x *graph.Value) *graph.Value { return named(n.conv(x, 4, 3, 2), "half") }), Options{}, `no tensor at strides 4, 8 or 16 and no tokens of patches, want some: name tensors of [N,C,h,w]; of an image of 64x64 it has`},
		"deviation":     {file(graph.Float32, fine, net), Options{Mean: []float64{1}, Std: []float64{0}}, "the latter positive"},
		"a mean alone":  {file(graph.Float32, fine, net), Options{Mean: []float64{1}}, "want both or neither"},
		"two means":     {file(graph.Float32, fine, net), Options{Mean: []float64{1, 2}, Std: []float64{1}}, "one number each, or three"},
		"unknown before": {file(graph.Float32, fine, func(n *network, x *graph.Value) *graph.Value {
			return residual(n.g.ForeignOp("com.example", "Warp", nil, []graph.Type{x.Type}, x)[0])
		}), Options{}, `operator Warp of domain "com.example" is not supported`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(c.path, &c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	// What cannot be read behind the taps does not matter.
	path := file(graph.Float32, fine, func(n *network, x *graph.Value) *graph.Value {
		y := residual(x)
		return n.g.ForeignOp("com.example", "Warp", nil, []graph.Type{y.Type}, y)[0]
	})
	if _, err := Open(path, &Options{}); err != nil {
		t.Errorf("unknown behind: got %v", err)
	}
}
