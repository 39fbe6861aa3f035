package graph_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// All tolerances are relative to max(1, |want|).
const (
	// torchTolerance compares values and gradients in float64 with PyTorch's,
	// written with nine digits. The constants of formulas and of VJPs (1/49,
	// say) are float32: 6e-8.
	torchTolerance = 3e-7
	// differenceTolerance compares gradients in float64 with central
	// differences: their truncation, about differenceStep², is smaller than
	// what the float32 constants of VJPs bring, 6e-8 of each term of a sum.
	differenceTolerance = 1e-6
	differenceStep      = 1e-5
	// float32Tolerance compares gradients in float32, sums of up to 600 terms of size 1.
	float32Tolerance = 1e-5
	// formTolerance compares the forms of a convolution's weight gradient in
	// float64, which differ in the order of sums alone.
	formTolerance = 1e-12
)

// A golden is a formula's value and gradients by PyTorch (testdata/gen_torch.py).
type golden struct {
	Name      string
	Leaves    []array
	Constant  array
	Cotangent array
	Value     []float64
	Grads     [][]float64
}

type array struct {
	Shape []int
	Data  []float64
}

func (a array) tensor() *graph.Tensor { return graph.NewTensor(a.Data, a.Shape...) }

func goldens(t *testing.T) []golden {
	t.Helper()
	var gs []golden
	testenv.Golden(t, "gen_torch.py", "gradients.json", &gs)
	return gs
}

// A formula builds a golden's namesake from its leaves; constant is the golden's, if it has one.
type formula func(in []*graph.Value, constant *graph.Tensor) *graph.Value

// of1, of2 and of3 make a formula of a function of so many leaves.
func of1(f func(a *graph.Value) *graph.Value) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value { return f(in[0]) }
}

func of2(f func(a, b *graph.Value) *graph.Value) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value { return f(in[0], in[1]) }
}

func of3(f func(a, b, c *graph.Value) *graph.Value) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value { return f(in[0], in[1], in[2]) }
}

// conv is the convolution of two leaves, and a third as bias.
func conv(o *graph.ConvOptions) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value {
		if len(in) == 2 {
			return graph.Conv(in[0], in[1], nil, o)
		}
		return graph.Conv(in[0], in[1], in[2], o)
	}
}

// fixedConv is the convolution of one leaf with the golden's constant.
func fixedConv(o *graph.ConvOptions) formula {
	return func(in []*graph.Value, constant *graph.Tensor) *graph.Value {
		return graph.Conv(in[0], in[0].Graph().Const("kernels", constant), nil, o)
	}
}

// convTranspose is the transposed convolution of two leaves, and a third as bias.
func convTranspose(o *graph.ConvOptions, outH, outW int) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value {
		if len(in) == 2 {
			return graph.ConvTranspose(in[0], in[1], nil, o, outH, outW)
		}
		return graph.ConvTranspose(in[0], in[1], in[2], o, outH, outW)
	}
}

func gemm(o *graph.GemmOptions) formula {
	return of3(func(a, b, c *graph.Value) *graph.Value { return graph.Gemm(a, b, c, o) })
}

func pad(mode string, before, after []int) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.Pad(a, mode, before, after) })
}

func slice(axis, start, end, step int) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.SliceAxis(a, axis, start, end, step) })
}

func maxPool(kh, kw int, o *graph.PoolOptions) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.MaxPool(a, kh, kw, o) })
}

func averagePool(kh, kw int, o *graph.PoolOptions) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.AveragePool(a, kh, kw, o) })
}

func upsample(sy, sx int) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.UpsampleNearest(a, sy, sx) })
}

func resizeLinear(h, w int, o *graph.ResizeOptions) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.ResizeLinear(a, h, w, o) })
}

// gather squares what it takes, so that an element that is taken twice tells.
func gather(axis int, indices ...int) formula {
	return of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.Gather(a, axis, indices...)) })
}

// gatherBy is gather along axis 1 by indices of any shape.
func gatherBy(a *graph.Value, indices *graph.Tensor) *graph.Value {
	g := a.Graph()
	return graph.Square(g.Op("Gather", attr("axis", int64(1)), a, g.Const("", indices)))
}

func reduce(f func(x *graph.Value, keepDims bool, axes ...int) *graph.Value, keepDims bool, axes ...int) formula {
	return of1(func(a *graph.Value) *graph.Value { return f(a, keepDims, axes...) })
}

// eps keeps the normalisations from dividing by zero; exact in binary.
const eps = 1. / 1024

func times(c float64, x *graph.Value) *graph.Value { return graph.Mul(x, x.Graph().Scalar(c)) }

func plus2(x *graph.Value) *graph.Value { return graph.Add(x, x.Graph().Scalar(2)) }

func clip(a, lo, hi *graph.Value) *graph.Value { return a.Graph().Op("Clip", nil, a, lo, hi) }

