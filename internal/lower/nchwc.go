package lower

import "github.com/anomaly-go/anomaly/graph"

// nchwcDomain is the domain of ONNX Runtime's operators on images in blocks of
// channels. Their tensors have the shape [N,C,H,W], C a multiple of the block B,
// but lie in memory as [N][C/B][H][W][B]. Element by element, operators of any
// domain do on them what they do on others; to move elements, reshape to the
// order in memory first. The operators are written down in ONNX Runtime's
// core/graph/contrib_ops/nchwc_schema_defs.cc, the layouts of filters in its
// core/mlas/lib/reorder.cpp.
const nchwcDomain = "com.microsoft.nchwc"

func nchwcOp(op string, attrs []graph.Attr, shape []int, operands ...*graph.Value) *graph.Value {
	t := []graph.Type{{DType: graph.Float32, Shape: shape}}
	return operands[0].Graph().ForeignOp(nchwcDomain, op, attrs, t, operands...)[0]
}

// Probe returns a graph whose output, of unknown shape, has as many channels (at
// axis 1) as ONNX Runtime puts in a block on the processor it runs on. Its input
// is `input`, float32 [1,4,1,1]. Where the output has 4 channels, or the graph
// does not run, the processor has no NCHWc convolutions.
func Probe() *graph.Graph {
	g := graph.New("probe")
	g.Output("output", nchwcOp("ReorderInput", nil, nil, g.Input("input", graph.Float32, 1, 4, 1, 1)))
	return g
}

// reorderInput makes blocks of x [N,C,H,W], C a multiple of block.
func reorderInput(x *graph.Value) *graph.Value { return nchwcOp("ReorderInput", nil, x.Shape, x) }

// reorderOutput makes a plain image of the first channels of x.
func reorderOutput(x *graph.Value, channels int) *graph.Value {
	s := x.Shape
	return nchwcOp("ReorderOutput", []graph.Attr{{Name: "channels", Value: int64(channels)}}, []int{s[0], channels, s[2], s[3]}, x)
}

// window are the attributes of an NCHWc convolution or pooling.
type window struct {
	kernel    [2]int
	strides   [2]int // 0 is 1
	dilations [2]int // 0 is 1
	pads      [4]int // top, left, bottom, right
	relu      bool
}

func (w window) attrs() []graph.Attr {
	list := func(xs ...int) []int64 {
		out := make([]int64, len(xs))
		for i, x := range xs {
			out[i] = int64(x)
		}
		return out
	}
	attrs := []graph.Attr{
		{Name: "kernel_shape", Value: list(w.kernel[:]...)},
		{Name: "strides", Value: list(max(w.strides[0], 1), max(w.strides[1], 1))},
		{Name: "dilations", Value: list(max(w.dilations[0], 1), max(w.dilations[1], 1))},
		{Name: "pads", Value: list(w.pads[:]...)},
	}
	if w.relu {
		attrs = append(attrs, graph.Attr{Name: "activation", Value: "Relu"})
	}
	return attrs
}

// out returns the height and width of what w makes of an image [N,C,H,W].
func (w window) out(x []int) (h, width int) {
	size := func(i int) int {
		return (x[2+i]+w.pads[i]+w.pads[i+2]-max(w.dilations[i], 1)*(w.kernel[i]-1)-1)/max(w.strides[i], 1) + 1
	}
	return size(0), size(1)
}

// nchwcConv convolves x, in blocks or an image of fewer channels than a block,
// with the packed filter f of so many output channels.
func nchwcConv(w window, channels int, x, f, bias *graph.Value) *graph.Value {
	h, width := w.out(x.Shape)
	operands := []*graph.Value{x, f}
	if bias != nil {
		operands = append(operands, bias)
	}
	return nchwcOp("Conv", w.attrs(), []int{x.Dim(0), channels, h, width}, operands...)
}

