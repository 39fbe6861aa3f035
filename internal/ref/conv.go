package ref

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
)

// An axis is one spatial axis of a convolution or pooling: place o of the
// result sees, through tap k of the kernel, place o·stride + k·dilation - before
// of the image.
type axis struct {
	in, out                  int // sizes
	kernel, stride, dilation int
	before, after            int // padding
}

// axes reads the two spatial axes of a node that slides a window over an image
// of the given size.
func axes(n *graph.Node, h, w, kh, kw int) (y, x axis) {
	pads, strides, dilations := n.Ints("pads", 0, 0, 0, 0), n.Ints("strides", 1, 1), n.Ints("dilations", 1, 1)
	at := func(i, in, k int) axis {
		a := axis{in: in, kernel: k, stride: int(strides[i]), dilation: int(dilations[i]), before: int(pads[i]), after: int(pads[2+i])}
		a.out = max(in+a.before+a.after-a.dilation*(k-1)-1+a.stride, 0) / a.stride
		return a
	}
	return at(0, h, kh), at(1, w, kw)
}

// first returns the place of the image that result 0 sees through tap k.
func (a axis) first(k int) int { return k*a.dilation - a.before }

// span returns the results lo ≤ o < hi that see the image, not padding, through tap k.
func (a axis) span(k int) (lo, hi int) {
	at := a.first(k)
	if at < 0 {
		lo = min((-at+a.stride-1)/a.stride, a.out)
	}
	if last := a.in - 1 - at; last >= 0 {
		hi = min(last/a.stride+1, a.out)
	}
	return lo, max(lo, hi)
}

// columnElements bounds the matrix that [conv] unfolds an image to, so that it
// stays in a core's cache. The product of whole images is no faster and takes,
// for 32 channels of 900 × 900 pixels, a gigabyte.
const columnElements = 1 << 18

// conv is a product of matrices: the weights of each group, a row per output
// channel, by the image unfolded to a column per place of the result, a band of
// rows at a time. Direct loops (on one of two cores) took 1.5 to 4 times as long.
func conv[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	xs, ws := in[0].Shape(), in[1].Shape()
	groups := int(n.Int("group", 1))
	if xs[1] != ws[1]*groups {
		return nil, fmt.Errorf("got %d input channels, want %d", xs[1], ws[1]*groups)
	}
	ay, ax := axes(n, xs[2], xs[3], ws[2], ws[3])
	batch, channels, out := xs[0], ws[1], ws[0]
	x, w := graph.Data[T](in[0]), graph.Data[T](in[1])
	area, plane, taps := xs[2]*xs[3], ay.out*ax.out, ws[2]*ws[3]
	k, members := channels*taps, out/groups // of the product: inner dimension and rows
	y := make([]T, batch*out*plane)
	band := min(ay.out, max(1, columnElements/max(1, k*ax.out)))
	columns, part := make([]T, k*band*ax.out), make([]T, members*band*ax.out)
	for i := range batch * groups {
		image := x[i*channels*area:]
		weights := matrix[T]{data: w[i%groups*members*k:][:members*k], rows: members, cols: k}
		for top := 0; top < ay.out; top += band {
			rows := min(band, ay.out-top)
			size := rows * ax.out
			for c := range channels {
				unfold(columns[c*taps*size:], image[c*area:], ay, ax, top, rows)
			}
			if err := product(part[:members*size], weights, matrix[T]{data: columns[:k*size], rows: k, cols: size}); err != nil {
				return nil, err
			}
			for m := range members {
				copy(y[(i*members+m)*plane+top*ax.out:], part[m*size:(m+1)*size])
			}
		}
	}
	if len(in) > 2 && in[2] != nil {
		addBias(y, graph.Data[T](in[2]), plane)
	}
	return one(graph.NewTensor(y, batch, out, ay.out, ax.out), nil)
}

// unfold writes, for each tap of the kernel, what rows of results from top on
// see of the image x through it.
func unfold[T float](columns, x []T, ay, ax axis, top, rows int) {
	for ky := range ay.kernel {
		first, end := ay.span(ky)
		for kx := range ax.kernel {
			left, right := ax.span(kx)
			for o := top; o < top+rows; o++ {
				row := columns[:ax.out]
				columns = columns[ax.out:]
				if o < first || o >= end || left == right {
					clear(row)
					continue
				}
				clear(row[:left])
				clear(row[right:])
				row = row[left:right]
				src := x[(o*ay.stride+ay.first(ky))*ax.in:][:ax.in]
				at := left*ax.stride + ax.first(kx)
				if ax.stride == 1 {
					copy(row, src[at:])
					continue
				}
				for i := range row {
					row[i] = src[at+i*ax.stride]
				}
			}
		}
	}
}

// addBias adds bias[c] to channel c of images with planes of the given size.
func addBias[T float](y, bias []T, plane int) {
	for i := 0; i*plane < len(y); i++ {
		b := bias[i%len(bias)]
		for j := range y[i*plane : (i+1)*plane] {
			y[i*plane+j] += b
		}
	}
}

// convTranspose is the transpose of conv as a linear map: its operand has the
// shape of a convolution's result, its result that of an image.
func convTranspose[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	xs, ws := in[0].Shape(), in[1].Shape()
	if xs[1] != ws[0] {
		return nil, fmt.Errorf("got %d input channels, want %d", xs[1], ws[0])
	}
	groups := int(n.Int("group", 1))
	more := n.Ints("output_padding", 0, 0)
	ay, ax := axes(n, 0, 0, ws[2], ws[3])
	for i, a := range []*axis{&ay, &ax} {
		a.out = xs[2+i]
		a.in = a.stride*(a.out-1) + int(more[i]) + a.dilation*(a.kernel-1) + 1 - a.before - a.after
		if a.in < 1 {
			return nil, fmt.Errorf("the padding leaves nothing of an image of %v", xs)
		}
	}
	batch, out := xs[0], ws[1]*groups
	x, w := graph.Data[T](in[0]), graph.Data[T](in[1])
	area, plane, taps := xs[2]*xs[3], ay.in*ax.in, ws[2]*ws[3]
	y := make([]T, batch*out*plane)
	for i := range batch * out {
		o := i % out
		dst := y[i*plane : (i+1)*plane]
		group, member := o/ws[1], o%ws[1]
		for k := range xs[1] / groups {
			c := group*(xs[1]/groups) + k
			from := i/out*xs[1] + c
			spread(dst, x[from*area:(from+1)*area], w[(c*ws[1]+member)*taps:], ay, ax)
		}
	}
	if len(in) > 2 && in[2] != nil {
		addBias(y, graph.Data[T](in[2]), plane)
	}
	return one(graph.NewTensor(y, batch, out, ay.in, ax.in), nil)
}

// spread adds the transposed correlation of x with kernel w to the image dst.
func spread[T float](dst, x, w []T, ay, ax axis) {
	for ky := range ay.kernel {
		top, bottom := ay.span(ky)
		for kx := range ax.kernel {
			f := w[ky*ax.kernel+kx]
			left, right := ax.span(kx)
			for o := top; o < bottom; o++ {
				row := x[o*ax.out+left : o*ax.out+right]
				at := (o*ay.stride+ay.first(ky))*ax.in + left*ax.stride + ax.first(kx)
				for _, v := range row {
					dst[at] += f * v
					at += ax.stride
				}
			}
		}
	}
}
