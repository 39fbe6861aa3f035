package graph

import (
	"fmt"
	"math"
	"slices"
)

func init() {
	group := Attr{"group", int64(1)}
	register(map[string]operator{
		"Conv": {
			operands: arity{2, 3}, attrs: append([]Attr{group}, windowAttrs...), infer: inferConv, vjp: vjpConv,
			macs: func(n *Node) int64 { return convMACs(n.Outputs[0], n.Inputs[1]) },
		},
		"ConvTranspose": {
			operands: arity{2, 3}, attrs: append([]Attr{group, {"output_padding", []int64{}}}, windowAttrs...), infer: inferConvTranspose, vjp: vjpConvTranspose,
			macs: func(n *Node) int64 { return convMACs(n.Inputs[0], n.Inputs[1]) }, // from the pixels that go in
		},
	})
}

// convMACs is what a kernel w takes at all the places of x.
func convMACs(x, w *Value) int64 {
	if w.Rank() == 0 {
		return Open
	}
	kernel := int64(1)
	for _, d := range w.Shape[1:] {
		kernel = product(kernel, int64(d))
	}
	return product(count(x.Shape), kernel)
}

// windowAttrs are the attributes of every operator that slides a window over an image.
var windowAttrs = []Attr{
	{"auto_pad", only{"NOTSET"}}, {"dilations", []int64{}}, {"kernel_shape", []int64{}}, {"pads", []int64{}}, {"strides", []int64{}},
}

// ConvOptions are the attributes of a 2-D convolution; nil is stride 1, no
// padding, one group.
type ConvOptions struct {
	Pads      [4]int // top, left, bottom, right
	Strides   [2]int // 0 is 1
	Dilations [2]int // 0 is 1
	Groups    int    // 0 is 1
}

// Same returns options that keep the size of an image under a kernel of odd size k.
func Same(k int) *ConvOptions {
	p := k / 2
	return &ConvOptions{Pads: [4]int{p, p, p, p}}
}

func (o *ConvOptions) withDefaults() ConvOptions {
	c := ConvOptions{}
	if o != nil {
		c = *o
	}
	for i := range 2 {
		c.Strides[i] = max(c.Strides[i], 1)
		c.Dilations[i] = max(c.Dilations[i], 1)
	}
	c.Groups = max(c.Groups, 1)
	return c
}

func (o ConvOptions) attrs(kh, kw int) []Attr {
	return []Attr{
		{"dilations", int64s(o.Dilations[:])},
		{"group", int64(o.Groups)},
		{"kernel_shape", []int64{int64(kh), int64(kw)}},
		{"pads", int64s(o.Pads[:])},
		{"strides", int64s(o.Strides[:])},
	}
}

// Conv returns the 2-D convolution (cross-correlation) of x [N,C,H,W] with
// w [O,C/groups,kh,kw] plus b [O], which may be nil: [N,O,H',W'] with
// H' = (H + top + bottom - dilation·(kh-1) - 1)/stride + 1.
func Conv(x, w, b *Value, o *ConvOptions) *Value {
	attrs := o.withDefaults().attrs(w.Dim(2), w.Dim(3))
	if b == nil {
		return x.g.Op("Conv", attrs, x, w)
	}
	return x.g.Op("Conv", attrs, x, w, b)
}

// ConvTranspose returns the transposed convolution of x [N,C,H,W] with
// w [C,O/groups,kh,kw], plus b [O], which may be nil: the gradient of Conv with
// respect to its input, with outH, outW more rows and columns at the end, fewer
// than the stride or the dilation. [N,O,H',W'] with
// H' = stride·(H-1) + outH + dilation·(kh-1) + 1 - top - bottom.
func ConvTranspose(x, w, b *Value, o *ConvOptions, outH, outW int) *Value {
	attrs := append(o.withDefaults().attrs(w.Dim(2), w.Dim(3)), Attr{"output_padding", []int64{int64(outH), int64(outW)}})
	if b == nil {
		return x.g.Op("ConvTranspose", attrs, x, w)
	}
	return x.g.Op("ConvTranspose", attrs, x, w, b)
}

