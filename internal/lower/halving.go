package lower

import (
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A halving relates a big image and a small one by weights [small,big,4,4]: a
// convolution of stride 2 that makes the small one of the big one, or turned
// round, the transposed one. Each is the other's gradient:
//
//	small[s,y,x]     += w[s,b,k,l] · big[b,2y+k-1,2x+l-1]
//	big[b,2y+k-1,…]  += w[s,b,k,l] · small[s,y,x]
//
// Of two, phase i has the rows 2y+i of the big image, and with them every second tap.
type halving struct {
	x, y, w, b *graph.Value // b may be nil
}

func (h *halving) small() int { return h.w.Dim(0) }
func (h *halving) big() int   { return h.w.Dim(1) }

// tapPhase returns the phase that tap k is of, and which of its two it is: in
// the order of the small image's rows, and in that of the big one's.
func tapPhase(k int) (phase, bySmall, byBig int) {
	phase = (k + 1) % 2
	return phase, (3 - phase - k) / 2, (k + phase - 1) / 2
}

// taps4 lists for each tap of a 4×4 kernel the index that f gives its rows and columns.
func taps4(f func(k, l int) int) []int {
	var s []int
	for k := range 4 {
		for l := range 4 {
			s = append(s, f(k, l))
		}
	}
	return s
}

// halving appends the layer of n, if it is a convolution or a transposed one
// that relates two images so, whose channels fill blocks, or are few at the
// network's beginning and end.
func (l *lowering) halving(n *graph.Node) bool {
	h := &halving{n.In(0), n.Outputs[0], n.In(1), n.In(2)}
	two, one := []int64{2, 2}, []int64{1, 1}
	if !h.w.IsParam() || h.b != nil && !h.b.IsParam() || h.w.Dim(2) != 4 || h.w.Dim(3) != 4 || n.Int("group", 1) != 1 || n.Text("auto_pad", "NOTSET") != "NOTSET" ||
		!slices.Equal(n.Ints("strides", one...), two) || !slices.Equal(n.Ints("pads"), []int64{1, 1, 1, 1}) || !slices.Equal(n.Ints("dilations", one...), one) ||
		!slices.Equal(n.Ints("output_padding", 0, 0), []int64{0, 0}) || h.small()%l.block != 0 || graph.Elements(h.x.Shape) < 0 {
		return false
	}
	blocks := h.big()%l.block == 0
	switch {
	case n.Op == "Conv":
		if h.x.Dim(2)%2 != 0 || h.x.Dim(3)%2 != 0 || !blocks && (h.big() >= l.block || l.variable[h.x]) {
			return false
		}
		x := l.image(h.x)
		if blocks {
			x = l.blocks(h.x)
		}
		y := l.down(h, x, "/forward", l.image(h.b))
		l.blocked[h.y] = y
		l.absorb(x, y, []*graph.Node{n}, func(dy *graph.Value, need bool) *graph.Value {
			l.halvingBiasGrad(h, dy)
			l.halvingWeightGrad(h, x, dy)
			if !need {
				return nil
			}
			return l.up(h, dy, "/backward", nil)
		})
	case blocks || 4*h.big() <= l.block:
		x := l.blocks(h.x)
		y := l.up(h, x, "/forward", h.b)
		if blocks {
			l.blocked[h.y] = y
		} else {
			l.plain[h.y] = y
		}
		l.absorb(x, y, []*graph.Node{n}, func(dy *graph.Value, need bool) *graph.Value {
			l.halvingBiasGrad(h, dy)
			l.halvingWeightGrad(h, dy, x)
			if !need {
				return nil
			}
			return l.down(h, dy, "/backward", nil)
		})
	default:
		return false
	}
	return true
}

// down makes the small image of the big one, which is in blocks or, of few channels, plain.
func (l *lowering) down(h *halving, big *graph.Value, suffix string, bias *graph.Value) *graph.Value {
	p := imageFilter(l.block, h.small(), h.big(), 16)
	if h.big()%l.block == 0 {
		p = blockedFilter(l.block, h.small(), h.big(), 16)
	}
	f := l.pack(h.w, suffix, h.w.Shape, p)
	return nchwcConv(window{kernel: [2]int{4, 4}, strides: [2]int{2, 2}, pads: [4]int{1, 1, 1, 1}}, h.small(), big, f, bias)
}

// up makes the big image of the small one, which is in blocks: each phase is a
// convolution with a kernel of 2×2. Bias is one of the network's parameters or nil.
func (l *lowering) up(h *halving, small *graph.Value, suffix string, bias *graph.Value) *graph.Value {
	if h.big()%l.block != 0 {
		return l.upFew(h, small, suffix, bias)
	}
	filter := blockedFilter(l.block, h.big(), h.small(), 4)
	size := h.big() * h.small() * 4
	p := place{out: filter.in, in: filter.out, tap: taps4(func(k, m int) int {
		i, r, _ := tapPhase(k)
		j, c, _ := tapPhase(m)
		return (2*i+j)*size + filter.tap[2*r+c]
	})}
	f := l.pack(h.w, suffix, []int{4 * h.big(), h.small(), 2, 2}, p)
	var parts [4]*graph.Value
	phases(func(q, i, j int) {
		w := window{kernel: [2]int{2, 2}, pads: [4]int{1 - i, 1 - j, i, j}}
		parts[q] = nchwcConv(w, h.big(), small, graph.SliceAxis(f, 0, q*h.big(), (q+1)*h.big(), 1), l.image(bias))
	})
	return l.join(parts)
}

// upFew makes a plain image of few channels: one convolution with a kernel of
// 3×3, the phases being channels of its result.
func (l *lowering) upFew(h *halving, small *graph.Value, suffix string, bias *graph.Value) *graph.Value {
	big := h.big()
	padded := roundUp(4*big, l.block)
	filter := blockedFilter(l.block, 4*big, h.small(), 9)
	p := place{out: filter.in, in: filter.out[:big], tap: taps4(func(k, m int) int {
		i, r, _ := tapPhase(k)
		j, c, _ := tapPhase(m)
		return filter.out[(2*i+j)*big] + filter.tap[3*(i+r)+j+c]
	})}
	f := l.pack(h.w, suffix, []int{padded, h.small(), 3, 3}, p)
	var b *graph.Value
	if bias != nil {
		var biases []place
		phases(func(q, _, _ int) { biases = append(biases, vector(big, q*big)) })
		b = l.pack(bias, "/phases", []int{padded}, biases...)
	}
	y := nchwcConv(window{kernel: [2]int{3, 3}, pads: [4]int{1, 1, 1, 1}}, padded, small, f, b)
	return graph.DepthToSpace(reorderOutput(y, 4*big), 2, graph.DCR)
}

// halvingBiasGrad declares the gradient of the bias: the sum of d over its pixels.
func (l *lowering) halvingBiasGrad(h *halving, d *graph.Value) {
	switch {
	case h.b == nil:
	case d.Dim(1)%l.block == 0:
		l.step.output(h.b.Name(), l.planeSums(d), float32(d.Dim(3)), vector(d.Dim(1), 0))
	default:
		l.step.output(h.b.Name(), graph.ReduceSum(d, false, 0, 2, 3), 1)
	}
}

// halvingWeightGrad declares the gradient of the weights, of which each is a sum
// of products of pixels of both images.
func (l *lowering) halvingWeightGrad(h *halving, big, small *graph.Value) {
	row := h.big() * l.block
	if h.big()%l.block != 0 {
		// [small/B][row][column][big][B]
		sum := l.correlate(l.windows(big), l.filter(small, 0), 4*h.big(), 2, 0, 0)
		l.step.output(h.w.Name(), sum, 1, place{
			out: blocked(h.small(), l.block, 4*4*row, 1),
			in:  strided(h.big(), l.block),
			tap: taps4(func(k, m int) int { return (4*k + m) * row }),
		})
		return
	}
	var columns []*graph.Value // [phase][column][small/B][row][big][B]
	parts := l.split(big)
	phases(func(q, i, j int) {
		operand := l.operand(parts[q])
		for v := range 2 {
			columns = append(columns, l.correlate(operand, l.filter(small, v-j), h.big(), 1, i, 1-i))
		}
	})
	l.step.output(h.w.Name(), graph.Concat(0, columns...), 1, place{
		out: blocked(h.small(), l.block, 2*row, 1),
		in:  strided(h.big(), l.block),
		tap: taps4(func(k, m int) int {
			i, _, r := tapPhase(k)
			j, _, v := tapPhase(m)
			return (2*(2*i+j)+v)*h.small()*2*h.big() + r*row
		}),
	})
}
