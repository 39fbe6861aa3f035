package kernels

import (
	"slices"
	"unsafe"

	"github.com/anomaly-go/anomaly/graph"
)

// A pooling step computes the maximum or the mean of windows of images.
type pooling struct {
	x, y                         view
	mean, padding                bool // padding counts in means
	g                            geometry
	kh, kw, ih, iw, oh, ow, half int
	planes, parts                int
}

func (c *compiler) pool(n *graph.Node) bool {
	g, ok := geometryOf(n)
	x, out, k := n.Inputs[0], n.Outputs[0], n.Ints("kernel_shape")
	if !ok || out.DType != graph.Float32 || len(k) != 2 || len(n.Outputs) > 1 && c.uses[n.Outputs[1]] > 0 {
		return false
	}
	p := &pooling{
		mean: n.Op == "AveragePool", padding: n.Int("count_include_pad", 0) != 0, g: g, kh: int(k[0]), kw: int(k[1]),
		ih: x.Shape[2], iw: x.Shape[3], oh: out.Shape[2], ow: out.Shape[3], planes: x.Shape[0] * x.Shape[1],
	}
	for i, a := range [][4]int{{p.ih, p.oh, p.kh, 0}, {p.iw, p.ow, p.kw, 1}} { // no window lies in the padding alone
		in, out, k, d := a[0], a[1], a[2], a[3]
		first := -g.pads[i] + g.dilations[d]*(k-1)
		last := (out-1)*g.strides[d] - g.pads[i]
		if first < 0 || last >= in || g.dilations[d] != 1 {
			return false
		}
	}
	if halves(n) {
		p.half = 1
	}
	p.x = c.denseOf(x)
	p.y = c.result(n)
	p.parts = min(p.planes, 4*c.threads)
	c.step(p)
	return true
}

func (p *pooling) uses() (reads, writes []view) { return []view{p.x}, []view{p.y} }

// dense reports whether windows are at each pixel: sums and maxima are then those of
// rows one below the other, and of what these leave beside each other.
func (p *pooling) dense() bool { return p.half == 0 && p.g.strides[0] == 1 && p.g.strides[1] == 1 }

func (p *pooling) scratch() int {
	if p.dense() {
		return p.ow + p.kw - 1 + chunk
	}
	return 0
}

func (p *pooling) run(s *State) error {
	s.parallel(p.parts, p)
	return nil
}

func (p *pooling) part(s *State, w *worker, i int) {
	set := s.plan.isa
	for plane := i * p.planes / p.parts; plane < (i+1)*p.planes/p.parts; plane++ {
		x := s.floats(p.x)[plane*p.ih*p.iw:][:p.ih*p.iw]
		y := s.floats(p.y)[plane*p.oh*p.ow:][:p.oh*p.ow]
		for oy := range p.oh {
			row := y[oy*p.ow:][:p.ow]
			if p.dense() {
				p.row(set, row, w.scratch[:p.ow+p.kw-1], x, oy)
				continue
			}
			if p.half == 1 {
				a, b := x[2*oy*p.iw:][:2*p.ow], x[(2*oy+1)*p.iw:][:2*p.ow]
				if p.mean {
					pairMean(set, row, a, b)
				} else {
					pairMax(set, row, a, b)
				}
				continue
			}
			top := oy*p.g.strides[0] - p.g.pads[0]
			y0, y1 := max(top, 0), min(top+p.kh, p.ih)
			for ox := range row {
				left := ox*p.g.strides[1] - p.g.pads[1]
				x0, x1 := max(left, 0), min(left+p.kw, p.iw)
				if p.mean {
					sum := float32(0)
					for yy := y0; yy < y1; yy++ {
						for _, v := range x[yy*p.iw+x0 : yy*p.iw+x1] {
							sum += v
						}
					}
					count := (y1 - y0) * (x1 - x0)
					if p.padding {
						count = p.kh * p.kw
					}
					row[ox] = sum / float32(count)
					continue
				}
				top := x[y0*p.iw+x0]
				for yy := y0; yy < y1; yy++ {
					for _, v := range x[yy*p.iw+x0 : yy*p.iw+x1] {
						top = max(top, v)
					}
				}
				row[ox] = top
			}
		}
	}
}

