package graph_test

import (
	"errors"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
)

// operands are the values that the tables below build on.
type operands struct {
	g                *graph.Graph
	image, batch     *graph.Value // [2,4,5,7], [N,4,5,7]
	kernel           *graph.Value // [6,4,3,3]
	matrix, row      *graph.Value // [4,5], [5]
	mask, ids, bytes *graph.Value // bool[4,5], int64[4,5], uint8[4,5]
}

func newOperands() operands {
	g := graph.New("test")
	return operands{
		g:      g,
		image:  g.Input("image", graph.Float32, 2, 4, 5, 7),
		batch:  g.Input("batch", graph.Float32, graph.Dynamic, 4, 5, 7),
		kernel: g.Param("kernel", 6, 4, 3, 3),
		matrix: g.Input("matrix", graph.Float32, 4, 5),
		row:    g.Input("row", graph.Float32, 5),
		mask:   g.Input("mask", graph.Bool, 4, 5),
		ids:    g.Input("ids", graph.Int64, 4, 5),
		bytes:  g.Input("bytes", graph.Uint8, 4, 5),
	}
}

func (o operands) ints(xs ...int64) *graph.Value { return o.g.Const("", graph.NewTensor(xs, len(xs))) }

func attr(name string, v any) []graph.Attr { return []graph.Attr{{Name: name, Value: v}} }