// halve is a max-pooling of 2×2 windows.
func halve(x *graph.Value) *graph.Value {
	w := window{kernel: [2]int{2, 2}, strides: [2]int{2, 2}}
	h, width := w.out(x.Shape)
	return nchwcOp("MaxPool", w.attrs(), []int{x.Dim(0), x.Dim(1), h, width}, x)
}

// planeSums returns the sum of each channel of x, in blocks, over batch and
// pixels, divided by the width: [C]. Rows are summed by themselves first.
func (l *lowering) planeSums(x *graph.Value) *graph.Value {
	n, c, h, w, b := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3), l.block
	rows := nchwcOp("GlobalAveragePool", nil, []int{n * c / b * h, b, 1, 1}, graph.Reshape(x, n*c/b*h, b, 1, w))
	return graph.Reshape(graph.ReduceSum(graph.Reshape(rows, n, c/b, h, b), false, 0, 2), c)
}

// masked returns x where cond holds, elsewhere zero (NaN where x is not finite).
// It is several times faster than Where.
func masked(cond, x *graph.Value) *graph.Value { return graph.Mul(graph.Cast(cond, graph.Float32), x) }

// positive masks x by a > 0.
func positive(a, x *graph.Value) *graph.Value {
	return masked(graph.Greater(a, a.Graph().Scalar(0)), x)
}

// split takes x, in blocks, apart into its four phases: pixels of even and odd
// rows and columns.
func (l *lowering) split(x *graph.Value) (parts [4]*graph.Value) {
	n, c, h, w := x.Dim(0), x.Dim(1), x.Dim(2)/2, x.Dim(3)/2
	rows := graph.Reshape(x, n*c/l.block*h, 2, w, 2*l.block)
	phases(func(q, a, b int) {
		p := graph.SliceAxis(graph.SliceAxis(rows, 1, a, a+1, 1), 3, b*l.block, (b+1)*l.block, 1)
		parts[q] = graph.Reshape(p, n, c, h, w)
	})
	return parts
}

// join is the inverse of split.
func (l *lowering) join(parts [4]*graph.Value) *graph.Value {
	p := parts[0]
	n, c, h, w := p.Dim(0), p.Dim(1), p.Dim(2), p.Dim(3)
	var rows [2]*graph.Value
	for a := range rows {
		view := func(q int) *graph.Value { return graph.Reshape(parts[q], n*c/l.block*h, 1, w, l.block) }
		rows[a] = graph.Concat(3, view(2*a), view(2*a+1))
	}
	return graph.Reshape(graph.Concat(1, rows[0], rows[1]), n, c, 2*h, 2*w)
}

// route sends d to the first maximum, in row-major order, of the four parts.
func route(parts [4]*graph.Value, maximum, d *graph.Value) (routed [4]*graph.Value) {
	for q, p := range parts[:3] {
		routed[q] = masked(graph.Equal(p, maximum), d)
		d = graph.Sub(d, routed[q])
	}
	routed[3] = d
	return routed
}

// The gradient of a convolution's weights is a convolution itself. In blocks of
// channels, the gradient of its result [N,O,H,W] is, byte for byte, a blocked
// filter [O,B·N,H,W/B]: its input channels are the B pixels of a run. Convolved
// with it is x with pixels and channels exchanged, so that pixels are the
// channels; the places of the kernel that fit, with the columns dilated by C, are
// the kernel's rows and x's channels. Kernel columns are shifts of the filter.

// filter returns d, in blocks, as such a filter: shifted to the right by a
// number of columns, the rows filled with zeros to whole runs.
func (l *lowering) filter(d *graph.Value, shift int) *graph.Value {
	n, c, h, w := d.Dim(0), d.Dim(1), d.Dim(2), d.Dim(3)
	wide := roundUp(w, l.block)
	if shift != 0 || wide != w {
		d = graph.Pad(graph.Reshape(d, n*c/l.block*h, w*l.block), "constant",
			[]int{0, shift * l.block}, []int{0, (wide - w - shift) * l.block})
	}
	if n > 1 { // images inside blocks of channels
		d = graph.Transpose(graph.Reshape(d, n, c/l.block, h*wide*l.block), 1, 0, 2)
	}
	return graph.Reshape(d, c, l.block*n, h, wide/l.block)
}