// row computes a row of results of windows at each pixel; line is memory for what is
// left of the rows that they see, with the padding beside them.
func (p *pooling) row(set *isa, dst, line, x []float32, oy int) {
	op, none := opMax, negInf
	if p.mean {
		op, none = opAdd, 0
	}
	for i := range line {
		line[i] = none
	}
	top, left := oy-p.g.pads[0], p.g.pads[1]
	y0, y1 := max(top, 0), min(top+p.kh, p.ih)
	seen := line[left:][:p.iw]
	copy(seen, x[y0*p.iw:][:p.iw])
	for yy := y0 + 1; yy < y1; yy++ {
		join(set, op, seen, x[yy*p.iw:][:p.iw])
	}
	copy(dst, line)
	for dx := 1; dx < p.kw; dx++ {
		join(set, op, dst, line[dx:][:len(dst)])
	}
	if !p.mean {
		return
	}
	if p.padding {
		scale(dst, p.kh*p.kw)
		return
	}
	inner := min(max(p.iw+left-p.kw+1, left), len(dst)) // whose windows reach over no edge
	for ox := range dst {
		if ox == left {
			scale(dst[left:inner], (y1-y0)*p.kw)
		}
		if ox < left || ox >= inner {
			scale(dst[ox:ox+1], (y1-y0)*(min(ox-left+p.kw, p.iw)-max(ox-left, 0)))
		}
	}
}

// scale divides by a count.
func scale(x []float32, count int) {
	by := 1 / float32(count)
	for i := range x {
		x[i] *= by
	}
}

// join adds x to dst, or keeps the larger.
func join(set *isa, op opcode, dst, x []float32) {
	n := len(dst) / chunk * chunk
	if n > 0 {
		p := unsafe.SliceData(dst)
		set.each[op](p, p, unsafe.SliceData(x), p, n)
	}
	for i := n; i < len(dst); i++ {
		if op == opMax {
			dst[i] = max(dst[i], x[i])
		} else {
			dst[i] += x[i]
		}
	}
}

// pairMean sets dst[i] to the mean of a[2i], a[2i+1], b[2i] and b[2i+1].
func pairMean(set *isa, dst, a, b []float32) {
	n := len(dst) / chunk * chunk
	if n > 0 {
		set.pairAdd(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), n)
	}
	for i := n; i < len(dst); i++ {
		dst[i] = a[2*i] + b[2*i] + (a[2*i+1] + b[2*i+1])
	}
	for i := range dst {
		dst[i] *= .25
	}
}

// A reduction step computes sums, means or maxima of arrays [outer, count, inner]
// along the second axis, and, where before is more than 1, of all of the first.
type reduction struct {
	x, y                        view
	op                          reductionOp
	before, outer, count, inner int
	scale                       float32
	parts, perPart              int
}

type reductionOp int

const (
	sums reductionOp = iota
	maxima
)

func (c *compiler) reduce(n *graph.Node) bool {
	x, out := n.Inputs[0], n.Outputs[0]
	axes, ok := c.ints(n, 1)
	if !ok || x.DType != graph.Float32 {
		return false
	}
	if len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return false
		}
		for i := range x.Shape {
			axes = append(axes, i)
		}
	}
	reduced := make([]bool, x.Rank())
	for _, a := range axes {
		if a < 0 {
			a += x.Rank()
		}
		reduced[a] = true
	}
	// Neighbouring axes with one fate are one; those of size 1 have none.
	var sizes []int
	var fates []bool
	for i, d := range x.Shape {
		switch last := len(sizes) - 1; {
		case d == 1:
		case last >= 0 && fates[last] == reduced[i]:
			sizes[last] *= d
		default:
			sizes, fates = append(sizes, d), append(fates, reduced[i])
		}
	}
	r := &reduction{before: 1, outer: 1, count: 1, inner: 1, scale: 1}
	switch {
	case slices.Equal(fates, []bool{}):
	case slices.Equal(fates, []bool{true}):
		r.count = sizes[0]
	case slices.Equal(fates, []bool{false}):
		r.outer = sizes[0]
	case slices.Equal(fates, []bool{false, true}):
		r.outer, r.count = sizes[0], sizes[1]
	case slices.Equal(fates, []bool{true, false}):
		r.count, r.inner = sizes[0], sizes[1]
	case slices.Equal(fates, []bool{false, true, false}):
		r.outer, r.count, r.inner = sizes[0], sizes[1], sizes[2]
	case slices.Equal(fates, []bool{true, false, true}):
		r.before, r.outer, r.count = sizes[0], sizes[1], sizes[2]
	default:
		return false
	}
	switch n.Op {
	case "ReduceMax":
		r.op = maxima
	case "ReduceMean":
		r.scale = 1 / float32(r.before*r.count)
	}
	return c.reduceTo(n, out, r)
}