var formulas = map[string]formula{
	"Add":                of2(graph.Add),
	"Add bias":           of2(graph.Add),
	"Add scalar":         of2(graph.Add),
	"Add column and row": of2(graph.Add),
	"Sub column and row": of2(graph.Sub),
	"Sub itself":         of1(func(a *graph.Value) *graph.Value { return graph.Sub(a, a) }),
	"Mul":                of2(graph.Mul),
	"Mul column and row": of2(graph.Mul),
	"Mul itself":         of1(graph.Square),
	"Div":                of2(func(a, b *graph.Value) *graph.Value { return graph.Div(a, plus2(b)) }),
	"Div column and row": of2(func(a, b *graph.Value) *graph.Value { return graph.Div(a, plus2(b)) }),
	"Div itself": of1(func(a *graph.Value) *graph.Value {
		b := plus2(a)
		return graph.Mul(graph.Div(b, b), a)
	}),
	"Neg":  of1(graph.Neg),
	"Abs":  of1(graph.Abs),
	"Relu": of1(graph.Relu),
	"Sigmoid": of1(func(a *graph.Value) *graph.Value {
		return graph.Sigmoid(graph.Mul(a, a.Graph().Scalar(4)))
	}),
	"Clip":      of1(func(a *graph.Value) *graph.Value { return graph.Clip(a, -0.5, 0.3) }),
	"Clip low":  of1(func(a *graph.Value) *graph.Value { return clip(a, a.Graph().Scalar(-0.3), nil) }),
	"Clip high": of1(func(a *graph.Value) *graph.Value { return clip(a, nil, a.Graph().Scalar(0.3)) }),
	"Where": of2(func(a, b *graph.Value) *graph.Value {
		return graph.Where(graph.Greater(a, b), graph.Mul(a, b), b)
	}),
	"Where broadcast": of2(func(a, b *graph.Value) *graph.Value { return graph.Where(graph.Greater(a, b), a, b) }),
	"Cast": of1(func(a *graph.Value) *graph.Value {
		return graph.Mul(a, graph.Cast(graph.Cast(a, graph.Float64), graph.Float32))
	}),
	"Identity": of1(func(a *graph.Value) *graph.Value { return a.Graph().Op("Identity", nil, a) }),
	"Used three times": of2(func(a, b *graph.Value) *graph.Value {
		return graph.Sub(graph.Add(graph.Mul(a, b), graph.Sigmoid(a)), graph.Div(a, plus2(b)))
	}),

	"MatMul":                     of2(graph.MatMul),
	"MatMul batch by matrix":     of2(graph.MatMul),
	"MatMul matrix by batch":     of2(graph.MatMul),
	"MatMul broadcast both ways": of2(graph.MatMul),
	"MatMul itself":              of1(func(a *graph.Value) *graph.Value { return graph.MatMul(a, a) }),
	"Gemm NN":                    gemm(nil),
	"Gemm NT":                    gemm(&graph.GemmOptions{TransB: true}),
	"Gemm TN":                    gemm(&graph.GemmOptions{TransA: true}),
	"Gemm TT":                    gemm(&graph.GemmOptions{TransA: true, TransB: true}),
	"Gemm column":                gemm(nil),
	"Gemm scalar":                gemm(nil),
	"Gemm itself":                of1(func(a *graph.Value) *graph.Value { return graph.Gemm(a, a, nil, &graph.GemmOptions{TransB: true}) }),

	"ReduceSum all":           reduce(graph.ReduceSum, false),
	"ReduceSum keeps":         reduce(graph.ReduceSum, true, 0, 2),
	"ReduceSum drops":         reduce(graph.ReduceSum, false, 0, 2),
	"ReduceSum negative axis": reduce(graph.ReduceSum, false, -1),
	"ReduceMean all":          reduce(graph.ReduceMean, false),
	"ReduceMean keeps":        reduce(graph.ReduceMean, true, 2, 3),
	"ReduceMean drops":        reduce(graph.ReduceMean, false, 1),
	"MeanAll":                 of1(func(a *graph.Value) *graph.Value { return graph.MeanAll(graph.Square(a)) }),

	"Reshape":               of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.Reshape(a, 2, 12)) }),
	"Reshape with rest":     of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.Reshape(a, 0, -1)) }),
	"Transpose":             of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.Transpose(a, 2, 0, 3, 1)) }),
	"Concat":                of2(func(a, b *graph.Value) *graph.Value { return graph.Concat(1, a, b, a) }),
	"Concat last axis":      of2(func(a, b *graph.Value) *graph.Value { return graph.Square(graph.Concat(-1, a, b)) }),
	"Slice":                 slice(1, 1, 4, 1),
	"Slice from the end":    slice(0, -3, -1, 1),
	"Slice step":            slice(1, 1, math.MaxInt32, 3),
	"Slice step ends early": slice(-1, 0, 6, 2),
	"Slice backwards":       slice(1, -1, -math.MaxInt32, -1),
	"Slice step backwards":  slice(1, 7, 1, -2),
	"Slice two axes": of1(func(a *graph.Value) *graph.Value {
		g := a.Graph()
		ints := func(xs ...int64) *graph.Value { return g.Const("", graph.NewTensor(xs, len(xs))) }
		return g.Op("Slice", nil, a, ints(1, -1), ints(4, -math.MaxInt32), ints(0, 2), ints(2, -2))
	}),
	"Pad":                  pad("constant", []int{0, 0, 1, 3}, []int{0, 0, 2, 0}),
	"Pad crops":            pad("constant", []int{0, 0, 0, -1}, []int{0, 0, -1, -2}),
	"Pad crops and widens": pad("constant", []int{0, -2}, []int{0, 1}),
	"Pad reflect":          pad("reflect", []int{0, 0, 1, 3}, []int{0, 0, 4, 2}),
	"Pad reflect batch 1":  pad("reflect", []int{0, 0, 0, 1}, []int{0, 0, 0, 1}),
	"Pad edge":             pad("edge", []int{0, 0, 1, 3}, []int{0, 0, 0, 6}),
	"Pad edge crops":       pad("edge", []int{0, 0, 0, -1}, []int{0, 0, -2, 2}),
	"Expand":               of1(func(a *graph.Value) *graph.Value { return graph.Expand(a, 2, 1, 4) }),

	"Resize 2x2": upsample(2, 2),
	"Resize 3x1": upsample(3, 1),
	"Resize 1x1": upsample(1, 1),

	"Conv 3x3 same":                   conv(graph.Same(3)),
	"Conv 3x3 same batch 1":           conv(graph.Same(3)),
	"Conv 2x3 valid":                  conv(nil),
	"Conv 1x1":                        conv(nil),
	"Conv 3x1":                        conv(&graph.ConvOptions{Pads: [4]int{1, 0, 1, 0}}),
	"Conv 1x3":                        conv(&graph.ConvOptions{Pads: [4]int{0, 1, 0, 1}}),
	"Conv uneven pads":                conv(&graph.ConvOptions{Pads: [4]int{2, 0, 1, 3}}),
	"Conv pads beyond the kernel":     conv(&graph.ConvOptions{Pads: [4]int{3, 1, 0, 2}}),
	"Conv whole image":                conv(nil),
	"Conv stride 2":                   conv(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}),
	"Conv stride leaves a rest":       conv(&graph.ConvOptions{Strides: [2]int{2, 3}}),
	"Conv stride beyond the kernel":   conv(&graph.ConvOptions{Strides: [2]int{3, 3}}),
	"Conv dilation":                   conv(&graph.ConvOptions{Pads: [4]int{1, 2, 1, 2}, Dilations: [2]int{2, 3}}),
	"Conv stride and dilation":        conv(&graph.ConvOptions{Pads: [4]int{2, 1, 0, 3}, Strides: [2]int{2, 3}, Dilations: [2]int{3, 2}}),
	"Conv groups, input only":         fixedConv(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Groups: 2}),
	"Conv groups strided, input only": fixedConv(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}, Groups: 2}),
	"Conv depthwise, input only": of1(func(a *graph.Value) *graph.Value {
		return graph.Conv(a, window3(a.Graph()), nil, &graph.ConvOptions{Groups: 3})
	}),

	"MaxPool 2x2":             maxPool(2, 2, nil),
	"MaxPool overlapping":     maxPool(3, 3, &graph.PoolOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}),
	"MaxPool 2x3 steps 3x1":   maxPool(2, 3, &graph.PoolOptions{Strides: [2]int{3, 1}}),
	"AveragePool 2x2":         averagePool(2, 2, nil),
	"AveragePool 3x2 tiles":   averagePool(3, 2, nil),
	"AveragePool overlapping": averagePool(3, 3, &graph.PoolOptions{Strides: [2]int{2, 2}}),
	"AveragePool pads":        averagePool(3, 3, &graph.PoolOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}),
	"AveragePool smoothing":   averagePool(3, 3, &graph.PoolOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{1, 1}}),
	"AveragePool skips":       averagePool(1, 2, &graph.PoolOptions{Strides: [2]int{2, 3}}),

	"Kink Relu":                   of1(graph.Relu),
	"Kink Abs":                    of1(graph.Abs),
	"Kink Clip":                   of1(func(a *graph.Value) *graph.Value { return graph.Clip(a, -0.5, 0.5) }),
	"Kink MaxPool constant image": maxPool(2, 2, nil),
	"Kink MaxPool constant image overlapping": maxPool(3, 3, &graph.PoolOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}),
	"Kink MaxPool ties":                       maxPool(2, 2, &graph.PoolOptions{Strides: [2]int{1, 1}}),

	"LeakyRelu": of1(func(a *graph.Value) *graph.Value { return graph.LeakyRelu(a, 0.125) }),
	"Elu":       of1(func(a *graph.Value) *graph.Value { return graph.Elu(a, 0.5) }),
	"Tanh":      of1(func(a *graph.Value) *graph.Value { return graph.Tanh(times(2, a)) }),
	"Softplus":  of1(func(a *graph.Value) *graph.Value { return graph.Softplus(times(4, a)) }),
	"Gelu":      of1(func(a *graph.Value) *graph.Value { return graph.Gelu(times(2, a)) }),
	"GeluTanh":  of1(func(a *graph.Value) *graph.Value { return graph.GeluTanh(times(2, a)) }),
	"Softmax":   of1(func(a *graph.Value) *graph.Value { return graph.Softmax(times(4, a), -1) }),
	"Softmax middle axis": of1(func(a *graph.Value) *graph.Value {
		return graph.Softmax(times(4, a), 1)
	}),
	"Exp":                of1(graph.Exp),
	"Log":                of1(func(a *graph.Value) *graph.Value { return graph.Log(plus2(a)) }),
	"Sqrt":               of1(func(a *graph.Value) *graph.Value { return graph.Sqrt(plus2(a)) }),
	"Erf":                of1(graph.Erf),
	"Pow":                of2(func(a, b *graph.Value) *graph.Value { return graph.Pow(plus2(a), b) }),
	"Pow column and row": of2(func(a, b *graph.Value) *graph.Value { return graph.Pow(plus2(a), b) }),
	"Pow cube":           of1(func(a *graph.Value) *graph.Value { return graph.Pow(a, a.Graph().Scalar(3)) }),

	"Max":                 of2(func(a, b *graph.Value) *graph.Value { return graph.Max(a, b) }),
	"Max column and row":  of2(func(a, b *graph.Value) *graph.Value { return graph.Max(a, b) }),
	"Max of three":        of3(func(a, b, c *graph.Value) *graph.Value { return graph.Max(a, b, c) }),
	"Max itself":          of1(func(a *graph.Value) *graph.Value { return graph.Mul(graph.Max(a, a), a) }),
	"Min column and row":  of2(func(a, b *graph.Value) *graph.Value { return graph.Min(a, b) }),
	"ReduceMax all":       reduce(graph.ReduceMax, false),
	"ReduceMax keeps":     reduce(graph.ReduceMax, true, 2, 3),
	"ReduceMax drops":     reduce(graph.ReduceMax, false, 1),
	"Kink LeakyRelu":      of1(func(a *graph.Value) *graph.Value { return graph.LeakyRelu(a, 0.125) }),
	"Kink Elu":            of1(func(a *graph.Value) *graph.Value { return graph.Elu(a, 0.5) }),
	"Kink Max ties":       of2(func(a, b *graph.Value) *graph.Value { return graph.Max(a, b) }),
	"Kink Min ties":       of2(func(a, b *graph.Value) *graph.Value { return graph.Min(a, b) }),
	"Kink ReduceMax ties": reduce(graph.ReduceMax, false, 1),
	"Kink Pow at zero":    of2(graph.Pow),

	"Conv groups":                                conv(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Groups: 2}),
	"Conv depthwise":                             conv(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Groups: 3}),
	"Conv depthwise multiplied":                  conv(&graph.ConvOptions{Groups: 2}),
	"Conv groups, stride, dilation, uneven pads": conv(&graph.ConvOptions{Pads: [4]int{2, 1, 0, 3}, Strides: [2]int{2, 3}, Dilations: [2]int{3, 2}, Groups: 2}),

	"ConvTranspose":                                    convTranspose(graph.Same(3), 0, 0),
	"ConvTranspose batch 1":                            convTranspose(nil, 0, 0),
	"ConvTranspose stride 2":                           convTranspose(&graph.ConvOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 2}}, 1, 1),
	"ConvTranspose stride beyond the kernel":           convTranspose(&graph.ConvOptions{Strides: [2]int{3, 3}}, 2, 0),
	"ConvTranspose groups, stride, dilation":           convTranspose(&graph.ConvOptions{Strides: [2]int{1, 2}, Dilations: [2]int{2, 1}, Groups: 2}, 0, 0),
	"ConvTranspose output_padding within the dilation": convTranspose(&graph.ConvOptions{Dilations: [2]int{3, 3}}, 2, 1),
	"ConvTranspose uneven pads":                        convTranspose(&graph.ConvOptions{Pads: [4]int{1, 0, 0, 2}, Strides: [2]int{2, 2}}, 0, 0),
	"GlobalAveragePool":                                of1(graph.GlobalAveragePool),

	"BatchNorm": of3(func(a, scale, bias *graph.Value) *graph.Value {
		y, _, _ := graph.BatchNorm(a, scale, bias, eps)
		return y
	}),
	"BatchNorm of vectors": of1(func(a *graph.Value) *graph.Value {
		y, _, _ := graph.BatchNorm(a, nil, nil, eps)
		return y
	}),
	"BatchNorm statistics": of1(func(a *graph.Value) *graph.Value {
		_, mean, variance := graph.BatchNorm(a, nil, nil, eps)
		return graph.Concat(0, mean, variance)
	}),
	"BatchNormInference": func(in []*graph.Value, _ *graph.Tensor) *graph.Value {
		return graph.BatchNormInference(in[0], in[1], in[2], in[3], plus2(in[4]), eps)
	},
	"InstanceNorm":       of3(func(a, scale, bias *graph.Value) *graph.Value { return graph.InstanceNorm(a, scale, bias, eps) }),
	"InstanceNorm plain": of1(func(a *graph.Value) *graph.Value { return graph.InstanceNorm(a, nil, nil, eps) }),
	"GroupNorm":          of3(func(a, scale, bias *graph.Value) *graph.Value { return graph.GroupNorm(a, 2, scale, bias, eps) }),
	"GroupNorm of one group": of2(func(a, scale *graph.Value) *graph.Value {
		return graph.GroupNorm(a, 1, scale, nil, eps)
	}),
	"LayerNorm":             of3(func(a, scale, bias *graph.Value) *graph.Value { return graph.LayerNorm(a, -1, scale, bias, eps) }),
	"LayerNorm of two axes": of2(func(a, scale *graph.Value) *graph.Value { return graph.LayerNorm(a, 1, scale, nil, eps) }),

	"ResizeLinear up":                    resizeLinear(7, 6, nil),
	"ResizeLinear down":                  resizeLinear(3, 4, nil),
	"ResizeLinear up and down":           resizeLinear(7, 3, nil),
	"ResizeLinear corners":               resizeLinear(7, 3, &graph.ResizeOptions{AlignCorners: true}),
	"ResizeLinear antialias":             resizeLinear(3, 4, &graph.ResizeOptions{Antialias: true}),
	"ResizeLinear antialias up and down": resizeLinear(7, 3, &graph.ResizeOptions{Antialias: true}),
	"Resize nearest to any size": of1(func(a *graph.Value) *graph.Value {
		sizes := a.Graph().Const("", graph.NewTensor([]int64{2, 1, 7, 3}, 4))
		return a.Graph().Op("Resize", nearest, a, nil, nil, sizes)
	}),
	"DepthToSpace DCR": of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.DepthToSpace(a, 2, graph.DCR)) }),
	"DepthToSpace CRD": of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.DepthToSpace(a, 2, graph.CRD)) }),
	"SpaceToDepth DCR": of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.SpaceToDepth(a, 2, graph.DCR)) }),
	"SpaceToDepth CRD": of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.SpaceToDepth(a, 2, graph.CRD)) }),
	"Split": of1(func(a *graph.Value) *graph.Value {
		p := graph.Split(a, 1, 1, 3, 2)
		return graph.Concat(1, p[0], graph.Square(p[1]), graph.Mul(graph.Square(p[2]), p[2]))
	}),
	"Split, one piece used": of1(func(a *graph.Value) *graph.Value { return graph.Square(graph.Split(a, 1, 1, 3, 2)[1]) }),
	"Split, two pieces used": of1(func(a *graph.Value) *graph.Value {
		p := graph.Split(a, -1, 2, 1, 2)
		return graph.Mul(p[0], p[2])
	}),
	"Gather":                    gather(1, 2, 0, -2, 3, 2),
	"Gather last axis":          gather(-1, 2, 0, 2),
	"Gather of a vector":        gather(0, 2, 0, 2),
	"Gather first of four axes": gather(0, 1, -2),
	"Gather matrix of indices": of1(func(a *graph.Value) *graph.Value {
		return gatherBy(a, graph.NewTensor([]int64{2, 0, 3, -1}, 2, 2))
	}),
	"Gather scalar": of1(func(a *graph.Value) *graph.Value { return gatherBy(a, graph.NewTensor([]int64{2})) }),

	"Network MSE batch 1":  networkLoss(mse),
	"Network MSE batch 3":  networkLoss(mse),
	"Network L1 batch 1":   networkLoss(l1),
	"Network L1 batch 3":   networkLoss(l1),
	"Network SSIM batch 1": networkLoss(ssim),
	"Network SSIM batch 3": networkLoss(ssim),
}

