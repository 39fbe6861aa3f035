package kernels

import (
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

var negInf, posInf = float32(math.Inf(-1)), float32(math.Inf(1))

// A span is a range of places lo ≤ i < hi.
type span struct{ lo, hi int }

// A matMul step computes products of matrices, y = a·b, by tiles. Where a or b is
// constant and banded, as filters and resizings are, only the band counts:
// infinities beyond it are passed over.
type matMul struct {
	a, b, y view // of which the offsets below count, not the shapes
	bias    view // by row; of no buffer where there is none
	lo, hi  float32

	m, k, n           int
	lda, ka           int // strides of a
	ldb               int // row stride of b, whose rows are dense
	aOff, bOff, yOff  []int
	rowBand, colBand  []span // of k: by row of a, by column of b; nil for all
	off, packed       []int32
	tiles             []span // rows
	perPart, rowParts int    // tiles
	panel, panels     int    // columns
	pack              bool
	threads           int
}

// longestSum is how many terms one pass over a tile adds up.
const longestSum = 1024

func (c *compiler) newMatMul(m *matMul) *matMul {
	lanes := c.isa.lanes
	m.panel = 3 * lanes
	if m.n <= 2*lanes {
		m.panel = roundUp(m.n, lanes)
	}
	m.panels = (m.n + m.panel - 1) / m.panel
	m.tiles = split(m.m, c.isa.rows)
	for k := range min(m.k, longestSum) {
		m.off = append(m.off, int32(k*m.ldb))
		m.packed = append(m.packed, int32(k*m.panel))
	}
	m.pack = len(m.tiles) > 2 && m.rowBand == nil
	want := 4 * c.threads
	m.rowParts = min(max(1, want/max(1, len(m.aOff)*m.panels)), (len(m.tiles)+3)/4)
	m.perPart = (len(m.tiles) + m.rowParts - 1) / m.rowParts
	m.rowParts = (len(m.tiles) + m.perPart - 1) / m.perPart
	m.threads = c.threads
	return m
}

// split cuts n into spans of at most size, as even as can be.
func split(n, size int) []span {
	var list []span
	parts := (n + size - 1) / size
	for i := range parts {
		list = append(list, span{i * n / parts, (i + 1) * n / parts})
	}
	return list
}

func (m *matMul) uses() (reads, writes []view) {
	reads = []view{m.a, m.b}
	if m.bias.buf != nil {
		reads = append(reads, m.bias)
	}
	return reads, []view{m.y}
}

// scratch holds a panel of b and a tile of the result.
func (m *matMul) scratch() int {
	return min(m.k, longestSum)*m.panel + 8*m.panel + 4*chunk
}

func (m *matMul) run(s *State) error {
	s.parallel(len(m.aOff)*m.panels*m.rowParts, m)
	return nil
}

// band returns the terms that matter to a tile.
func (m *matMul) band(rows, cols span) (lo, hi int) {
	lo, hi = 0, m.k
	clip := func(bands []span, of span) {
		if bands == nil {
			return
		}
		l, h := m.k, 0
		for _, b := range bands[of.lo:of.hi] {
			l, h = min(l, b.lo), max(h, b.hi)
		}
		lo, hi = max(lo, l), min(hi, h)
	}
	clip(m.rowBand, rows)
	clip(m.colBand, cols)
	return lo, max(lo, hi)
}

func (m *matMul) part(s *State, w *worker, i int) {
	set := s.plan.isa
	batch, i := i/(m.panels*m.rowParts), i%(m.panels*m.rowParts)
	cols := span{i / m.rowParts * m.panel, min((i/m.rowParts+1)*m.panel, m.n)}
	tiles := m.tiles[i%m.rowParts*m.perPart : min((i%m.rowParts+1)*m.perPart, len(m.tiles))]
	a, b, y := s.floats(m.a)[m.aOff[batch]:], s.floats(m.b)[m.bOff[batch]:], s.floats(m.y)[m.yOff[batch]:]
	width := cols.hi - cols.lo
	vectors := (width + set.lanes - 1) / set.lanes
	whole := vectors*set.lanes == width
	packed := w.scratch[:len(m.packed)*m.panel]
	tile := w.scratch[len(packed):]
	_, y = b[:(m.k-1)*m.ldb+m.n], y[:m.m*m.n]

	first, last := m.band(span{tiles[0].lo, tiles[len(tiles)-1].hi}, cols)
	if first == last {
		first, last = 0, min(1, m.k)
	}
	for from := first; from < last; from += longestSum {
		to := min(from+longestSum, last)
		rows := b[from*m.ldb+cols.lo:]
		packs := !whole || m.pack
		switch {
		case !whole:
			for k := range to - from {
				clear(packed[k*m.panel+copy(packed[k*m.panel:], rows[k*m.ldb:][:width]):][:vectors*set.lanes-width])
			}
		case packs && vectors*set.lanes == m.panel:
			set.gather(&packed[0], &rows[0], &m.off[0], to-from, vectors)
		case packs:
			for k := range to - from {
				copy(packed[k*m.panel:], rows[k*m.ldb:][:width])
			}
		}
		for _, t := range tiles {
			lo, hi := from, to
			if m.rowBand != nil {
				l, h := m.band(t, cols)
				lo, hi = max(lo, l), min(hi, h)
				if lo >= hi { // nothing but zeros: one of them gives the tile its zeros
					if from != first {
						continue
					}
					lo, hi = from, min(from+1, to)
				}
			}
			p := &w.product
			p.k, p.lda, p.ka = hi-lo, 4*m.lda, 4*m.ka
			p.a = &a[t.lo*m.lda+lo*m.ka]
			_ = a[:(t.hi-1)*m.lda+(hi-1)*m.ka+1]
			if packs {
				p.b, p.off = &packed[(lo-from)*m.panel], &m.packed[0]
			} else {
				p.b, p.off = &rows[(lo-from)*m.ldb], &m.off[0]
			}
			p.bias, p.add, p.lo, p.hi = nil, 0, negInf, posInf
			if from != first {
				p.add = 1
			} else if m.bias.buf != nil {
				p.bias = &s.floats(m.bias)[t.lo]
			}
			if to == last {
				p.lo, p.hi = m.lo, m.hi
			}
			dst := y[t.lo*m.n+cols.lo:]
			kernel := set.product[t.hi-t.lo-1][vectors-1]
			if whole {
				p.c, p.ldc = &dst[0], 4*m.n
				p.run(kernel)
				continue
			}
			p.c, p.ldc = &tile[0], 4*m.panel
			for r := range t.hi - t.lo {
				if p.add != 0 {
					copy(tile[r*m.panel:], dst[r*m.n:][:width])
				}
			}
			p.run(kernel)
			for r := range t.hi - t.lo {
				copy(dst[r*m.n:][:width], tile[r*m.panel:])
			}
		}
	}
}

// bands returns where the lines of a constant matrix, lines of n elements, are
// not zero; nil if that is most of it.
func bands(x []float32, lines, n, lineStride, stride int) []span {
	list := make([]span, lines)
	sum := 0
	for i := range list {
		lo, hi := n, 0
		for k := range n {
			if x[i*lineStride+k*stride] != 0 {
				lo, hi = min(lo, k), k+1
			}
		}
		list[i] = span{min(lo, hi), hi}
		sum += max(hi-lo, 0)
	}
	if 2*sum > lines*n {
		return nil
	}
	return list
}

// offsets returns, for each place of an array of leading dimensions, where its
// matrix begins in a view that broadcasts to them.
func offsets(v view, lead []int) ([]int, bool) {
	rank := len(v.shape) - 2
	x, ok := view{v.buf, 0, v.shape[:rank], v.strides[:rank]}.to(lead)
	if !ok {
		return nil, false
	}
	list := make([]int, graph.Elements(lead))
	for i := range list {
		r := i
		for d := len(lead) - 1; d >= 0; d-- {
			list[i] += r % lead[d] * x.strides[d]
			r /= lead[d]
		}
	}
	return list, true
}

func (c *compiler) matMul(n *graph.Node) bool {
	av, bv, out := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	if out.DType != graph.Float32 || av.Rank() < 2 || bv.Rank() < 2 {
		return false
	}
	a, b := c.view(av), c.view(bv)
	y, ok := c.product(a, b, out.Shape)
	if ok {
		c.values[out] = y
	}
	return ok
}

// forward returns v with no axis that runs backwards.
func (c *compiler) forward(v view) view {
	if len(v.strides) > 0 && slices.Min(v.strides) < 0 {
		return c.dense(v)
	}
	return v
}

// product emits the product of two arrays of matrices.
func (c *compiler) product(a, b view, shape []int) (view, bool) {
	rank := len(shape)
	lead, m, n := shape[:rank-2], shape[rank-2], shape[rank-1]
	ra, rb := len(a.shape), len(b.shape)
	k := a.shape[ra-1]
	if b.shape[rb-2] != k || a.shape[ra-2] != m || b.shape[rb-1] != n {
		return view{}, false
	}
	a, b = c.forward(a), c.forward(b)
	y := c.newView(graph.Float32, shape)
	if b.strides[rb-1] != 1 && n > 1 {
		if b.strides[rb-2] == 1 && a.strides[ra-1] == 1 && k >= 4*c.isa.lanes {
			return y, c.dots(a, b, y, lead)
		}
		b = c.dense(b)
	}
	mm := &matMul{b: b, y: y, m: m, k: k, n: n, lo: negInf, hi: posInf}
	if rb == 2 && a.dense() && len(lead) > 0 { // one matrix of many rows
		mm.m, lead = m*graph.Elements(lead), nil
		a = a.reshape([]int{mm.m, k})
		ra = 2
	}
	mm.a, mm.lda, mm.ka, mm.ldb = a, a.strides[ra-2], a.strides[ra-1], b.strides[rb-2]
	var ok bool
	if mm.aOff, ok = offsets(a, lead); !ok {
		return view{}, false
	}
	if mm.bOff, ok = offsets(b, lead); !ok {
		return view{}, false
	}
	for i := range mm.aOff {
		mm.yOff = append(mm.yOff, i*mm.m*n)
	}
	if t := a.buf.konst; t != nil && ra == 2 {
		mm.rowBand = bands(graph.Data[float32](t)[a.off:], mm.m, k, mm.lda, mm.ka)
	}
	if t := b.buf.konst; t != nil && rb == 2 {
		mm.colBand = bands(graph.Data[float32](t)[b.off:], n, k, 1, mm.ldb)
	}
	c.step(c.newMatMul(mm))
	return y, true
}

func (c *compiler) gemm(n *graph.Node) bool {
	out := n.Outputs[0]
	if out.DType != graph.Float32 {
		return false
	}
	a, b := c.view(n.Inputs[0]), c.view(n.Inputs[1])
	if n.Int("transA", 0) != 0 {
		a = a.permute([]int{1, 0})
	}
	if n.Int("transB", 0) != 0 {
		b = b.permute([]int{1, 0})
	}
	var addend *view
	if n.In(2) != nil {
		x, ok := c.view(n.In(2)).to(out.Shape)
		if !ok {
			return false
		}
		addend = &x
	}
	y, ok := c.product(a, b, out.Shape)
	if !ok {
		return false
	}
	alpha, beta := n.Float("alpha", 1), n.Float("beta", 1)
	if alpha == 1 && addend == nil {
		c.values[out] = y
		return true
	}
	p := c.open(out.Shape)
	t := p.add(term{kind: operand, view: y})
	if alpha != 1 {
		t = c.emit(p, opMul, t, p.add(term{kind: number, x: alpha}))
	}
	if addend != nil {
		b := p.add(term{kind: operand, view: *addend})
		if beta != 1 {
			b = c.emit(p, opMul, b, p.add(term{kind: number, x: beta}))
		}
		t = c.emit(p, opAdd, t, b)
	}
	p.terms[t].of = out
	p.ids[out] = t
	return true
}

// A dots step computes y = a·b where the rows of a and the columns of b are dense.
type dots struct {
	a, b, y          view
	m, k, n          int
	lda, ldb         int // from row to row of a, from column to column of b
	aOff, bOff       []int
	rowTiles         []span
	colTiles         []span
	aRows, bCols     []int32
	perPart, rowPart int
}

// dotTerms is how many terms of each sum one pass adds up.
const dotTerms = 1 << 10

func (c *compiler) dots(a, b, y view, lead []int) bool {
	ra, rb := len(a.shape), len(b.shape)
	d := &dots{a: a, b: b, y: y, m: a.shape[ra-2], k: a.shape[ra-1], n: b.shape[rb-1], lda: a.strides[ra-2], ldb: b.strides[rb-1]}
	var ok bool
	if d.aOff, ok = offsets(a, lead); !ok {
		return false
	}
	if d.bOff, ok = offsets(b, lead); !ok {
		return false
	}
	d.rowTiles, d.colTiles = split(d.m, c.isa.dotRows), split(d.n, c.isa.dotCols)
	for i := range d.m {
		d.aRows = append(d.aRows, int32(i*d.lda))
	}
	for j := range d.n {
		d.bCols = append(d.bCols, int32(j*d.ldb))
	}
	d.perPart = max(1, len(d.rowTiles)*len(d.aOff)/(4*c.threads))
	d.rowPart = (len(d.rowTiles) + d.perPart - 1) / d.perPart
	c.step(d)
	return true
}

func (d *dots) uses() (reads, writes []view) { return []view{d.a, d.b}, []view{d.y} }

func (d *dots) scratch() int { return 0 }

func (d *dots) run(s *State) error {
	s.parallel(len(d.aOff)*d.rowPart, d)
	return nil
}

func (d *dots) part(s *State, w *worker, i int) {
	set := s.plan.isa
	batch := i / d.rowPart
	i %= d.rowPart
	tiles := d.rowTiles[i*d.perPart : min((i+1)*d.perPart, len(d.rowTiles))]
	a, b := s.floats(d.a)[d.aOff[batch]:], s.floats(d.b)[d.bOff[batch]:]
	y := s.floats(d.y)[batch*d.m*d.n:][:d.m*d.n]
	_, _ = a[:(d.m-1)*d.lda+d.k], b[:(d.n-1)*d.ldb+d.k]
	clear(y[tiles[0].lo*d.n : tiles[len(tiles)-1].hi*d.n])
	whole := d.k / set.lanes * set.lanes
	p := &w.dot
	for from := 0; from < whole; from += dotTerms {
		for _, r := range tiles {
			for _, c := range d.colTiles {
				*p = dotArgs{
					lines: 1, k: min(dotTerms, whole-from), a: &a[from], aoff: &d.aRows[r.lo], b: &b[from], boff: &d.bCols[c.lo],
					c: &y[r.lo*d.n+c.lo], ldc: 4 * d.n,
				}
				p.run(set.dot[r.hi-r.lo-1][c.hi-c.lo-1])
			}
		}
	}
	for _, r := range tiles {
		for i := r.lo; i < r.hi; i++ {
			for j := range d.n {
				for k := whole; k < d.k; k++ {
					y[i*d.n+j] += a[i*d.lda+k] * b[j*d.ldb+k]
				}
			}
		}
	}
}

// interpolate resizes by a matrix on each side: what internal/ref makes of an
// identity along one axis.
func (c *compiler) interpolate(n *graph.Node) bool {
	x, out := n.Inputs[0], n.Outputs[0]
	y := c.denseOf(x)
	for _, axis := range []int{3, 2} {
		from, to := x.Shape[axis], out.Shape[axis]
		if from == to {
			continue
		}
		t, ok := c.resizing(n, axis, from, to)
		if !ok {
			return false
		}
		shape := slices.Clone(y.shape)
		shape[axis] = to
		if axis == 3 {
			y, ok = c.product(y, c.constView(t.Reshape(from, to)), shape)
		} else {
			y, ok = c.product(c.constView(t.Reshape(to, from)), y, shape)
		}
		if !ok {
			return false
		}
	}
	c.values[out] = y
	return true
}

// resizing returns what becomes of the identity [1,1,from,from] along an axis.
func (c *compiler) resizing(n *graph.Node, axis, from, to int) (*graph.Tensor, bool) {
	axes := n.Ints("axes", 0, 1, 2, 3)
	in := []*graph.Tensor{nil, nil, nil, nil}
	one := graph.Zeros(graph.Float32, 1, 1, from, from)
	for i := range from {
		graph.Data[float32](one)[i*(from+1)] = 1
	}
	in[0] = one
	scales, sizes := make([]float32, len(axes)), make([]int64, len(axes))
	for i, a := range axes {
		scales[i], sizes[i] = 1, 1
		if (a+4)%4 >= 2 {
			sizes[i] = int64(from)
		}
		if int((a+4)%4) == axis {
			sizes[i] = int64(to)
			if v := n.In(2); v != nil {
				if t := c.constant(v); t != nil && t.DType() == graph.Float32 && t.Len() == len(axes) {
					scales[i] = graph.Data[float32](t)[i]
				}
			}
		}
	}
	if v := n.In(3); v != nil && graph.Elements(v.Shape) > 0 {
		in[3] = graph.NewTensor(sizes, len(sizes))
	} else {
		in[2] = graph.NewTensor(scales, len(scales))
	}
	t, err := ref.Node(n, in)
	if err != nil || t[0].Len() != from*to {
		return nil, false
	}
	return t[0], true
}
