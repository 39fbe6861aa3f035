package lower

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A conv is a convolution of the network, with Relu if that follows.
type conv struct {
	x, w, b *graph.Value // b may be nil
	y       *graph.Value // the result, after Relu
	relu    bool
	pads    [4]int
	nodes   []*graph.Node
}

func (c *conv) out() int       { return c.w.Dim(0) }
func (c *conv) in() int        { return c.w.Dim(1) }
func (c *conv) kernel() [2]int { return [2]int{c.w.Dim(2), c.w.Dim(3)} }

// same reports whether c is a 3×3 convolution that keeps the size.
func (c *conv) same() bool { return c.kernel() == [2]int{3, 3} && c.pads == [4]int{1, 1, 1, 1} }

// conv reads a convolution of stride 1 whose weights are parameters.
func (l *lowering) conv(n *graph.Node) (*conv, bool) {
	if n == nil || n.Op != "Conv" || n.Domain != "" {
		return nil, false
	}
	c := &conv{x: n.In(0), w: n.In(1), b: n.In(2), y: n.Outputs[0], nodes: []*graph.Node{n}}
	for i, p := range n.Ints("pads", 0, 0, 0, 0) {
		c.pads[i] = int(p)
	}
	one := []int64{1, 1}
	if !c.w.IsParam() || c.b != nil && !c.b.IsParam() || n.Int("group", 1) != 1 || n.Text("auto_pad", "NOTSET") != "NOTSET" ||
		!slices.Equal(n.Ints("strides", one...), one) || !slices.Equal(n.Ints("dilations", one...), one) || graph.Elements(c.x.Shape) < 0 {
		return nil, false
	}
	if next := l.sole(c.y); next != nil && next.Op == "Relu" {
		c.relu, c.y, c.nodes = true, next.Outputs[0], append(c.nodes, next)
	}
	return c, true
}

// halves reports whether n is a max-pooling that takes an image of even size apart into 2×2 windows.
func halves(n *graph.Node) bool {
	two := []int64{2, 2}
	return n != nil && n.Op == "MaxPool" && len(n.Outputs) == 1 && graph.Elements(n.In(0).Shape) > 0 &&
		n.In(0).Dim(2)%2 == 0 && n.In(0).Dim(3)%2 == 0 &&
		slices.Equal(n.Ints("kernel_shape"), two) && slices.Equal(n.Ints("strides", 1, 1), two) &&
		!slices.ContainsFunc(n.Ints("pads"), func(p int64) bool { return p != 0 }) &&
		!slices.ContainsFunc(n.Ints("dilations"), func(d int64) bool { return d != 1 })
}

// doubles reports whether n is a nearest upsampling by 2.
func doubles(n *graph.Node) bool {
	scales := n.In(2)
	return n.Op == "Resize" && scales != nil && scales.Const() != nil && slices.Equal(graph.Data[float32](scales.Const()), []float32{1, 1, 2, 2}) &&
		n.Text("mode", "nearest") == "nearest" && n.Text("nearest_mode", "") == "floor" && n.Text("coordinate_transformation_mode", "") == "asymmetric"
}

// layer appends the layer that begins with n, if it is one that it knows.
func (l *lowering) layer(n *graph.Node) bool {
	switch {
	case halves(n) && l.blocked[n.In(0)] != nil:
		return l.pool(n)
	case doubles(n):
		c, ok := l.conv(l.sole(n.Outputs[0]))
		return ok && c.same() && c.in()%l.block == 0 && l.upsampled(n, c)
	case n.Op == "Add" || n.Op == "Relu" || n.Op == "LeakyRelu":
		return l.elementwise(n)
	case (n.Op == "Conv" || n.Op == "ConvTranspose") && n.Domain == "" && l.halving(n):
		return true
	}
	c, ok := l.conv(n)
	if !ok {
		return false
	}
	pool := l.sole(c.y)
	if !c.relu || !halves(pool) {
		pool = nil
	}
	switch {
	case c.out()%l.block != 0:
		return false
	case c.in()%l.block == 0:
		return l.inner(c, pool)
	case c.in() < l.block && c.same() && !l.variable[c.x]:
		if pool != nil {
			return l.first(c, pool)
		}
		return l.entry(c)
	}
	return false
}