// window3 are three channels of a 3x3 binomial window.
func window3(g *graph.Graph) *graph.Value {
	w := []float32{1. / 16, 2. / 16, 1. / 16, 2. / 16, 4. / 16, 2. / 16, 1. / 16, 2. / 16, 1. / 16}
	return g.Const("", graph.NewTensor(slices.Concat(w, w, w), 3, 1, 3, 3))
}

// network is the article's autoencoder in miniature; its leaves are the image
// and the weights and biases of three convolutions.
func network(in []*graph.Value) *graph.Value {
	y := graph.MaxPool(graph.Relu(graph.Conv(in[0], in[1], in[2], graph.Same(3))), 2, 2, nil)
	y = graph.UpsampleNearest(graph.Relu(graph.Conv(y, in[3], in[4], graph.Same(3))), 2, 2)
	return graph.Sigmoid(graph.Conv(y, in[5], in[6], graph.Same(3)))
}

func networkLoss(loss func(x, y *graph.Value) *graph.Value) formula {
	return func(in []*graph.Value, _ *graph.Tensor) *graph.Value { return loss(in[0], network(in)) }
}

func mse(x, y *graph.Value) *graph.Value { return graph.MeanAll(graph.Square(graph.Sub(x, y))) }

func l1(x, y *graph.Value) *graph.Value { return graph.MeanAll(graph.Abs(graph.Sub(x, y))) }