// operand returns x, in blocks, with pixels as channels: [1,B·N,H,W/B·C], the
// rows filled with zeros to whole runs.
func (l *lowering) operand(x *graph.Value) *graph.Value {
	n, c, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	b, wide := l.block, roundUp(w, l.block)
	if wide != w {
		x = graph.Pad(graph.Reshape(x, n*c/b*h, w*b), "constant", []int{0, 0}, []int{0, (wide - w) * b})
	}
	x = reorderInput(graph.Reshape(x, n*c/b*h*wide/b, b, b, 1))
	if c > b {
		x = graph.Transpose(graph.Reshape(x, n, c/b, h*wide/b, b*b), 0, 2, 1, 3)
	}
	return graph.Reshape(x, 1, b*n, h, wide/b*c)
}

// imageOperand is operand for planes [N,S,H,W] in which a pixel's lie apart, W a
// multiple of the block.
func (l *lowering) imageOperand(x *graph.Value) *graph.Value {
	n, s, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	x = graph.Transpose(graph.Reshape(x, n, s, h, w/l.block, l.block), 0, 2, 3, 1, 4)
	return graph.Reshape(x, 1, l.block*n, h, w/l.block*s)
}

// The gradients of weights are sums over all pixels, and float32 loses digits
// with every term: those of large images are summed in bands of rows first.
const (
	longestSum = 1 << 12 // pixels that are summed in a row
	mostBands  = 32      // so that the graph stays small
)

// correlate convolves an operand of so many channels with a filter, whose rows
// are stride apart: [1,O,rows,channels].
func (l *lowering) correlate(operand, filter *graph.Value, channels, stride, top, bottom int) *graph.Value {
	out, n, h, runs := filter.Dim(0), operand.Dim(1)/l.block, filter.Dim(2), filter.Dim(3)
	rows := operand.Dim(2) + top + bottom - stride*(h-1)
	band := max(l.longestSum/(n*runs*l.block), (h+mostBands-1)/mostBands)
	var sum *graph.Value
	for first := 0; first < h; first += band {
		end := min(first+band, h)
		from, to := stride*first-top, stride*(end-1)-top+rows // rows of the operand; outside it are zeros
		part := nchwcConv(window{
			kernel:    [2]int{end - first, runs},
			dilations: [2]int{stride, channels},
			pads:      [4]int{max(-from, 0), 0, max(to-operand.Dim(2), 0), 0},
		}, out, l.rows(operand, max(from, 0), min(to, operand.Dim(2))), l.filterRows(filter, first, end), nil)
		if sum != nil {
			part = graph.Add(sum, part)
		}
		sum = part
	}
	return sum
}

// rows takes rows of x, an image in blocks.
func (l *lowering) rows(x *graph.Value, from, to int) *graph.Value {
	n, c, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	if from == 0 && to == h {
		return x
	}
	x = graph.SliceAxis(graph.Reshape(x, n*c/l.block, h, w*l.block), 1, from, to, 1)
	return graph.Reshape(x, n, c, to-from, w)
}

// filterRows takes rows of a blocked filter.
func (l *lowering) filterRows(f *graph.Value, from, to int) *graph.Value {
	out, in, h, w := f.Dim(0), f.Dim(1), f.Dim(2), f.Dim(3)
	if from == 0 && to == h {
		return f
	}
	b := l.block
	f = graph.SliceAxis(graph.Reshape(f, out/b*in/b, h, w*b*b), 1, from, to, 1)
	return graph.Reshape(f, out, in, to-from, w)
}