// absorb notes that the nodes are part of a layer that makes y of x and is
// differentiated by vjp, if there is something to learn in it or before it.
func (l *lowering) absorb(x, y *graph.Value, nodes []*graph.Node, vjp func(dy *graph.Value, need bool) *graph.Value) {
	for _, n := range nodes {
		l.done[n] = true
		if l.variable[n.Outputs[0]] {
			l.custom[y] = graph.CustomVJP{X: x, VJP: vjp}
		}
	}
}

// bias returns the operand of c's bias, nil for none.
func (l *lowering) bias(c *conv) *graph.Value { return l.image(c.b) }

// biasGrad declares the gradient of c's bias: the sum of d over its pixels.
func (l *lowering) biasGrad(c *conv, d *graph.Value) {
	if c.b != nil {
		l.step.output(c.b.Name(), l.planeSums(d), float32(d.Dim(3)), vector(c.out(), 0))
	}
}

// elementwise is an addition or an activation by itself, of images of one shape that are
// in blocks already, and stay so.
func (l *lowering) elementwise(n *graph.Node) bool {
	var operands []*graph.Value
	for _, v := range n.Inputs {
		if l.blocked[v] == nil || !slices.Equal(v.Shape, n.Inputs[0].Shape) {
			return false
		}
		operands = append(operands, l.blocked[v])
	}
	y := l.g.Op(n.Op, n.Attrs, operands...)
	l.blocked[n.Outputs[0]] = y
	if n.Op == "Relu" {
		l.absorb(operands[0], y, []*graph.Node{n}, func(dy *graph.Value, need bool) *graph.Value {
			if !need {
				return nil
			}
			return positive(y, dy)
		})
	}
	if n.Op == "LeakyRelu" {
		slope := float64(n.Float("alpha", .01))
		l.absorb(operands[0], y, []*graph.Node{n}, func(dy *graph.Value, need bool) *graph.Value {
			if !need {
				return nil
			}
			return graph.Add(graph.Mul(dy, l.g.Scalar(slope)), graph.Mul(positive(operands[0], dy), l.g.Scalar(1-slope)))
		})
	}
	return true
}

// pool is a max-pooling by itself.
func (l *lowering) pool(n *graph.Node) bool {
	x := l.blocked[n.In(0)]
	y := halve(x)
	l.blocked[n.Outputs[0]] = y
	l.absorb(x, y, []*graph.Node{n}, func(dy *graph.Value, need bool) *graph.Value {
		if !need {
			return nil
		}
		return l.join(route(l.split(x), y, dy))
	})
	return true
}

// inner is a convolution between channels in blocks that keeps the width, with
// the max-pooling that follows it, if pool is not nil.
func (l *lowering) inner(c *conv, pool *graph.Node) bool {
	k, b := c.kernel(), l.block
	back := [4]int{k[0] - 1 - c.pads[0], k[1] - 1 - c.pads[1], k[0] - 1 - c.pads[2], k[1] - 1 - c.pads[3]}
	if c.pads[1]+c.pads[3] != k[1]-1 || slices.Min(back[:]) < 0 {
		return false
	}
	x := l.blocks(c.x)
	taps := k[0] * k[1]
	f := l.pack(c.w, "/forward", c.w.Shape, blockedFilter(b, c.out(), c.in(), taps))
	a := nchwcConv(window{kernel: k, pads: c.pads, relu: c.relu}, c.out(), x, f, l.bias(c))
	y := a
	if pool != nil {
		y = halve(a)
		c.y, c.nodes = pool.Outputs[0], append(c.nodes, pool)
	}
	l.blocked[c.y] = y
	l.absorb(x, y, c.nodes, func(dy *graph.Value, need bool) *graph.Value {
		if c.relu {
			dy = positive(y, dy)
		}
		l.biasGrad(c, dy)
		if pool != nil {
			dy = l.join(route(l.split(a), y, dy))
		}
		l.weightGrad(c, x, dy)
		if !need {
			return nil
		}
		f := l.pack(c.w, "/backward", []int{c.in(), c.out(), k[0], k[1]}, blockedFilter(b, c.in(), c.out(), taps).turned())
		return nchwcConv(window{kernel: k, pads: back}, c.in(), dy, f, nil)
	})
	return true
}