// convOptions reads a node's attributes back.
func convOptions(n *Node) (ConvOptions, error) {
	var o ConvOptions
	for _, f := range []struct {
		name string
		dst  []int
	}{{"pads", o.Pads[:]}, {"strides", o.Strides[:]}, {"dilations", o.Dilations[:]}} {
		v := n.Ints(f.name)
		if v != nil && len(v) != len(f.dst) {
			return o, fmt.Errorf("%s: got %v, want %d numbers", f.name, v, len(f.dst))
		}
		for i, x := range v {
			if x < 0 || x == 0 && f.name != "pads" || x > math.MaxInt32 {
				return o, fmt.Errorf("%s: got %v", f.name, v)
			}
			f.dst[i] = int(x)
		}
	}
	if o.Groups = int(n.Int("group", 1)); o.Groups < 1 || o.Groups > math.MaxInt32 {
		return o, fmt.Errorf("got %d groups", o.Groups)
	}
	return o.withDefaults(), nil
}

// checkKernel holds a convolution's kernel_shape, which its weights repeat, to those.
func checkKernel(n *Node, w *Value) error {
	if min(w.Shape[2], w.Shape[3]) < 1 {
		return fmt.Errorf("weights: got %v, want a kernel of known size", w.Type)
	}
	if k := n.Ints("kernel_shape"); k != nil && !slices.Equal(k, int64s(w.Shape[2:])) {
		return fmt.Errorf("kernel_shape: got %v for weights %v", k, w.Type)
	}
	return nil
}

// window returns how many places a window of size k has along an axis.
func window(size, before, after, k, stride, dilation int) int {
	if size == Dynamic {
		return Dynamic
	}
	span := size + before + after - dilation*(k-1) - 1
	if span < 0 {
		return 0
	}
	return span/stride + 1
}

// convOperands returns what both convolutions work on: the image, the weights,
// whose layout is named in errors, and the attributes.
func convOperands(n *Node, layout string) (x, w *Value, o ConvOptions, err error) {
	if o, err = convOptions(n); err != nil {
		return nil, nil, o, err
	}
	x, w = n.Inputs[0], n.Inputs[1]
	if x.Rank() != 4 || w.Rank() != 4 || x.DType != w.DType {
		return nil, nil, o, fmt.Errorf("got %v and %v, want [N,C,H,W] and %s", x.Type, w.Type, layout)
	}
	return x, w, o, nil
}

func inferConv(n *Node) ([]Type, error) {
	x, w, o, err := convOperands(n, "[O,C,kh,kw]")
	if err != nil {
		return nil, err
	}
	if got, want := x.Shape[1], w.Shape[1]*o.Groups; got != want && got != Dynamic && w.Shape[1] != Dynamic {
		return nil, fmt.Errorf("got %d input channels, want %d", got, want)
	}
	if w.Shape[0]%o.Groups != 0 {
		return nil, fmt.Errorf("got %d output channels in %d groups", w.Shape[0], o.Groups)
	}
	if b := n.In(2); b != nil && !slices.Equal(b.Shape, w.Shape[:1]) {
		return nil, fmt.Errorf("bias: got %v, want [%d]", b.Type, w.Shape[0])
	}
	if err := checkKernel(n, w); err != nil {
		return nil, err
	}
	shape := []int{x.Shape[0], w.Shape[0], 0, 0}
	for i := range 2 {
		shape[2+i] = window(x.Shape[2+i], o.Pads[i], o.Pads[i+2], w.Shape[2+i], o.Strides[i], o.Dilations[i])
		if shape[2+i] == 0 {
			return nil, fmt.Errorf("the kernel is larger than the padded image")
		}
	}
	return []Type{{x.DType, shape}}, nil
}

func inferConvTranspose(n *Node) ([]Type, error) {
	x, w, o, err := convOperands(n, "[C,O,kh,kw]")
	if err != nil {
		return nil, err
	}
	if x.Shape[1] != w.Shape[0] {
		return nil, fmt.Errorf("got %d input channels, want %d", x.Shape[1], w.Shape[0])
	}
	if x.Shape[1]%o.Groups != 0 {
		return nil, fmt.Errorf("got %d input channels in %d groups", x.Shape[1], o.Groups)
	}
	out := w.Shape[1] * o.Groups
	if b := n.In(2); b != nil && !slices.Equal(b.Shape, []int{out}) {
		return nil, fmt.Errorf("bias: got %v, want [%d]", b.Type, out)
	}
	if err := checkKernel(n, w); err != nil {
		return nil, err
	}
	more := n.Ints("output_padding", 0, 0)
	if len(more) != 2 || min(more[0], more[1]) < 0 || more[0] >= int64(max(o.Strides[0], o.Dilations[0])) || more[1] >= int64(max(o.Strides[1], o.Dilations[1])) {
		return nil, fmt.Errorf("output_padding: got %v, want 2 numbers below strides %v or dilations %v", more, o.Strides, o.Dilations)
	}
	shape := []int{x.Shape[0], out, Dynamic, Dynamic}
	for i := range 2 {
		if d := x.Shape[2+i]; d != Dynamic {
			shape[2+i] = o.Strides[i]*(d-1) + int(more[i]) + o.Dilations[i]*(w.Shape[2+i]-1) + 1 - o.Pads[i] - o.Pads[i+2]
			if shape[2+i] < 1 {
				return nil, fmt.Errorf("pads %v leave nothing of the image", o.Pads)
			}
		}
	}
	return []Type{{x.DType, shape}}, nil
}