// ssim is 1 - SSIM over the valid region of a 3x3 window.
func ssim(x, y *graph.Value) *graph.Value {
	g := x.Graph()
	w := window3(g)
	mean := func(v *graph.Value) *graph.Value { return graph.Conv(v, w, nil, &graph.ConvOptions{Groups: 3}) }
	c1, c2, two := g.Scalar(1./1024), g.Scalar(1./256), g.Scalar(2)
	mx, my := mean(x), mean(y)
	xx, yy, xy := graph.Square(mx), graph.Square(my), graph.Mul(mx, my)
	variances := graph.Sub(graph.Add(mean(graph.Square(x)), mean(graph.Square(y))), graph.Add(xx, yy))
	covariance := graph.Sub(mean(graph.Mul(x, y)), xy)
	s := graph.Div(
		graph.Mul(graph.Add(graph.Mul(two, xy), c1), graph.Add(graph.Mul(two, covariance), c2)),
		graph.Mul(graph.Add(graph.Add(xx, yy), c1), graph.Add(variances, c2)))
	return graph.Sub(g.Scalar(1), graph.MeanAll(s))
}

// A check is a golden's formula as a graph, with its gradient.
type check struct {
	g     *graph.Graph
	feeds map[string]*graph.Tensor
	value *graph.Value
	loss  *graph.Value // the inner product of value and the cotangent
	grads []*graph.Value
}