// weightGrad declares the gradient of an inner convolution's weights.
func (l *lowering) weightGrad(c *conv, x, dy *graph.Value) {
	k, operand := c.kernel(), l.operand(x)
	var columns []*graph.Value
	for j := range k[1] {
		columns = append(columns, l.correlate(operand, l.filter(dy, j-c.pads[1]), c.in(), 1, c.pads[0], c.pads[2]))
	}
	row := c.in() * l.block // [kw][out/B][kh][in][B]
	p := place{out: blocked(c.out(), l.block, k[0]*row, 1), in: strided(c.in(), l.block)}
	for i := range k[0] {
		for j := range k[1] {
			p.tap = append(p.tap, j*c.out()*k[0]*c.in()+i*row)
		}
	}
	l.step.output(c.w.Name(), graph.Concat(0, columns...), 1, p)
}

// upsampled is a 3×3 convolution after nearest upsampling by 2, computed from the
// small image in four phases.
func (l *lowering) upsampled(up *graph.Node, c *conv) bool {
	c.x, c.nodes = up.In(0), append(c.nodes, up)
	if c.out()%l.block != 0 {
		return c.out() < l.block && !c.relu && l.last(c)
	}
	x, b := l.blocks(c.x), l.block
	var parts [4]*graph.Value
	phases(func(q, i, j int) {
		p := blockedFilter(b, c.out(), c.in(), 4)
		p.tap = pick(p.tap, phaseTaps(i, j))
		f := l.pack(c.w, fmt.Sprintf("/phase%d", q), []int{c.out(), c.in(), 2, 2}, p)
		parts[q] = nchwcConv(window{kernel: [2]int{2, 2}, pads: [4]int{1 - i, 1 - j, i, j}, relu: c.relu}, c.out(), x, f, l.bias(c))
	})
	y := l.join(parts)
	l.blocked[c.y] = y
	l.absorb(x, y, c.nodes, func(dy *graph.Value, need bool) *graph.Value {
		if c.relu {
			dy = positive(y, dy)
		}
		l.biasGrad(c, dy)
		l.upsampledWeightGrad(c, x, dy)
		if !need {
			return nil
		}
		return l.upsampledInputGrad(c, dy, blockedFilter(b, c.in(), c.out(), 16))
	})
	return true
}

// upsampledInputGrad returns the gradient of the small image, in blocks: a
// convolution of stride 2 with a filter [in,out,4,4] laid out as p.
func (l *lowering) upsampledInputGrad(c *conv, dy *graph.Value, p place) *graph.Value {
	var places []place
	phases(func(_, i, j int) { places = append(places, place{p.in, p.out, pick(p.tap, upGradTaps(i, j))}) })
	f := l.pack(c.w, "/backward", []int{c.in(), c.out(), 4, 4}, places...)
	return nchwcConv(window{kernel: [2]int{4, 4}, strides: [2]int{2, 2}, pads: [4]int{1, 1, 1, 1}}, c.in(), dy, f, nil)
}

// upsampledWeightGrad declares the gradient of the weights from the four phases of dy.
func (l *lowering) upsampledWeightGrad(c *conv, x, dy *graph.Value) {
	operand := l.operand(x)
	var columns []*graph.Value
	var places []place
	row := c.in() * l.block // [phase][column][out/B][row][in][B]
	parts := l.split(dy)
	phases(func(q, i, j int) {
		for v := range 2 {
			columns = append(columns, l.correlate(operand, l.filter(parts[q], j+v-1), c.in(), 1, 1-i, i))
		}
		places = append(places, place{
			out: blocked(c.out(), l.block, 2*row, 1),
			in:  strided(c.in(), l.block),
			tap: pick([]int{0, c.out() * 2 * c.in(), row, c.out()*2*c.in() + row}, phaseTaps(i, j)),
		}.shifted(q*4*c.out()*c.in()))
	})
	l.step.output(c.w.Name(), graph.Concat(0, columns...), 1, places...)
}