func vjpConv(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, w := n.Inputs[0], n.Inputs[1]
	c, err := convOptions(n)
	if err != nil {
		return []*Value{dy.g.fail("%v", err)}
	}
	dx := make([]*Value, 3)
	if need[0] {
		dx[0] = convInputGrad(x, w, dy, c)
	}
	if need[1] {
		dx[1] = convWeightGrad(x, w, dy, c, o.ConvWeight)
	}
	if n.In(2) != nil && need[2] {
		dx[2] = ReduceSum(dy, false, 0, 2, 3)
	}
	return dx
}

// vjpConvTranspose: ConvTranspose is the input gradient of a convolution, so its
// own is that convolution, and the one of its weights is the convolution's with
// the roles of input and gradient exchanged.
func vjpConvTranspose(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	x, w := n.Inputs[0], n.Inputs[1]
	c, err := convOptions(n)
	if err != nil {
		return []*Value{dy.g.fail("%v", err)}
	}
	dx := make([]*Value, 3)
	if need[0] {
		dx[0] = Conv(dy, w, nil, &c)
		for i := range 2 { // an output_padding beyond the stride adds places
			if d := x.Shape[2+i]; d != Dynamic && dx[0].Dim(2+i) > d {
				dx[0] = SliceAxis(dx[0], 2+i, 0, d, 1)
			}
		}
	}
	if need[1] {
		dx[1] = convWeightGrad(dy, w, x, c, o.ConvWeight)
	}
	if n.In(2) != nil && need[2] {
		dx[2] = ReduceSum(dy, false, 0, 2, 3)
	}
	return dx
}

// convInputGrad is the convolution of dy with the kernel turned by 180° and its
// channels exchanged; with strides, or pads beyond the kernel, ONNX's own
// transposed convolution.
func convInputGrad(x, w, dy *Value, o ConvOptions) *Value {
	k := [2]int{w.Shape[2], w.Shape[3]}
	var pads [4]int
	direct := o.Strides == [2]int{1, 1}
	for i := range pads {
		pads[i] = o.Dilations[i%2]*(k[i%2]-1) - o.Pads[i]
		direct = direct && pads[i] >= 0
	}
	if !direct {
		var more [2]int
		for i := range more {
			size := o.Strides[i]*(dy.Shape[2+i]-1) + o.Dilations[i]*(k[i]-1) + 1 - o.Pads[i] - o.Pads[i+2]
			more[i] = x.Shape[2+i] - size
		}
		return ConvTranspose(dy, w, nil, &o, more[0], more[1])
	}
	g, out, in := o.Groups, w.Shape[0]/o.Groups, w.Shape[1]
	if g == 1 {
		w = Transpose(w, 1, 0, 2, 3)
	} else {
		w = Transpose(Reshape(w, g, out, in, k[0], k[1]), 0, 2, 1, 3, 4)
		w = Reshape(w, g*in, out, k[0], k[1])
	}
	for i := range k {
		if k[i] > 1 {
			w = flip(w, 2+i)
		}
	}
	o.Pads = pads
	return Conv(dy, w, nil, &o)
}