func newCheck(t *testing.T, c golden, o *graph.GradOptions) *check {
	t.Helper()
	f, ok := formulas[c.Name]
	if !ok {
		t.Fatal("no formula of that name")
	}
	k := &check{g: graph.New(c.Name), feeds: map[string]*graph.Tensor{}}
	var leaves []*graph.Value
	for i, leaf := range c.Leaves {
		name := fmt.Sprintf("leaf%d", i)
		if i == 0 {
			leaves = append(leaves, k.g.Input(name, graph.Float32, leaf.Shape...))
		} else {
			leaves = append(leaves, k.g.Param(name, leaf.Shape...))
		}
		k.feeds[name] = leaf.tensor()
	}
	k.value = f(leaves, constant(c.Constant))
	cotangent := k.g.Input("cotangent", graph.Float32, c.Cotangent.Shape...)
	k.feeds["cotangent"] = c.Cotangent.tensor()
	k.loss = graph.ReduceSum(graph.Mul(k.value, cotangent), false)
	var err error
	if k.grads, err = graph.Gradients(k.loss, leaves, o); err != nil {
		t.Fatal(err)
	}
	for i, leaf := range leaves {
		if !slices.Equal(k.grads[i].Shape, leaf.Shape) {
			t.Fatalf("gradient %d: got %v, want %v", i, k.grads[i].Type, leaf.Type)
		}
	}
	return k
}