// last is the convolution after upsampling that makes an image of few channels:
// one convolution of the small image, the phases being channels of its result.
func (l *lowering) last(c *conv) bool {
	x, b := l.blocks(c.x), l.block
	out := c.out()
	padded := roundUp(4*out, b)
	filter := blockedFilter(b, 4*out, c.in(), 9)
	var weights, biases []place
	phases(func(q, i, j int) {
		weights = append(weights, place{filter.out[q*out : (q+1)*out], filter.in, pick(filter.tap, centredTaps(i, j))})
		biases = append(biases, vector(out, q*out))
	})
	f := l.pack(c.w, "/forward", []int{padded, c.in(), 3, 3}, weights...)
	var bias *graph.Value
	if c.b != nil {
		bias = l.pack(c.b, "/phases", []int{padded}, biases...)
	}
	small := nchwcConv(window{kernel: c.kernel(), pads: c.pads}, padded, x, f, bias)
	y := graph.DepthToSpace(reorderOutput(small, 4*out), 2, graph.DCR)
	l.plain[c.y] = y
	l.absorb(x, y, c.nodes, func(dy *graph.Value, need bool) *graph.Value {
		if c.b != nil {
			l.step.output(c.b.Name(), graph.ReduceSum(dy, false, 0, 2, 3), 1)
		}
		l.lastWeightGrad(c, x, graph.SpaceToDepth(dy, 2, graph.DCR))
		if !need {
			return nil
		}
		return l.upsampledInputGrad(c, dy, imageFilter(b, c.in(), out, 16))
	})
	return true
}

// lastWeightGrad declares the gradient of last's weights. Since dy [N,4·out,H,W]
// has few channels and x many, they change roles: x is the filter.
func (l *lowering) lastWeightGrad(c *conv, x, dy *graph.Value) {
	n, channels, h, w := dy.Dim(0), dy.Dim(1), dy.Dim(2), dy.Dim(3)
	wide := roundUp(w, l.block)
	var columns []*graph.Value
	for j := range 3 {
		columns = append(columns, graph.Pad(dy, "constant", []int{0, 0, 0, j - 1}, []int{0, 0, 0, wide - w - (j - 1)}))
	}
	operand := l.imageOperand(graph.Reshape(graph.Concat(1, columns...), n, 3*channels, h, wide))
	row := 3 * channels * l.block // [in/B][row, upside down][column][phase][out][B]
	var places []place
	phases(func(q, i, j int) {
		places = append(places, place{
			out: strided(c.out(), l.block),
			in:  blocked(c.in(), l.block, 3*row, 1),
			tap: taps3(func(k, m int) int { return (1-low(i, k))*row + (low(j, m)+1)*channels*l.block }),
		}.shifted(q*c.out()*l.block))
	})
	l.step.output(c.w.Name(), l.correlate(operand, l.filter(x, 0), 3*channels, 1, 1, 1), 1, places...)
}

// entry is a convolution of the image itself. It gives no gradient of the image.
func (l *lowering) entry(c *conv) bool {
	x := l.image(c.x)
	f := l.pack(c.w, "/forward", c.w.Shape, imageFilter(l.block, c.out(), c.in(), 9))
	y := nchwcConv(window{kernel: c.kernel(), pads: c.pads, relu: c.relu}, c.out(), x, f, l.bias(c))
	l.blocked[c.y] = y
	l.absorb(x, y, c.nodes, func(dy *graph.Value, _ bool) *graph.Value {
		if c.relu {
			dy = positive(y, dy)
		}
		l.biasGrad(c, dy)
		l.entryWeightGrad(c, x, dy)
		return nil
	})
	return true
}