func (c *compiler) globalAveragePool(n *graph.Node) bool {
	x := n.Inputs[0]
	if x.DType != graph.Float32 || x.Rank() != 4 {
		return false
	}
	area := x.Shape[2] * x.Shape[3]
	return c.reduceTo(n, n.Outputs[0], &reduction{before: 1, outer: x.Shape[0] * x.Shape[1], count: area, inner: 1, scale: 1 / float32(area)})
}

func (c *compiler) reduceTo(n *graph.Node, out *graph.Value, r *reduction) bool {
	r.x = c.denseOf(n.Inputs[0])
	r.y = c.result(n)
	units := r.outer
	if r.inner > 1 { // blocks of results side by side
		units = r.outer * ((r.inner + reduceBlock - 1) / reduceBlock)
	}
	r.parts = min(units, max(1, r.x.len()/partFloats), 4*c.threads)
	r.perPart = (units + r.parts - 1) / r.parts
	r.parts = (units + r.perPart - 1) / r.perPart
	c.step(r)
	return true
}

// reduceBlock is how many results side by side are computed at a time.
const reduceBlock = 1 << 10

func (r *reduction) uses() (reads, writes []view) { return []view{r.x}, []view{r.y} }

func (r *reduction) scratch() int { return 0 }

func (r *reduction) run(s *State) error {
	s.parallel(r.parts, r)
	return nil
}

func (r *reduction) part(s *State, _ *worker, part int) {
	x, y := s.floats(r.x), s.floats(r.y)
	for u := part * r.perPart; u < (part+1)*r.perPart; u++ {
		if r.inner == 1 {
			if u >= r.outer {
				return
			}
			y[u] = r.row(s.plan.isa, x[u*r.count:][:r.count])
			for b := 1; b < r.before; b++ {
				v := r.row(s.plan.isa, x[(b*r.outer+u)*r.count:][:r.count])
				if r.op == maxima {
					y[u] = max(y[u], v)
				} else {
					y[u] += v
				}
			}
			y[u] *= r.scale
			continue
		}
		blocks := (r.inner + reduceBlock - 1) / reduceBlock
		o, from := u/blocks, u%blocks*reduceBlock
		if o >= r.outer {
			return
		}
		n := min(reduceBlock, r.inner-from)
		dst := y[o*r.inner+from:][:n]
		src := x[o*r.count*r.inner+from:]
		copy(dst, src)
		op := opAdd
		if r.op == maxima {
			op = opMax
		}
		for k := 1; k < r.count; k++ {
			join(s.plan.isa, op, dst, src[k*r.inner:][:n])
		}
		if r.scale != 1 {
			for i := range dst {
				dst[i] *= r.scale
			}
		}
	}
}

// row returns the sum or the maximum of x.
func (r *reduction) row(set *isa, x []float32) float32 {
	n := len(x) / chunk * chunk
	f := set.sum
	if r.op == maxima {
		f = set.highest
	}
	var v float32
	rest := x
	if n > 0 {
		v, rest = f(&x[0], n), x[n:]
	} else if r.op == maxima {
		v, rest = x[0], x[1:]
	}
	for _, f := range rest {
		if r.op == maxima {
			v = max(v, f)
		} else {
			v += f
		}
	}
	return v
}