// constant returns the array as a float32 tensor.
func constant(a array) *graph.Tensor {
	if a.Data == nil {
		return nil
	}
	t := graph.Zeros(graph.Float32, a.Shape...)
	for i, v := range a.Data {
		graph.Data[float32](t)[i] = float32(v)
	}
	return t
}

func (k *check) eval(t *testing.T, want ...*graph.Value) [][]float64 {
	t.Helper()
	out, err := ref.Eval[float64](context.Background(), k.g, k.feeds, want...)
	if err != nil {
		t.Fatal(err)
	}
	data := make([][]float64, len(out))
	for i, o := range out {
		data[i] = graph.Data[float64](o)
	}
	return data
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance*max(1, math.Abs(w))) {
			t.Fatalf("%s, element %d: got %v, want %v", what, i, got[i], w)
		}
	}
}

// forms are the lowerings of a convolution's weight gradient.
var forms = map[string]graph.ConvWeightGrad{"ByConv": graph.ByConv, "ByShift": graph.ByShift, "ByShiftConcat": graph.ByShiftConcat}

func TestGradientsTorch(t *testing.T) {
	seen, covered := map[string]bool{}, map[string]bool{}
	for _, c := range goldens(t) {
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			k := newCheck(t, c, nil)
			for _, n := range k.g.Nodes(k.value) {
				covered[n.Op] = true
			}
			near(t, "value", k.eval(t, k.value)[0], c.Value, torchTolerance)
			got := k.eval(t, k.grads...)
			for i := range c.Leaves {
				near(t, fmt.Sprintf("gradient %d", i), got[i], c.Grads[i], torchTolerance)
			}
			for name, form := range forms {
				k := newCheck(t, c, &graph.GradOptions{ConvWeight: form})
				for i, g := range k.eval(t, k.grads...) {
					near(t, fmt.Sprintf("gradient %d %s", i, name), g, got[i], formTolerance)
				}
			}
		})
	}
	for name := range formulas {
		if !seen[name] {
			t.Errorf("formula %q has no golden", name)
		}
	}
	for _, op := range graph.Operators() {
		if !covered[op] && !slices.Contains(flat, op) {
			t.Errorf("operator %s is in no formula", op)
		}
	}
}

// flat are the operators without a gradient.
var flat = []string{
	"And", "ArgMax", "ArgMin", "Atan", "Ceil", "Cos", "Equal", "Floor", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
	"Mod", "Not", "Or", "Range", "ReduceProd", "Round", "ScatterElements", "ScatterND", "Shape", "Sign", "Sin", "TopK",
}