// entryWeightGrad declares the gradient of entry's weights: the image three times,
// a column apart, takes the place of many channels.
func (l *lowering) entryWeightGrad(c *conv, x, dy *graph.Value) {
	n, h, w := x.Dim(0), x.Dim(2), x.Dim(3)
	wide := roundUp(w, l.block)
	var columns []*graph.Value
	for j := range 3 {
		columns = append(columns, graph.Pad(x, "constant", []int{0, 0, 0, 1 - j}, []int{0, 0, 0, wide - w - (1 - j)}))
	}
	operand := l.imageOperand(graph.Reshape(graph.Concat(1, columns...), n, 3*c.in(), h, wide))
	row := 3 * c.in() * l.block // [out/B][row][column][in][B]
	l.step.output(c.w.Name(), l.correlate(operand, l.filter(dy, 0), 3*c.in(), 1, 1, 1), 1, place{
		out: blocked(c.out(), l.block, 3*row, 1),
		in:  strided(c.in(), l.block),
		tap: taps3(func(k, m int) int { return k*row + m*c.in()*l.block }),
	})
}

// first is the convolution of the image itself, with Relu and max-pooling: four
// convolutions of stride 2, of which the maximum is taken, so that no map of the
// image's full size comes about. It gives no gradient of the image.
func (l *lowering) first(c *conv, pool *graph.Node) bool {
	x, b := l.image(c.x), l.block
	f := l.pack(c.w, "/forward", c.w.Shape, imageFilter(b, c.out(), c.in(), 9))
	var parts [4]*graph.Value
	phases(func(q, i, j int) {
		w := window{kernel: [2]int{3, 3}, strides: [2]int{2, 2}, pads: [4]int{1 - i, 1 - j, i, j}, relu: true}
		parts[q] = nchwcConv(w, c.out(), x, f, l.bias(c))
	})
	y := graph.Max(parts[:]...)
	l.blocked[pool.Outputs[0]] = y
	l.absorb(x, y, append(c.nodes, pool), func(dy *graph.Value, _ bool) *graph.Value {
		dy = positive(y, dy)
		l.biasGrad(c, dy)
		l.firstWeightGrad(c, x, route(parts, y, dy))
		return nil
	})
	return true
}

// firstWeightGrad declares the gradient of first's weights: each phase of the
// result's gradient with the 4×4 windows of the padded image that the four have
// in common.
func (l *lowering) firstWeightGrad(c *conv, x *graph.Value, parts [4]*graph.Value) {
	operand := l.windows(x)
	row := 4 * c.in() * l.block // [phase][out/B][row][column][in][B]
	var sums []*graph.Value
	var places []place
	phases(func(q, i, j int) {
		sums = append(sums, l.correlate(operand, l.filter(parts[q], 0), 4*c.in(), 2, 0, 0))
		places = append(places, place{
			out: blocked(c.out(), l.block, 4*row, 1),
			in:  strided(c.in(), l.block),
			tap: taps3(func(k, m int) int { return (i+k)*row + (j+m)*c.in()*l.block }),
		}.shifted(q*c.out()*4*4*c.in()))
	})
	l.step.output(c.w.Name(), graph.Concat(0, sums...), 1, places...)
}

// windows returns the operand of the 4×4 windows, 2 apart, of a plain image x
// [N,C,H,W] with a border of one pixel: a pixel has the C channels of each of
// four columns, and a row is one of the padded image's.
func (l *lowering) windows(x *graph.Value) *graph.Value {
	n, c, h, w := x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3)
	wide := roundUp(w/2, l.block)
	x = graph.Pad(x, "constant", []int{0, 0, 1, 1}, []int{0, 0, 1, 2*wide - w + 1})
	pairs := graph.Reshape(x, n, c, h+2, wide+1, 2)
	var columns []*graph.Value
	for t := range 4 {
		s := graph.SliceAxis(graph.SliceAxis(pairs, 4, t%2, t%2+1, 1), 3, t/2, t/2+wide, 1)
		columns = append(columns, graph.Reshape(s, n, c, h+2, wide))
	}
	return l.imageOperand(graph.Concat(1, columns...))
}