func TestInfer(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(o operands) *graph.Value
		want  string
	}{
		{"Add rows", func(o operands) *graph.Value { return graph.Add(o.matrix, o.row) }, "float32[4,5]"},
		{"Add to a dynamic batch", func(o operands) *graph.Value { return graph.Add(o.g.Param("b", 4, 1, 1), o.batch) }, "float32[N,4,5,7]"},
		{"Add one to a dynamic batch", func(o operands) *graph.Value { return graph.Add(graph.SliceAxis(o.image, 0, 0, 1, 1), o.batch) }, "float32[N,4,5,7]"},
		{"Add many to a dynamic batch", func(o operands) *graph.Value { return graph.Add(o.image, o.batch) }, "float32[2,4,5,7]"},
		{"Add scalars", func(o operands) *graph.Value { return graph.Add(o.g.Scalar(1), o.g.Scalar(2)) }, "float32[]"},
		{"Greater", func(o operands) *graph.Value { return graph.Greater(o.matrix, o.row) }, "bool[4,5]"},
		{"Equal uint8", func(o operands) *graph.Value { return graph.Equal(o.bytes, o.bytes) }, "bool[4,5]"},
		{"And", func(o operands) *graph.Value { return graph.And(o.mask, graph.Not(o.mask)) }, "bool[4,5]"},
		{"Where", func(o operands) *graph.Value { return graph.Where(o.mask, o.row, o.g.Scalar(0)) }, "float32[4,5]"},
		{"Cast", func(o operands) *graph.Value { return graph.Cast(o.bytes, graph.Float32) }, "float32[4,5]"},
		{"Cast to itself", func(o operands) *graph.Value { return graph.Cast(o.ids, graph.Int64) }, "int64[4,5]"},
		{"Clip", func(o operands) *graph.Value { return graph.Clip(o.batch, 0, 1) }, "float32[N,4,5,7]"},

		{"Conv same", func(o operands) *graph.Value { return graph.Conv(o.batch, o.kernel, nil, graph.Same(3)) }, "float32[N,6,5,7]"},
		{"Conv valid", func(o operands) *graph.Value { return graph.Conv(o.image, o.kernel, nil, nil) }, "float32[2,6,3,5]"},
		{"Conv stride and dilation", func(o operands) *graph.Value {
			return graph.Conv(o.image, o.kernel, nil, &graph.ConvOptions{Strides: [2]int{2, 3}, Dilations: [2]int{2, 1}, Pads: [4]int{1, 0, 0, 2}})
		}, "float32[2,6,1,3]"},
		{"Conv groups", func(o operands) *graph.Value {
			return graph.Conv(o.image, o.g.Param("w", 6, 2, 1, 1), o.g.Param("b", 6), &graph.ConvOptions{Groups: 2})
		}, "float32[2,6,5,7]"},
		{"Conv of dynamic images", func(o operands) *graph.Value {
			return graph.Conv(o.g.Input("x", graph.Float32, 1, 4, graph.Dynamic, graph.Dynamic), o.kernel, nil, nil)
		}, "float32[1,6,N,N]"},
		{"ConvTranspose", func(o operands) *graph.Value {
			return graph.ConvTranspose(o.batch, o.g.Param("w", 4, 3, 3, 3), o.g.Param("b", 6), &graph.ConvOptions{Strides: [2]int{2, 2}, Pads: [4]int{1, 1, 1, 1}, Groups: 2}, 1, 0)
		}, "float32[N,6,10,13]"},
		{"MaxPool drops the rest", func(o operands) *graph.Value { return graph.MaxPool(o.batch, 2, 2, nil) }, "float32[N,4,2,3]"},
		{"MaxPool indices", func(o operands) *graph.Value {
			return o.g.OpN("MaxPool", attr("kernel_shape", []int64{2, 2}), 2, o.image)[1]
		}, "int64[2,4,4,6]"},
		{"AveragePool", func(o operands) *graph.Value {
			return graph.AveragePool(o.image, 3, 3, &graph.PoolOptions{Pads: [4]int{1, 1, 1, 1}, Strides: [2]int{2, 1}})
		}, "float32[2,4,3,7]"},
		{"Upsample", func(o operands) *graph.Value { return graph.UpsampleNearest(o.batch, 2, 3) }, "float32[N,4,10,21]"},
		{"Resize to sizes", func(o operands) *graph.Value {
			return o.g.Op("Resize", nearest, o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, "float32[2,4,9,9]"},
		{"ResizeLinear", func(o operands) *graph.Value { return graph.ResizeLinear(o.batch, 9, 3, nil) }, "float32[N,4,9,3]"},
		{"GlobalAveragePool", func(o operands) *graph.Value { return graph.GlobalAveragePool(o.batch) }, "float32[N,4,1,1]"},
		{"DepthToSpace", func(o operands) *graph.Value { return graph.DepthToSpace(o.batch, 2, graph.CRD) }, "float32[N,1,10,14]"},
		{"SpaceToDepth", func(o operands) *graph.Value {
			return graph.SpaceToDepth(graph.SliceAxis(graph.SliceAxis(o.batch, 2, 1, 5, 1), 3, 1, 7, 1), 2, graph.CRD)
		}, "float32[N,16,2,3]"},
		{"Softmax", func(o operands) *graph.Value { return graph.Softmax(o.batch, 1) }, "float32[N,4,5,7]"},
		{"Max of three", func(o operands) *graph.Value { return graph.Max(o.row, o.matrix, o.g.Scalar(1)) }, "float32[4,5]"},
		{"Min uint8", func(o operands) *graph.Value { return graph.Min(o.bytes, o.bytes) }, "uint8[4,5]"},
		{"Pow", func(o operands) *graph.Value { return graph.Pow(o.row, o.matrix) }, "float32[4,5]"},
		{"Split", func(o operands) *graph.Value { return graph.Split(o.batch, -1, 2, 5)[1] }, "float32[N,4,5,5]"},
		{"Split by number", func(o operands) *graph.Value {
			return o.g.OpN("Split", []graph.Attr{{Name: "axis", Value: int64(3)}, {Name: "num_outputs", Value: int64(3)}}, 3, o.batch)[2]
		}, "float32[N,4,5,1]"},
		{"GroupNorm", func(o operands) *graph.Value {
			return graph.GroupNorm(o.batch, 2, o.g.Param("scale", 4), nil, 1e-5)
		}, "float32[N,4,5,7]"},
		{"InstanceNorm", func(o operands) *graph.Value {
			return graph.InstanceNorm(o.batch, nil, o.g.Param("bias", 4), 1e-5)
		}, "float32[N,4,5,7]"},
		{"LayerNorm", func(o operands) *graph.Value { return graph.LayerNorm(o.batch, 2, nil, nil, 1e-5) }, "float32[N,4,5,7]"},
		{"BatchNorm", func(o operands) *graph.Value { y, _, _ := graph.BatchNorm(o.batch, nil, nil, 1e-5); return y }, "float32[N,4,5,7]"},
		{"BatchNorm variance", func(o operands) *graph.Value { _, _, v := graph.BatchNorm(o.batch, nil, nil, 1e-5); return v }, "float32[4]"},

		{"MatMul", func(o operands) *graph.Value { return graph.MatMul(o.batch, o.g.Param("w", 7, 3)) }, "float32[N,4,5,3]"},
		{"MatMul broadcast", func(o operands) *graph.Value { return graph.MatMul(o.g.Param("w", 1, 6, 5), o.batch) }, "float32[N,4,6,7]"},
		{"Gemm", func(o operands) *graph.Value {
			return graph.Gemm(o.matrix, o.g.Param("w", 3, 4), o.g.Param("c", 5, 1), &graph.GemmOptions{TransA: true, TransB: true})
		}, "float32[5,3]"},

		{"ReduceSum all", func(o operands) *graph.Value { return graph.ReduceSum(o.batch, false) }, "float32[]"},
		{"ReduceMean keeps", func(o operands) *graph.Value { return graph.ReduceMean(o.batch, true, -1, 1) }, "float32[N,1,5,1]"},
		{"ReduceMax of the images", func(o operands) *graph.Value { return graph.ReduceMax(o.batch, false, 1, 2, 3) }, "float32[N]"},
		{"ReduceSum without axes", func(o operands) *graph.Value {
			return o.g.Op("ReduceSum", attr("noop_with_empty_axes", int64(1)), o.matrix)
		}, "float32[4,5]"},
		{"MeanAll", func(o operands) *graph.Value { return graph.MeanAll(o.batch) }, "float32[1]"},

		{"Reshape", func(o operands) *graph.Value { return graph.Reshape(o.image, 8, 35) }, "float32[8,35]"},
		{"Reshape batch kept", func(o operands) *graph.Value { return graph.Reshape(o.batch, 0, -1) }, "float32[N,140]"},
		{"Reshape batch is the rest", func(o operands) *graph.Value { return graph.Reshape(o.batch, -1, 140) }, "float32[N,140]"},
		{"Reshape into the batch", func(o operands) *graph.Value { return graph.Reshape(o.batch, -1, 5, 7) }, "float32[N,5,7]"},
		{"Transpose", func(o operands) *graph.Value { return graph.Transpose(o.batch, 0, 2, 3, 1) }, "float32[N,5,7,4]"},
		{"Concat", func(o operands) *graph.Value { return graph.Concat(-3, o.batch, o.batch) }, "float32[N,8,5,7]"},
		{"Concat batches", func(o operands) *graph.Value { return graph.Concat(0, o.image, o.batch) }, "float32[N,4,5,7]"},
		{"Slice", func(o operands) *graph.Value { return graph.SliceAxis(o.batch, 3, 1, -1, 2) }, "float32[N,4,5,3]"},
		{"Slice backwards", func(o operands) *graph.Value { return graph.SliceAxis(o.image, -1, -1, -math.MaxInt32, -3) }, "float32[2,4,5,3]"},
		{"Slice nothing", func(o operands) *graph.Value { return graph.SliceAxis(o.image, 2, 4, 2, 1) }, "float32[2,4,0,7]"},
		{"Slice by default axes", func(o operands) *graph.Value { return o.g.Op("Slice", nil, o.matrix, o.ints(1, 2), o.ints(9, 4)) }, "float32[3,2]"},
		{"Pad", func(o operands) *graph.Value {
			return graph.Pad(o.batch, "reflect", []int{0, 0, 4, 0}, []int{0, 0, 0, 6})
		}, "float32[N,4,9,13]"},
		{"Pad crops", func(o operands) *graph.Value { return graph.Pad(o.matrix, "constant", []int{-1, 0}, []int{-2, 3}) }, "float32[1,8]"},
		{"Expand", func(o operands) *graph.Value { return graph.Expand(o.row, 3, 1, 5) }, "float32[3,1,5]"},
		{"Gather", func(o operands) *graph.Value { return graph.Gather(o.batch, 1, 3, 0) }, "float32[N,2,5,7]"},
		{"Gather by a matrix", func(o operands) *graph.Value { return o.g.Op("Gather", nil, o.row, o.ids) }, "float32[4,5]"},
		{"ScatterElements", func(o operands) *graph.Value { return o.g.Op("ScatterElements", nil, o.matrix, o.ids, o.matrix) }, "float32[4,5]"},

		{"Shape", func(o operands) *graph.Value { return o.g.Op("Shape", nil, o.batch) }, "int64[4]"},
		{"Shape of the images", func(o operands) *graph.Value { return o.g.Op("Shape", attr("start", int64(-3)), o.batch) }, "int64[3]"},
		{"Shape of nothing", func(o operands) *graph.Value {
			return o.g.Op("Shape", []graph.Attr{{Name: "start", Value: int64(3)}, {Name: "end", Value: int64(-9)}}, o.batch)
		}, "int64[0]"},
		{"Size", func(o operands) *graph.Value { return graph.Size(o.batch, 0) }, "int64[]"},
		{"Range", func(o operands) *graph.Value { return graph.Range(o.g.Scalar(1), o.g.Scalar(2.5), o.g.Scalar(0.5)) }, "float32[3]"},
		{"Range to what is dynamic", func(o operands) *graph.Value {
			zero, one := o.g.Const("", graph.NewTensor([]int64{0})), o.g.Const("", graph.NewTensor([]int64{1}))
			return graph.Range(zero, graph.Size(o.batch, 0), one)
		}, "int64[N]"},
		{"Range of nothing", func(o operands) *graph.Value { return graph.Range(o.g.Scalar(1), o.g.Scalar(1), o.g.Scalar(1)) }, "float32[0]"},
		{"Floor", func(o operands) *graph.Value { return graph.Floor(o.batch) }, "float32[N,4,5,7]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOperands()
			v := c.build(o)
			if err := o.g.Err(); err != nil {
				t.Fatal(err)
			}
			if got := v.Type.String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestInferErrors(t *testing.T) {
	op := func(name string, attrs []graph.Attr, in ...*graph.Value) *graph.Value {
		return in[0].Graph().Op(name, attrs, in...)
	}
	for _, c := range []struct {
		name  string
		build func(o operands) *graph.Value
		want  string
	}{
		{"unknown operator", func(o operands) *graph.Value { return op("Twice", nil, o.row) }, `graph: operator "Twice" is not known`},
		{"unknown attribute", func(o operands) *graph.Value { return op("Add", attr("axis", int64(0)), o.row, o.row) },
			`graph: Add(row float32[5], row float32[5]): attribute "axis" is not known`},
		{"type of an attribute", func(o operands) *graph.Value { return op("Concat", attr("axis", "0"), o.row, o.row) },
			`graph: Concat(row float32[5], row float32[5]): attribute "axis": got string, want int64`},
		{"other graph", func(o operands) *graph.Value { return graph.Add(o.row, newOperands().row) }, `graph: Add: operand 1 ("row") belongs to another graph`},
		{"missing operand", func(o operands) *graph.Value { return op("Add", nil, o.row, nil) }, "graph: Add: operand 1 is missing"},
		{"missing kernel", func(o operands) *graph.Value { return op("Conv", nil, o.image, nil, o.row) }, "graph: Conv: operand 1 is missing"},
		{"number of operands", func(o operands) *graph.Value { return op("Add", nil, o.row) }, "graph: Add(row float32[5]): got 1 operands, want 2"},
		{"dtypes differ", func(o operands) *graph.Value { return graph.Mul(o.matrix, o.bytes) },
			"graph: Mul(matrix float32[4,5], bytes uint8[4,5]): got float32 and uint8, want operands of one type"},
		{"no broadcast", func(o operands) *graph.Value { return graph.Add(o.matrix, o.kernel) },
			"graph: Add(matrix float32[4,5], kernel float32[6,4,3,3]): shapes [4,5] and [6,4,3,3] do not broadcast"},
		{"And of floats", func(o operands) *graph.Value { return graph.And(o.row, o.row) }, "graph: And(row float32[5], row float32[5]): got float32, want bool"},
		{"Where condition", func(o operands) *graph.Value { return graph.Where(o.row, o.row, o.row) },
			"graph: Where(row float32[5], row float32[5], row float32[5]): got float32, float32, float32, want a bool and two of one type"},
		{"Cast", func(o operands) *graph.Value { return graph.Cast(o.row, 99) }, "graph: Cast(row float32[5]): cannot cast to dtype(99)"},
		{"Clip bound dtype", func(o operands) *graph.Value { return graph.Clip(o.bytes, 0, 1) },
			"graph: Clip(bytes uint8[4,5], const_8 float32[], const_9 float32[]): bound 0: got float32[], want a scalar of type uint8"},
		{"Clip bound shape", func(o operands) *graph.Value { return op("Clip", nil, o.row, nil, o.row) },
			"graph: Clip(row float32[5], -, row float32[5]): bound 1: got float32[5], want a scalar of type float32"},

		{"Conv rank", func(o operands) *graph.Value { return graph.Conv(o.matrix, o.kernel, nil, nil) },
			"graph: Conv(matrix float32[4,5], kernel float32[6,4,3,3]): got float32[4,5] and float32[6,4,3,3], want [N,C,H,W] and [O,C,kh,kw]"},
		{"Conv channels", func(o operands) *graph.Value { return graph.Conv(o.image, o.g.Param("w", 2, 3, 1, 1), nil, nil) },
			"graph: Conv(image float32[2,4,5,7], w float32[2,3,1,1]): got 4 input channels, want 3"},
		{"Conv groups", func(o operands) *graph.Value {
			return graph.Conv(o.image, o.g.Param("w", 3, 2, 1, 1), nil, &graph.ConvOptions{Groups: 2})
		}, "graph: Conv(image float32[2,4,5,7], w float32[3,2,1,1]): got 3 output channels in 2 groups"},
		{"Conv bias", func(o operands) *graph.Value { return graph.Conv(o.image, o.kernel, o.row, nil) },
			"graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3], row float32[5]): bias: got float32[5], want [6]"},
		{"Conv too small", func(o operands) *graph.Value { return graph.Conv(o.image, o.g.Param("w", 1, 4, 6, 1), nil, nil) },
			"graph: Conv(image float32[2,4,5,7], w float32[1,4,6,1]): the kernel is larger than the padded image"},
		{"Conv auto_pad", func(o operands) *graph.Value { return op("Conv", attr("auto_pad", "SAME_UPPER"), o.image, o.kernel) },
			`graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3]): attribute "auto_pad": got "SAME_UPPER", want "NOTSET"`},
		{"Conv group", func(o operands) *graph.Value { return op("Conv", attr("group", int64(-1)), o.image, o.kernel) },
			"graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3]): got -1 groups"},
		{"Conv by a dynamic kernel", func(o operands) *graph.Value {
			return op("Conv", nil, o.image, o.g.Input("w", graph.Float32, 6, 4, 3, graph.Dynamic))
		}, "graph: Conv(image float32[2,4,5,7], w float32[6,4,3,N]): weights: got float32[6,4,3,N], want a kernel of known size"},
		{"Conv kernel_shape", func(o operands) *graph.Value {
			return op("Conv", attr("kernel_shape", []int64{2, 2}), o.image, o.kernel)
		},
			"graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3]): kernel_shape: got [2 2] for weights float32[6,4,3,3]"},
		{"Conv pads", func(o operands) *graph.Value { return op("Conv", attr("pads", []int64{1, 1}), o.image, o.kernel) },
			"graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3]): pads: got [1 1], want 4 numbers"},
		{"Conv strides", func(o operands) *graph.Value { return op("Conv", attr("strides", []int64{0, 1}), o.image, o.kernel) },
			"graph: Conv(image float32[2,4,5,7], kernel float32[6,4,3,3]): strides: got [0 1]"},
		{"ConvTranspose channels", func(o operands) *graph.Value { return graph.ConvTranspose(o.image, o.kernel, nil, nil, 0, 0) },
			"graph: ConvTranspose(image float32[2,4,5,7], kernel float32[6,4,3,3]): got 4 input channels, want 6"},
		{"ConvTranspose bias", func(o operands) *graph.Value {
			return graph.ConvTranspose(o.image, o.g.Param("w", 4, 3, 3, 3), o.row, nil, 0, 0)
		}, "graph: ConvTranspose(image float32[2,4,5,7], w float32[4,3,3,3], row float32[5]): bias: got float32[5], want [3]"},
		{"ConvTranspose groups", func(o operands) *graph.Value {
			return graph.ConvTranspose(o.image, o.g.Param("w", 4, 3, 3, 3), nil, &graph.ConvOptions{Groups: 3}, 0, 0)
		}, "graph: ConvTranspose(image float32[2,4,5,7], w float32[4,3,3,3]): got 4 input channels in 3 groups"},
		{"ConvTranspose output_padding", func(o operands) *graph.Value {
			return graph.ConvTranspose(o.image, o.g.Param("w", 4, 3, 3, 3), nil, &graph.ConvOptions{Strides: [2]int{2, 2}}, 0, 2)
		}, "graph: ConvTranspose(image float32[2,4,5,7], w float32[4,3,3,3]): output_padding: got [0 2], want 2 numbers below strides [2 2] or dilations [1 1]"},
		{"ConvTranspose pads", func(o operands) *graph.Value {
			return graph.ConvTranspose(o.image, o.g.Param("w", 4, 3, 3, 3), nil, &graph.ConvOptions{Pads: [4]int{4, 0, 4, 0}}, 0, 0)
		}, "graph: ConvTranspose(image float32[2,4,5,7], w float32[4,3,3,3]): pads [4 0 4 0] leave nothing of the image"},
		{"MaxPool window", func(o operands) *graph.Value { return graph.MaxPool(o.image, 6, 2, nil) },
			"graph: MaxPool(image float32[2,4,5,7]): the window is larger than the padded image"},
		{"MaxPool pads", func(o operands) *graph.Value {
			return graph.MaxPool(o.image, 2, 2, &graph.PoolOptions{Pads: [4]int{0, 2, 0, 0}})
		}, "graph: MaxPool(image float32[2,4,5,7]): got a window of [2 2] and pads [0 2 0 0], want every window to see the image"},
		{"AveragePool without a window", func(o operands) *graph.Value {
			return graph.AveragePool(o.image, 0, 2, &graph.PoolOptions{Strides: [2]int{1, 1}})
		}, "graph: AveragePool(image float32[2,4,5,7]): got a window of [0 2] and pads [0 0 0 0], want every window to see the image"},
		{"MaxPool ceil_mode", func(o operands) *graph.Value {
			return op("MaxPool", []graph.Attr{{Name: "kernel_shape", Value: []int64{2, 2}}, {Name: "ceil_mode", Value: int64(1)}}, o.image)
		}, `graph: MaxPool(image float32[2,4,5,7]): attribute "ceil_mode": got 1, want 0`},
		{"MaxPool storage_order", func(o operands) *graph.Value {
			return op("MaxPool", []graph.Attr{{Name: "kernel_shape", Value: []int64{2, 2}}, {Name: "storage_order", Value: int64(1)}}, o.image)
		}, `graph: MaxPool(image float32[2,4,5,7]): attribute "storage_order": got 1, want 0`},
		{"GlobalAveragePool", func(o operands) *graph.Value { return graph.GlobalAveragePool(o.matrix) },
			"graph: GlobalAveragePool(matrix float32[4,5]): got float32[4,5], want floats [N,C,H,W]"},
		{"Resize scales", func(o operands) *graph.Value { return op("Resize", nil, o.image, nil, o.row) },
			"graph: Resize(image float32[2,4,5,7], -, row float32[5]): scales: got float32[5], want a constant float32 vector"},
		{"Resize batch", func(o operands) *graph.Value { return resize(o.batch, []float32{2, 1, 1, 1}) },
			"graph: Resize(batch float32[N,4,5,7], -, const_8 float32[4]): scales dynamic axis 0"},
		{"Resize sizes", func(o operands) *graph.Value { return op("Resize", nil, o.image, nil, nil, o.ints(3, 3)) },
			"graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[2]): got 0 scales and 2 sizes for 4 axes of float32[2,4,5,7], want one of the two"},
		{"Resize by nothing", func(o operands) *graph.Value { return op("Resize", nil, o.image, nil) },
			"graph: Resize(image float32[2,4,5,7], -): got 0 scales and 0 sizes for 4 axes of float32[2,4,5,7], want one of the two"},
		{"Resize to a negative size", func(o operands) *graph.Value { return graph.ResizeLinear(o.image, -1, 4, nil) },
			"graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[2]): axis 2: got -1 pixels from 5"},
		{"Resize by a scale that moves pixels only", func(o operands) *graph.Value { return resize(o.image, []float32{1, 1, 1.1, 2}) },
			"graph: Resize(image float32[2,4,5,7], -, const_8 float32[4]): axis 2: a scale of 1.100000023841858 leaves all of 5 pixels"},
		{"Resize axes", func(o operands) *graph.Value {
			return op("Resize", attr("axes", []int64{2, -2}), o.image, nil, nil, o.ints(3, 3))
		}, "graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[2]): axes: got [2 -2] for float32[2,4,5,7]"},
		{"Resize nearest antialias", func(o operands) *graph.Value {
			return op("Resize", attr("antialias", int64(1)), o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, "graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): mode nearest: antialias true, exclude_outside false"},
		{"Resize nearest_mode", func(o operands) *graph.Value {
			return op("Resize", attr("nearest_mode", "simple"), o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, `graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): nearest_mode "simple"`},
		{"Resize mode", func(o operands) *graph.Value {
			return op("Resize", attr("mode", "lanczos"), o.image, nil, nil, o.ints(2, 4, 9, 9))
		},
			`graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): mode: got "lanczos", want nearest, linear or cubic`},
		{"Resize aspect ratio", func(o operands) *graph.Value {
			return op("Resize", attr("keep_aspect_ratio_policy", "not_larger"), o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, `graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): attribute "keep_aspect_ratio_policy": got "not_larger", want "stretch"`},
		{"Resize linear of bytes", func(o operands) *graph.Value {
			return op("Resize", attr("mode", "linear"), o.bytes, nil, nil, o.ints(8, 8))
		}, "graph: Resize(bytes uint8[4,5], -, -, const_8 int64[2]): mode linear: got uint8[4,5], want floats"},
		{"Resize linear by a region", func(o operands) *graph.Value {
			return op("Resize", []graph.Attr{{Name: "mode", Value: "linear"}, {Name: "coordinate_transformation_mode", Value: "tf_crop_and_resize"}}, o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, `graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): coordinate_transformation_mode "tf_crop_and_resize"`},
		{"Resize linear exclude_outside", func(o operands) *graph.Value {
			return op("Resize", []graph.Attr{{Name: "mode", Value: "linear"}, {Name: "exclude_outside", Value: int64(1)}}, o.image, nil, nil, o.ints(2, 4, 9, 9))
		}, "graph: Resize(image float32[2,4,5,7], -, -, const_8 int64[4]): mode linear: exclude_outside without antialias"},

		{"Softmax axis", func(o operands) *graph.Value { return graph.Softmax(o.row, 1) }, "graph: Softmax(row float32[5]): axis 1: got a tensor of rank 1"},
		{"Tanh of bytes", func(o operands) *graph.Value { return graph.Tanh(o.bytes) }, "graph: Tanh(bytes uint8[4,5]): got uint8, want floats"},
		{"Pow of integers", func(o operands) *graph.Value { return graph.Pow(o.ids, o.ids) }, "graph: Pow(ids int64[4,5], ids int64[4,5]): got int64, want floats"},
		{"Max of two types", func(o operands) *graph.Value { return graph.Max(o.matrix, o.bytes) },
			"graph: Max(matrix float32[4,5], bytes uint8[4,5]): got float32 and uint8, want operands of one type"},
		{"DepthToSpace channels", func(o operands) *graph.Value { return graph.DepthToSpace(o.image, 3, graph.DCR) },
			"graph: DepthToSpace(image float32[2,4,5,7]): got 4 channels, want a multiple of 9"},
		{"DepthToSpace size", func(o operands) *graph.Value { return graph.DepthToSpace(o.image, 1<<40, graph.DCR) },
			"graph: DepthToSpace(image float32[2,4,5,7]): got float32[2,4,5,7] in blocks of 1099511627776, want [N,C,H,W] and at least 1"},
		{"DepthToSpace order", func(o operands) *graph.Value { return graph.DepthToSpace(o.image, 2, "RCD") }, `graph: DepthToSpace(image float32[2,4,5,7]): mode "RCD"`},
		{"SpaceToDepth rest", func(o operands) *graph.Value { return graph.SpaceToDepth(o.image, 2, graph.CRD) },
			"graph: SpaceToDepth(image float32[2,4,5,7]): got float32[2,4,5,7], want an image of whole blocks of 2"},
		{"SpaceToDepth order", func(o operands) *graph.Value { return graph.SpaceToDepth(o.image, 1, "") }, `graph: SpaceToDepth: order ""`},
		{"InstanceNorm", func(o operands) *graph.Value { return graph.InstanceNorm(o.matrix, nil, nil, 1) }, "graph: InstanceNorm: got float32[4,5], want [N,C,…]"},
		{"GroupNorm", func(o operands) *graph.Value { return graph.GroupNorm(o.image, 3, nil, nil, 1) }, "graph: GroupNorm: got float32[2,4,5,7] in 3 groups"},
		{"LayerNorm", func(o operands) *graph.Value { return graph.LayerNorm(o.matrix, 2, nil, nil, 1) }, "graph: LayerNorm: axis 2: got a tensor of rank 2"},

		{"MatMul", func(o operands) *graph.Value { return graph.MatMul(o.matrix, o.matrix) },
			"graph: MatMul(matrix float32[4,5], matrix float32[4,5]): got float32[4,5] times float32[4,5]"},
		{"MatMul of a vector", func(o operands) *graph.Value { return graph.MatMul(o.matrix, o.row) },
			"graph: MatMul(matrix float32[4,5], row float32[5]): got float32[4,5] times float32[5]"},
		{"Gemm", func(o operands) *graph.Value { return graph.Gemm(o.matrix, o.matrix, nil, nil) },
			"graph: Gemm(matrix float32[4,5], matrix float32[4,5]): inner dimensions 5 and 4 differ"},
		{"Gemm addend", func(o operands) *graph.Value {
			return graph.Gemm(o.matrix, o.matrix, o.row, &graph.GemmOptions{TransB: true})
		}, "graph: Gemm(matrix float32[4,5], matrix float32[4,5], row float32[5]): addend: got float32[5], want it to broadcast to [4,4]"},
		{"ReduceSum axis", func(o operands) *graph.Value { return graph.ReduceSum(o.matrix, true, 2) },
			"graph: ReduceSum(matrix float32[4,5], const_8 int64[1]): axis 2: got a tensor of rank 2"},
		{"ReduceSum axes", func(o operands) *graph.Value { return op("ReduceSum", nil, o.matrix, o.ids) },
			"graph: ReduceSum(matrix float32[4,5], ids int64[4,5]): operand 1: got int64[4,5], want a constant int64 vector"},

		{"Reshape", func(o operands) *graph.Value { return graph.Reshape(o.matrix, 3, 5) },
			"graph: Reshape(matrix float32[4,5], const_8 int64[2]): shape [3 5] has another number of elements"},
		{"Reshape rest", func(o operands) *graph.Value { return graph.Reshape(o.matrix, 3, -1) },
			"graph: Reshape(matrix float32[4,5], const_8 int64[2]): shape [3 -1] does not divide the elements"},
		{"Reshape two rests", func(o operands) *graph.Value { return graph.Reshape(o.matrix, -1, -1) },
			"graph: Reshape(matrix float32[4,5], const_8 int64[2]): shape [-1 -1]"},
		{"Reshape batch away", func(o operands) *graph.Value { return graph.Reshape(o.batch, 4, 5, 7) },
			"graph: Reshape(batch float32[N,4,5,7], const_8 int64[3]): shape [4 5 7] has another number of elements"},
		{"Transpose", func(o operands) *graph.Value { return graph.Transpose(o.matrix, 0, 0) }, "graph: Transpose(matrix float32[4,5]): permutation [0 0]"},
		{"Concat", func(o operands) *graph.Value { return graph.Concat(0, o.matrix, o.row) },
			"graph: Concat(matrix float32[4,5], row float32[5]): operand 1: got float32[5] beside float32[4,5]"},
		{"Slice batch", func(o operands) *graph.Value { return graph.SliceAxis(o.batch, 0, 0, 1, 1) },
			"graph: Slice(batch float32[N,4,5,7], const_8 int64[1], const_9 int64[1], const_10 int64[1], const_11 int64[1]): cannot take [0::1] of axis 0 of float32[N,4,5,7]"},
		{"Slice step", func(o operands) *graph.Value { return graph.SliceAxis(o.matrix, 0, 1, 3, 0) },
			"graph: Slice(matrix float32[4,5], const_8 int64[1], const_9 int64[1], const_10 int64[1], const_11 int64[1]): cannot take [1::0] of axis 0 of float32[4,5]"},
		{"Slice lists", func(o operands) *graph.Value {
			return op("Slice", nil, o.matrix, o.ints(0, 0), o.ints(2, 2), o.ints(0))
		},
			"graph: Slice(matrix float32[4,5], const_8 int64[2], const_9 int64[2], const_10 int64[1]): got 2 starts, 2 ends, 1 axes, 0 steps"},
		{"Pad number", func(o operands) *graph.Value { return graph.Pad(o.matrix, "edge", []int{1}, []int{1}) },
			"graph: Pad(matrix float32[4,5], const_8 int64[2]): got 2 pads, want 4"},
		{"Pad mode", func(o operands) *graph.Value { return graph.Pad(o.matrix, "wrap", []int{1, 0}, []int{1, 0}) },
			`graph: Pad(matrix float32[4,5], const_8 int64[4]): mode "wrap"`},
		{"Pad reflects too much", func(o operands) *graph.Value { return graph.Pad(o.matrix, "reflect", []int{0, 5}, []int{0, 0}) },
			"graph: Pad(matrix float32[4,5], const_8 int64[4]): axis 1: reflects 5 of 5 elements"},
		{"Pad batch", func(o operands) *graph.Value {
			return graph.Pad(o.batch, "constant", []int{1, 0, 0, 0}, []int{0, 0, 0, 0})
		}, "graph: Pad(batch float32[N,4,5,7], const_8 int64[8]): pads dynamic axis 0"},
		{"Pad crops too much", func(o operands) *graph.Value { return graph.Pad(o.matrix, "constant", []int{-3, 0}, []int{-2, 0}) },
			"graph: Pad(matrix float32[4,5], const_8 int64[4]): axis 0: crops 5 elements from 4"},
		{"Pad value", func(o operands) *graph.Value { return op("Pad", nil, o.row, o.ints(1, 1), o.row) },
			"graph: Pad(row float32[5], const_8 int64[2], row float32[5]): value: got float32[5], want a scalar of type float32"},
		{"Reshape allowzero", func(o operands) *graph.Value { return op("Reshape", attr("allowzero", int64(1)), o.matrix, o.ints(20)) },
			`graph: Reshape(matrix float32[4,5], const_8 int64[1]): attribute "allowzero": got 1, want 0`},
		{"Expand", func(o operands) *graph.Value { return graph.Expand(o.matrix, -1, 5) }, "graph: Expand(matrix float32[4,5], const_8 int64[2]): shape [-1 5]"},
		{"Split lengths", func(o operands) *graph.Value { return graph.Split(o.matrix, 1, 2, 4)[1] },
			"graph: Split(matrix float32[4,5], const_8 int64[2]): axis 1 of float32[4,5]: got lengths [2 4]"},
		{"Split negative", func(o operands) *graph.Value { return graph.Split(o.matrix, 1, 6, -1)[1] },
			"graph: Split(matrix float32[4,5], const_8 int64[2]): axis 1 of float32[4,5]: got lengths [6 -1]"},
		{"Split into nothing", func(o operands) *graph.Value { return op("Split", nil, o.matrix) },
			"graph: Split(matrix float32[4,5]): axis 0 of float32[4,5]: got lengths [] and num_outputs 0, want one of the two"},
		{"Split into too many", func(o operands) *graph.Value { return op("Split", attr("num_outputs", int64(5)), o.matrix) },
			"graph: Split(matrix float32[4,5]): axis 0 of float32[4,5]: cannot be cut into 5 pieces of 1"},
		{"Split batch", func(o operands) *graph.Value { return graph.Split(o.batch, 0, 1, 1)[0] },
			"graph: Split(batch float32[N,4,5,7], const_8 int64[2]): axis 0 of float32[N,4,5,7]: got lengths [1 1] and num_outputs 0, want one of the two"},
		{"Gather axis", func(o operands) *graph.Value { return graph.Gather(o.matrix, 2, 0) },
			"graph: Gather(matrix float32[4,5], const_8 int64[1]): axis 2: got a tensor of rank 2"},
		{"Gather indices", func(o operands) *graph.Value { return op("Gather", nil, o.matrix, o.row) },
			"graph: Gather(matrix float32[4,5], row float32[5]): indices: got float32[5], want int64"},
		{"Mod of floats", func(o operands) *graph.Value { return op("Mod", nil, o.row, o.row) },
			"graph: Mod(row float32[5], row float32[5]): fmod: got 0 for float32, want 1"},
		{"ArgMax axis", func(o operands) *graph.Value { return op("ArgMax", attr("axis", int64(2)), o.matrix) },
			"graph: ArgMax(matrix float32[4,5]): axis 2: got a tensor of rank 2"},
		{"TopK", func(o operands) *graph.Value { return op("TopK", nil, o.matrix, o.ints(6)) },
			"graph: TopK(matrix float32[4,5], const_8 int64[1]): got k [6] for axis 1 of float32[4,5]"},
		{"GatherElements", func(o operands) *graph.Value { return op("GatherElements", nil, o.row, o.ids) },
			"graph: GatherElements(row float32[5], ids int64[4,5]): indices: got int64[4,5] for float32[5]"},
		{"GatherND", func(o operands) *graph.Value { return op("GatherND", nil, o.matrix, o.ids) },
			"graph: GatherND(matrix float32[4,5], ids int64[4,5]): indices: got int64[4,5] for float32[4,5]"},
		{"ScatterND", func(o operands) *graph.Value { return op("ScatterND", nil, o.matrix, o.ints(1), o.matrix) },
			"graph: ScatterND(matrix float32[4,5], const_8 int64[1], matrix float32[4,5]): updates: got float32[4,5], want float32[5]"},
		{"Shape start", func(o operands) *graph.Value { return op("Shape", attr("start", float32(1)), o.batch) },
			`graph: Shape(batch float32[N,4,5,7]): attribute "start": got float32, want int64`},
		{"Range of two types", func(o operands) *graph.Value {
			return graph.Range(o.g.Scalar(1), graph.Size(o.batch, 1), o.g.Scalar(1))
		}, "graph: Range(const_8 float32[], gather_11 int64[], const_8 float32[]): operand 1: got int64[], want a number of rank 0, of one type with the others"},
		{"Range of vectors", func(o operands) *graph.Value { return graph.Range(o.row, o.row, o.row) },
			"graph: Range(row float32[5], row float32[5], row float32[5]): operand 0: got float32[5], want a number of rank 0, of one type with the others"},
		{"Range without end", func(o operands) *graph.Value {
			return graph.Range(o.g.Scalar(1), o.g.Scalar(2), o.g.Scalar(0))
		}, "graph: Range(const_8 float32[], const_9 float32[], const_10 float32[]): got 1 to 2 by 0"},
		{"Floor of integers", func(o operands) *graph.Value { return graph.Floor(o.ids) }, "graph: Floor(ids int64[4,5]): got int64, want floats"},
		{"ScatterElements", func(o operands) *graph.Value { return op("ScatterElements", nil, o.row, o.ids, o.matrix) },
			"graph: ScatterElements(row float32[5], ids int64[4,5], matrix float32[4,5]): got indices int64[4,5] and updates float32[4,5] for float32[5]"},
		{"ScatterElements reduction", func(o operands) *graph.Value {
			return op("ScatterElements", attr("reduction", "mul"), o.matrix, o.ids, o.matrix)
		}, `graph: ScatterElements(matrix float32[4,5], ids int64[4,5], matrix float32[4,5]): reduction: got "mul", want none or add`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOperands()
			v := c.build(o)
			err := o.g.Err()
			if !errors.Is(err, graph.ErrGraph) || err.Error() != c.want {
				t.Errorf("got error  %v\nwant %s", err, c.want)
			}
			if v.Graph() != o.g || v.Node() != nil {
				t.Errorf("got value %q of node %v, want one that stands for a failed operator", v.Name(), v.Node())
			}
		})
	}
}