// TestResizeGradient: a resize is linear, so its gradient is the transpose of
// what it makes of unit images. PyTorch has goldens for other ways than these.
func TestResizeGradient(t *testing.T) {
	for _, ways := range [][3]string{
		{"nearest", "half_pixel", "round_prefer_floor"}, {"nearest", "half_pixel_symmetric", "ceil"}, {"nearest", "align_corners", "round_prefer_ceil"},
		{"cubic", "half_pixel", ""}, {"cubic", "align_corners", ""}, {"cubic", "asymmetric", ""}, {"linear", "half_pixel_symmetric", ""},
	} {
		attrs := []graph.Attr{{Name: "mode", Value: ways[0]}, {Name: "coordinate_transformation_mode", Value: ways[1]}}
		if ways[2] != "" {
			attrs = append(attrs, graph.Attr{Name: "nearest_mode", Value: ways[2]})
		}
		g := graph.New("")
		x := g.Input("x", graph.Float32, 1, 1, 5, 3)
		y := g.Op("Resize", attrs, x, nil, nil, g.Const("", graph.NewTensor([]int64{1, 1, 3, 7}, 4)))
		cotangent := make([]float32, 21)
		for i := range cotangent {
			cotangent[i] = float32(i*i%11) - 5
		}
		loss := graph.ReduceSum(graph.Mul(y, g.Const("", graph.NewTensor(cotangent, 1, 1, 3, 7))), false)
		grads, err := graph.Gradients(loss, []*graph.Value{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var want []float64
		var got *graph.Tensor
		for i := range 15 {
			unit := graph.NewTensor(make([]float64, 15), 1, 1, 5, 3)
			graph.Data[float64](unit)[i] = 1
			out, err := ref.Eval[float64](context.Background(), g, map[string]*graph.Tensor{"x": unit}, loss, grads[0])
			if err != nil {
				t.Fatal(err)
			}
			want, got = append(want, graph.Data[float64](out[0])[0]), out[1]
		}
		near(t, fmt.Sprint(ways), graph.Data[float64](got), want, torchTolerance)
	}
}

// TestGatherGradient: indices that are no constant, but an input.
func TestGatherGradient(t *testing.T) {
	g := graph.New("")
	x, at := g.Input("x", graph.Float32, 2, 3), g.Input("at", graph.Int32, 4)
	y := g.Op("Gather", attr("axis", int64(1)), x, at)
	grads, err := graph.Gradients(graph.ReduceSum(graph.Square(y), false), []*graph.Value{x}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ref.Eval[float64](context.Background(), g, map[string]*graph.Tensor{
		"x":  graph.NewTensor([]float64{1, 2, 3, 4, 5, 6}, 2, 3),
		"at": graph.NewTensor([]int32{2, -1, 0, 2}, 4),
	}, grads...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := graph.Data[float64](out[0]), []float64{2, 0, 18, 8, 0, 36}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGradientsFloat32(t *testing.T) {
	for _, c := range goldens(t) {
		t.Run(c.Name, func(t *testing.T) {
			for name, form := range forms {
				k := newCheck(t, c, &graph.GradOptions{ConvWeight: form})
				for leaf, x := range k.feeds {
					k.feeds[leaf] = constant(array{x.Shape(), graph.Data[float64](x)})
				}
				out, err := ref.Eval[float32](context.Background(), k.g, k.feeds, k.grads...)
				if err != nil {
					t.Fatal(err)
				}
				for i, o := range out {
					got := make([]float64, o.Len())
					for j, v := range graph.Data[float32](o) {
						got[j] = float64(v)
					}
					near(t, fmt.Sprintf("gradient %d %s", i, name), got, c.Grads[i], float32Tolerance)
				}
			}
		})
	}
}

func TestGradientsDifferences(t *testing.T) {
	for _, c := range goldens(t) {
		if strings.HasPrefix(c.Name, "Kink ") { // differences do not exist
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			k := newCheck(t, c, nil)
			got := k.eval(t, k.grads...)
			for i, leaf := range c.Leaves {
				want := make([]float64, len(leaf.Data))
				for j, x := range leaf.Data {
					leaf.Data[j] = x + differenceStep
					above := k.eval(t, k.loss)[0][0]
					leaf.Data[j] = x - differenceStep
					below := k.eval(t, k.loss)[0][0]
					leaf.Data[j] = x
					want[j] = (above - below) / (2 * differenceStep)
				}
				near(t, fmt.Sprintf("gradient %d", i), got[i], want, differenceTolerance)
			}
		})
	}
}

// TestConvWeightForms makes sure that each form is what it says, and the general one where it does not apply.
func TestConvWeightForms(t *testing.T) {
	same := *graph.Same(3)
	strided := graph.ConvOptions{Strides: [2]int{2, 2}}
	for _, c := range []struct {
		name   string
		batch  int
		conv   graph.ConvOptions
		form   graph.ConvWeightGrad
		op     string
		number int
	}{
		{"conv", 3, same, graph.ByConv, "Conv", 1},
		{"shift batch 1", 1, same, graph.ByShift, "Gemm", 1},
		{"shift batch 3", 3, same, graph.ByShift, "MatMul", 1},
		{"concat batch 1", 1, same, graph.ByShiftConcat, "Gemm", 1},
		{"concat batch 3", 3, same, graph.ByShiftConcat, "Gemm", 1},
		{"shift with strides", 3, strided, graph.ByShift, "Conv", 1},
		{"concat with dilations", 3, graph.ConvOptions{Dilations: [2]int{1, 2}}, graph.ByShiftConcat, "Conv", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New("")
			w := g.Param("w", 4, 2, 3, 3)
			y := graph.Conv(g.Input("x", graph.Float32, c.batch, 2, 9, 11), w, nil, &c.conv)
			forward := len(g.Nodes(y))
			dw, err := graph.Gradients(graph.MeanAll(y), []*graph.Value{w}, &graph.GradOptions{ConvWeight: c.form})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, n := range g.Nodes(dw[0]) {
				got[n.Op]++
			}
			if got[c.op] != c.number || forward != 1 || c.op != "Conv" && got["Conv"] != 0 {
				t.Errorf("got operators %v, want %d %s", got, c.number, c.op)
			}
		})
	}
}

func TestGradientsOf(t *testing.T) {
	g := graph.New("")
	x, w, unused := g.Input("x", graph.Float32, 2), g.Param("w", 2), g.Param("unused", 3)
	y := graph.Mul(x, w)
	loss := graph.Reshape(graph.ReduceSum(graph.Square(y), false), 1)
	grads, err := graph.Gradients(loss, []*graph.Value{x, y, unused, loss, x}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ref.Eval[float64](context.Background(), g, map[string]*graph.Tensor{
		"x": graph.NewTensor([]float64{2, 3}, 2),
		"w": graph.NewTensor([]float64{5, -1}, 2),
	}, grads...)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float64{{100, 6}, {20, -6}, {0, 0, 0}, {1}, {100, 6}} {
		if got := graph.Data[float64](out[i]); !slices.Equal(got, want) {
			t.Errorf("gradient %d: got %v, want %v", i, got, want)
		}
	}
}

// TestGradientsDynamic differentiates with respect to values beside a dynamic batch.
func TestGradientsDynamic(t *testing.T) {
	g := graph.New("")
	x, w := g.Input("x", graph.Float32, graph.Dynamic, 2), g.Param("w", 1)
	grads, err := graph.Gradients(graph.Square(w), []*graph.Value{w, x}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ref.Eval[float64](context.Background(), g, map[string]*graph.Tensor{
		"x": graph.NewTensor([]float64{1, 2, 3, 4, 5, 6}, 3, 2),
		"w": graph.NewTensor([]float64{3}, 1),
	}, grads...)
	if err != nil {
		t.Fatal(err)
	}
	if dw, dx := graph.Data[float64](out[0]), out[1]; dw[0] != 6 || !slices.Equal(dx.Shape(), []int{3, 2}) || slices.Max(graph.Data[float64](dx)) != 0 {
		t.Errorf("got %v and %v %v, want 6 and zeros", dw, dx.Shape(), graph.Data[float64](dx))
	}
}

func TestGradientsErrors(t *testing.T) {
	sum := func(x *graph.Value) *graph.Value { return graph.ReduceSum(x, false) }
	for _, c := range []struct {
		name string
		loss func(g *graph.Graph, x, w *graph.Value) *graph.Value
		want string
	}{
		{"not one element", func(g *graph.Graph, x, w *graph.Value) *graph.Value { return x },
			`gradient of "x": got float32[2,4,6,6], want one float element`},
		{"two dynamic dimensions", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return graph.Square(g.Input("d", graph.Float32, graph.Dynamic, graph.Dynamic))
		}, `gradient of "mul_3": got float32[N,N], want one float element`},
		{"bool", func(g *graph.Graph, x, w *graph.Value) *graph.Value { return graph.Greater(sum(x), g.Scalar(0)) },
			`gradient of "greater_4": got bool[], want one float element`},
		{"other graph", func(g *graph.Graph, x, w *graph.Value) *graph.Value { return graph.New("").Scalar(1) },
			`gradient with respect to "x": got float32[2,4,6,6], want a float value of the same graph`},
		{"no VJP", func(g *graph.Graph, x, w *graph.Value) *graph.Value { return sum(g.Op("Sign", nil, x)) },
			`Sign ("sign_2") has no gradient`},
		{"Floor", func(g *graph.Graph, x, w *graph.Value) *graph.Value { return sum(graph.Floor(x)) },
			`Floor ("floor_2") has no gradient`},
		{"foreign", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return g.ForeignOp("com.example", "Relu", nil, []graph.Type{{DType: graph.Float32, Shape: []int{1}}}, x)[0]
		}, `Relu ("relu_2") has no gradient`},
		{"dynamic Gather", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return sum(graph.Gather(graph.Mul(g.Input("d", graph.Float32, graph.Dynamic, 1, 1, 1), graph.SliceAxis(x, 0, 0, 1, 1)), 0, 0))
		}, "gradient of Gather from float32[N,4,6,6] by int64[1]: give the axis and the indices a size"},
		{"bounds of Clip", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return sum(g.Op("Clip", nil, x, g.Param("lo")))
		}, "gradient of Clip with respect to its bounds"},
		{"value of Pad", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			pads := g.Const("", graph.NewTensor([]int64{0, 0, 0, 0, 0, 0, 0, 1}, 8))
			return sum(g.Op("Pad", nil, x, pads, g.Param("lo")))
		}, "gradient of Pad with respect to its value"},
		{"Gemm with alpha", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			m := graph.Reshape(x, 12, 24)
			return sum(g.Op("Gemm", []graph.Attr{{Name: "alpha", Value: float32(2)}, {Name: "transB", Value: int64(1)}}, m, m))
		}, "gradient of Gemm with alpha or beta"},
		{"AveragePool with dilations", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return sum(g.Op("AveragePool", []graph.Attr{{Name: "kernel_shape", Value: []int64{2, 2}}, {Name: "strides", Value: []int64{2, 2}},
				{Name: "dilations", Value: []int64{2, 2}}}, x))
		}, "gradient of AveragePool with count_include_pad or dilations"},
		{"dynamic mean", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return graph.ReduceMean(graph.Mul(g.Input("d", graph.Float32, graph.Dynamic, 1, 1, 1), graph.SliceAxis(x, 0, 0, 1, 1)), false)
		}, "gradient of ReduceMean over a dynamic axis of float32[N,4,6,6]: give the batch a size"},
		{"empty slice", func(g *graph.Graph, x, w *graph.Value) *graph.Value {
			return graph.Add(sum(x), sum(graph.SliceAxis(x, 3, 4, 2, 1)))
		}, "gradient of an empty Slice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New("")
			x, w := g.Input("x", graph.Float32, 2, 4, 6, 6), g.Param("w", 6, 2, 3, 3)
			loss := c.loss(g, x, w)
			wrt := []*graph.Value{x, w}
			if lo := g.Lookup("lo"); lo != nil {
				wrt = []*graph.Value{lo}
			}
			if g.Err() != nil {
				t.Fatal(g.Err())
			}
			_, err := graph.Gradients(loss, wrt, nil)
			if !errors.Is(err, graph.ErrGraph) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
	g := graph.New("")
	x := g.Input("x", graph.Float32, 2)
	graph.Add(x, g.Input("y", graph.Float32, 3))
	if _, err := graph.Gradients(x, []*graph.Value{x}, nil); err != g.Err() {
		t.Errorf("graph with an error: got %v, want %v", err, g.Err())
	}
}

// resize is the nearest resize of x by any scales.
func resize(x *graph.Value, scales []float32) *graph.Value {
	return x.Graph().Op("Resize", nearest, x, nil, x.Graph().Const("", graph.NewTensor(scales, len(scales))))
}

// nearest are the attributes of the nearest resize that there is.
var nearest = []graph.Attr{
	{Name: "mode", Value: "nearest"}, {Name: "nearest_mode", Value: "floor"}, {Name: "coordinate_transformation_mode", Value: "asymmetric"},
}