// convWeightGrad correlates the input with the gradient:
// dw[o,c,i,j] = Σ_{n,y,x} dy[n,o,y,x] · x[n,c,y·s+i·d-p,x·s+j·d-p].
func convWeightGrad(x, w, dy *Value, o ConvOptions, form ConvWeightGrad) *Value {
	simple := o.Groups == 1 && o.Strides == [2]int{1, 1} && o.Dilations == [2]int{1, 1} && !slices.Contains(x.Shape, Dynamic)
	switch {
	case simple && form == ByShift:
		return convWeightGradShift(x, w, dy, o)
	case simple && form == ByShiftConcat:
		return convWeightGradConcat(x, w, dy, o)
	}
	// The batch takes the place of the channels; strides and dilations change
	// places. Each group has its own channels, so its own batch too.
	if g := o.Groups; g == 1 {
		x = Transpose(x, 1, 0, 2, 3)
	} else {
		x = Transpose(Reshape(x, 0, g, w.Shape[1], x.Shape[2], x.Shape[3]), 2, 1, 0, 3, 4)
		x = Reshape(x, x.Dim(0), -1, x.Dim(3), x.Dim(4))
	}
	dw := Conv(x, Transpose(dy, 1, 0, 2, 3), nil,
		&ConvOptions{Pads: o.Pads, Strides: o.Dilations, Dilations: o.Strides, Groups: o.Groups})
	for i := range 2 { // rows that no stride reached
		dw = SliceAxis(dw, 2+i, 0, w.Shape[2+i], 1)
	}
	return Transpose(dw, 1, 0, 2, 3)
}

// convWeightGradShift multiplies matrices of shifted images: dy by each kernel
// row and x by each kernel column, both laid out as x's rows of dy's width, so
// that dw[o,c,i,j] = Σ_{n,y,x} dy[n,o,y-i+p,x] · x[n,c,y,x+j-p].
func convWeightGradShift(x, w, dy *Value, o ConvOptions) *Value {
	n, in, out := x.Shape[0], x.Shape[1], dy.Shape[1]
	kh, kw := w.Shape[2], w.Shape[3]
	h, width := x.Shape[2], dy.Shape[3]
	rows, columns := make([]*Value, kh), make([]*Value, kw)
	for i := range rows {
		top := i - o.Pads[0]
		rows[i] = pad2D(dy, top, 0, h-dy.Shape[2]-top, 0)
	}
	for j := range columns {
		left := o.Pads[1] - j
		columns[j] = pad2D(x, 0, left, 0, width-x.Shape[3]-left)
	}
	ds, xs := Concat(1, rows...), Concat(1, columns...)
	var dw *Value
	if n == 1 {
		dw = Gemm(Reshape(ds, kh*out, h*width), Reshape(xs, kw*in, h*width), nil, &GemmOptions{TransB: true})
	} else {
		dw = MatMul(Reshape(ds, n, kh*out, h*width), Transpose(Reshape(xs, n, kw*in, h*width), 0, 2, 1))
		dw = ReduceSum(dw, false, 0)
	}
	return Transpose(Reshape(dw, kh, out, kw, in), 1, 3, 0, 2)
}

// convWeightGradConcat multiplies dy by the flattened, padded x at each kernel
// offset, all of them concatenated and the batch flattened into the plane. The
// columns by which a row of dy is widened to one of the padded x are zero.
func convWeightGradConcat(x, w, dy *Value, o ConvOptions) *Value {
	n, in, out := x.Shape[0], x.Shape[1], dy.Shape[1]
	kh, kw := w.Shape[2], w.Shape[3]
	h, width := dy.Shape[2], x.Shape[3]+o.Pads[1]+o.Pads[3]
	plane := h*width - (kw - 1)
	xp := pad2D(x, o.Pads[0], o.Pads[1], o.Pads[2], o.Pads[3])
	xp = Reshape(xp, n, in, xp.Shape[2]*width)
	flat := Reshape(pad2D(dy, 0, 0, 0, kw-1), n, out, h*width)
	if kw > 1 {
		flat = SliceAxis(flat, 2, 0, plane, 1)
	}
	var xs []*Value
	for i := range kh {
		for j := range kw {
			at := i*width + j
			xs = append(xs, SliceAxis(xp, 2, at, at+plane, 1))
		}
	}
	columns := Concat(1, xs...)
	if n > 1 {
		columns, flat = Transpose(columns, 1, 0, 2), Transpose(flat, 1, 0, 2)
	}
	columns, flat = Reshape(columns, kh*kw*in, n*plane), Reshape(flat, out, n*plane)
	dw := Gemm(flat, columns, nil, &GemmOptions{TransB: true})
	return Transpose(Reshape(dw, out, kh, kw, in), 0, 3, 1, 2)
}
