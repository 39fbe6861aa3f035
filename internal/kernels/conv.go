package kernels

import (
	"unsafe"

	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// A tap is one place of a kernel as a phase of the result sees it: result (y,x) of
// the phase sees pixel ((y+qy)·stride + ry, (x+qx)·stride + rx), weighted by the
// sum of the kernel at those places.
type tap struct {
	qy, qx int
	ry, rx int   // 0 ≤ r < stride
	from   []int // places of the kernel; in a step elements, from its lowest on
}

// A phase are the results (y·up+py, x·up+px) of a convolution that enlarges images;
// others have one phase.
type phase struct {
	py, px int
	taps   []tap
	off    []int32 // of each channel's taps in a worker's image
	at     int     // of its weights, among those that are laid out
}

// A conv step computes convolutions as sums of products over a worker's padded
// copy of a strip of the image: the rows of the second operand are rows of that
// copy, each from its tap's place on. Images that strides subsample are copied as
// one image per remainder, so that neighbours are side by side.
//
// It also computes transposed convolutions, convolutions of images whose pixels
// are repeated (by the smaller kernels that sums of weights make, on the image as
// it was), and the maximum of each 2×2 results.
type conv struct {
	x, w, b, y view // b.buf is nil where there is no bias
	lo, hi     float32
	pool       bool // y holds the maxima of 2×2 results

	n, groups, in, out int // channels of a group
	ih, iw, oh, ow     int // of the image and of the results, before pooling
	sy, sx, uy, ux     int
	phases             []phase
	transposed         bool // weights are [in, out, kh, kw]
	kernel             int  // kh·kw

	low    int       // from a kernel's first element to that in the lowest place: 0 or less
	layout []float32 // weights laid out, nil if each run has others
	room   view      // where each run lays them out
	tiles  []span    // of a group's results

	remainders         [][2]int
	qy0, qy1, qx0, qx1 int
	hq, wq             int // results of a phase
	pitch, plane       int
	strip, strips      int
	lines              int // rows of a worker's image
	flat               bool
	line, face         int // of a tile's results: from row to row, and from channel to channel
	groupsPerPart      int
	groupParts         int
	image, tile        int // floats of a worker's memory
}

// geometry are a convolution's attributes.
type geometry struct {
	pads, strides, dilations [4]int
	groups                   int
}

func geometryOf(n *graph.Node) (g geometry, ok bool) {
	pads, strides, dilations := n.Ints("pads", 0, 0, 0, 0), n.Ints("strides", 1, 1), n.Ints("dilations", 1, 1)
	if len(pads) != 4 || len(strides) != 2 || len(dilations) != 2 {
		return g, false
	}
	for i := range 4 {
		g.pads[i] = int(pads[i])
	}
	for i := range 2 {
		g.strides[i], g.dilations[i] = int(strides[i]), int(dilations[i])
		if g.strides[i] < 1 || g.dilations[i] < 1 {
			return g, false
		}
	}
	g.groups = int(n.Int("group", 1))
	return g, g.groups > 0
}

func floorDiv(a, b int) (q, r int) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}

func (c *compiler) conv(n *graph.Node) bool {
	g, ok := geometryOf(n)
	xv, wv, out := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	if !ok || out.DType != graph.Float32 || xv.Rank() != 4 || wv.Rank() != 4 {
		return false
	}
	s := &conv{
		n: xv.Shape[0], groups: g.groups, in: wv.Shape[1], out: wv.Shape[0] / g.groups, kernel: wv.Shape[2] * wv.Shape[3],
		oh: out.Shape[2], ow: out.Shape[3], sy: g.strides[0], sx: g.strides[1], uy: 1, ux: 1,
	}
	kh, kw := wv.Shape[2], wv.Shape[3]
	if xv.Shape[1] != s.in*g.groups || out.Shape[1] != s.out*g.groups {
		return false
	}
	if s.kernel >= largeKernel && g.groups == 1 && s.sy == 1 && s.sx == 1 && s.oh*s.ow < s.kernel && n.In(2) == nil && c.correlation(n, g) {
		return true
	}
	s.phases = s.phasesOf(g, kh, kw)
	// An image that is repeated pixels is convolved as it was before, which takes 4/9 of the
	// products: more than tiles take, but those are transformed, which few channels do not pay for.
	if r := xv.Node(); r != nil && s.sy == 1 && s.sx == 1 && !(s.in*s.out >= wideChannels && s.winogradSuits(c)) {
		if fy, fx, ok := repeats(r); ok && fy*fx > 1 && fy <= 2 && fx <= 2 && r.Inputs[0].DType == graph.Float32 {
			xv, s.uy, s.ux = r.Inputs[0], fy, fx
			s.phases = s.phasesOf(g, kh, kw)
		}
	}
	s.ih, s.iw = xv.Shape[2], xv.Shape[3]
	return c.convolve(n, xv, s)
}

// phasesOf returns the phases of a convolution by kernels of so many places.
func (s *conv) phasesOf(g geometry, kh, kw int) []phase {
	var phases []phase
	for py := range s.uy {
		for px := range s.ux {
			p := phase{py: py, px: px}
			for ky := range kh {
				for kx := range kw {
					var t tap
					vy, vx := ky*g.dilations[0]-g.pads[0], kx*g.dilations[1]-g.pads[1]
					if s.uy*s.ux > 1 {
						t.qy, _ = floorDiv(py+vy, s.uy)
						t.qx, _ = floorDiv(px+vx, s.ux)
					} else {
						t.qy, t.ry = floorDiv(vy, s.sy)
						t.qx, t.rx = floorDiv(vx, s.sx)
					}
					at := ky*kw + kx
					if i := slices.IndexFunc(p.taps, func(o tap) bool { return o.qy == t.qy && o.qx == t.qx && o.ry == t.ry && o.rx == t.rx }); i >= 0 {
						p.taps[i].from = append(p.taps[i].from, at)
						continue
					}
					t.from = []int{at}
					p.taps = append(p.taps, t)
				}
			}
			phases = append(phases, p)
		}
	}
	return phases
}

func (c *compiler) convTranspose(n *graph.Node) bool {
	g, ok := geometryOf(n)
	xv, wv, out := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	if !ok || out.DType != graph.Float32 || xv.Rank() != 4 || wv.Rank() != 4 || xv.Shape[1] != wv.Shape[0] {
		return false
	}
	s := &conv{
		n: xv.Shape[0], groups: g.groups, in: wv.Shape[0] / g.groups, out: wv.Shape[1], kernel: wv.Shape[2] * wv.Shape[3], transposed: true,
		ih: xv.Shape[2], iw: xv.Shape[3], oh: out.Shape[2], ow: out.Shape[3], sy: 1, sx: 1, uy: g.strides[0], ux: g.strides[1],
	}
	for py := range s.uy {
		for px := range s.ux {
			p := phase{py: py, px: px}
			for ky := range wv.Shape[2] {
				for kx := range wv.Shape[3] {
					qy, ry := floorDiv(py+g.pads[0]-ky*g.dilations[0], s.uy)
					qx, rx := floorDiv(px+g.pads[1]-kx*g.dilations[1], s.ux)
					if ry == 0 && rx == 0 {
						p.taps = append(p.taps, tap{qy: qy, qx: qx, from: []int{ky*wv.Shape[3] + kx}})
					}
				}
			}
			if len(p.taps) == 0 { // results that are the bias alone
				p.taps = []tap{{}}
			}
			s.phases = append(s.phases, p)
		}
	}
	return c.convolve(n, xv, s)
}

// activation looks for what bounds the values of out and is all that uses it.
func (c *compiler) activation(out *graph.Value) (n *graph.Node, lo, hi float32) {
	if c.uses[out] != 1 || len(c.users[out]) != 1 {
		return nil, negInf, posInf
	}
	switch n := c.users[out][0]; n.Op {
	case "Relu":
		return n, 0, posInf
	case "Clip":
		bounds := [2]float32{negInf, posInf}
		for i := range bounds {
			if v := n.In(i + 1); v != nil {
				t := c.constant(v)
				if t == nil || t.DType() != graph.Float32 || t.Len() != 1 {
					return nil, negInf, posInf
				}
				bounds[i] = graph.Data[float32](t)[0]
			}
		}
		if n.Inputs[0] == out && bounds[0] <= bounds[1] {
			return n, bounds[0], bounds[1]
		}
	}
	return nil, negInf, posInf
}

// pooled looks for a maximum of 2×2 pixels that is all that uses out.
func (c *compiler) pooled(out *graph.Value) *graph.Node {
	if c.uses[out] != 1 || len(c.users[out]) != 1 {
		return nil
	}
	n := c.users[out][0]
	if n.Op != "MaxPool" || len(n.Outputs) != 1 && c.uses[n.Outputs[1]] > 0 || !halves(n) {
		return nil
	}
	return n
}

// halves reports whether a pooling takes windows of 2×2 side by side.
func halves(n *graph.Node) bool {
	g, ok := geometryOf(n)
	return ok && slices.Equal(n.Ints("kernel_shape"), []int64{2, 2}) && g.pads == [4]int{} && g.strides == [4]int{2, 2} && g.dilations == [4]int{1, 1}
}

// convolve emits the step of a convolution whose phases are known.
func (c *compiler) convolve(n *graph.Node, xv *graph.Value, s *conv) bool {
	out := n.Outputs[0]
	s.lo, s.hi = negInf, posInf
	if a, lo, hi := c.activation(out); a != nil {
		c.done[a] = true
		s.lo, s.hi = lo, hi
		out = a.Outputs[0]
	}
	taps := 0
	for _, p := range s.phases {
		taps += len(p.taps)
	}
	pointwise := s.groups == 1 && s.kernel == 1 && taps == 1 && s.phases[0].taps[0].qy == 0 && s.phases[0].taps[0].qx == 0 &&
		s.sy == 1 && s.sx == 1 && s.oh == s.ih && s.ow == s.iw
	if pool := c.pooled(out); pool != nil && s.uy*s.ux == 1 && !pointwise {
		c.done[pool] = true
		s.pool = true
		out = pool.Outputs[0]
	}
	s.x = c.denseOf(xv)
	if v := n.In(2); v != nil {
		s.b = c.denseOf(v)
	}
	s.y = c.newView(graph.Float32, out.Shape)
	c.values[out] = s.y
	if pointwise {
		s.w = c.denseOf(n.Inputs[1])
		area := s.ih * s.iw
		m := &matMul{a: s.w, b: s.x, y: s.y, bias: s.b, lo: s.lo, hi: s.hi, m: s.out, k: s.in, n: area, lda: s.in, ka: 1, ldb: area}
		if s.transposed {
			m.lda, m.ka = 1, s.out
		}
		for i := range s.n {
			m.aOff, m.bOff, m.yOff = append(m.aOff, 0), append(m.bOff, i*s.in*area), append(m.yOff, i*s.out*area)
		}
		c.step(c.newMatMul(m))
		return true
	}
	suits := s.winogradSuits(c)
	s.w = c.view(n.Inputs[1])
	if suits && !kernelsWhole(s.w) {
		s.w = c.denseOf(n.Inputs[1])
	}
	for d, step := range s.w.strides[2:] {
		s.low += min(0, (s.w.shape[2+d]-1)*step)
	}
	for _, p := range s.phases {
		for _, t := range p.taps {
			for k, at := range t.from {
				t.from[k] = at/s.w.shape[3]*s.w.strides[2] + at%s.w.shape[3]*s.w.strides[3] - s.low
			}
		}
	}
	var l laid = s
	if suits {
		l = newWinograd(c, s)
	} else {
		s.plan(c)
	}
	floats, scratch := l.laySize(c.isa)
	switch {
	case s.w.buf.konst != nil && c.unlaid:
	case s.w.buf.konst != nil:
		s.layout = make([]float32, floats)
		l.lay(c.isa, s.layout, graph.Data[float32](s.w.buf.konst), make([]float32, scratch))
	default:
		s.room = c.newView(graph.Float32, []int{floats})
		c.step(&layout{l, s.w, s.room, scratch})
	}
	c.step(l)
	return true
}

// A laid step has its weights laid out before it.
type laid interface {
	step
	// laySize returns how many floats they take then, and how many of memory lay.
	laySize(set *isa) (floats, scratch int)
	// lay writes them to dst; w are the elements of the buffer that they are in.
	lay(set *isa, dst, w, scratch []float32)
}

const (
	// imageFloats is what a worker's copy of a strip should not exceed, to stay
	// in a core's second cache.
	imageFloats = 48 << 10
	// fewRows is the least height of a strip: the rows above and below are copied too.
	fewRows = 4
)

// plan settles how the image is cut into strips, and where everything lies.
func (s *conv) plan(c *compiler) {
	set := c.isa
	s.tiles = split(s.out, set.rows)
	floats := 0
	for i := range s.phases {
		s.phases[i].at = floats
		floats += s.groups * s.out * s.in * len(s.phases[i].taps)
	}
	first := true
	for _, p := range s.phases {
		for _, t := range p.taps {
			if first {
				s.qy0, s.qy1, s.qx0, s.qx1, first = t.qy, t.qy, t.qx, t.qx, false
			}
			s.qy0, s.qy1, s.qx0, s.qx1 = min(s.qy0, t.qy), max(s.qy1, t.qy), min(s.qx0, t.qx), max(s.qx1, t.qx)
			if r := [2]int{t.ry, t.rx}; !slices.Contains(s.remainders, r) {
				s.remainders = append(s.remainders, r)
			}
		}
	}
	s.hq, s.wq = (s.oh+s.uy-1)/s.uy, (s.ow+s.ux-1)/s.ux
	s.pitch = s.wq + s.qx1 - s.qx0
	perRow := s.in * len(s.remainders) * s.pitch
	s.strip = min(max(imageFloats/perRow, fewRows), s.hq)
	s.groupsPerPart = 1
	if s.groups > 1 {
		s.groupsPerPart = max(1, s.groups*s.n/(4*c.threads))
	}
	s.groupParts = (s.groups + s.groupsPerPart - 1) / s.groupsPerPart
	if parts := 4 * c.threads; s.n*s.groupParts < parts {
		strips := parts / (s.n * s.groupParts)
		s.strip = min(s.strip, max((s.hq+strips-1)/strips, fewRows))
	}
	s.strips = (s.hq + s.strip - 1) / s.strip
	s.strip = (s.hq + s.strips - 1) / s.strips
	if s.pool {
		s.strip += s.strip % 2
	}
	s.strips = (s.hq + s.strip - 1) / s.strip
	s.lines = s.strip + s.qy1 - s.qy0
	s.plane = roundUp(len(s.remainders)*s.lines*s.pitch, chunk)
	if s.plane%128 == 0 {
		s.plane += chunk // planes that are a power of two apart share lines of the cache
	}
	row := roundUp(s.wq, set.lanes)
	s.flat = 10*roundUp((s.strip-1)*s.pitch+s.wq, set.lanes) < 9*s.strip*row
	s.line, s.face = row, s.strip*row
	if s.flat {
		s.line, s.face = s.pitch, roundUp(s.strip*s.pitch, set.lanes)
	}
	// The last vector of a row may reach beyond it.
	s.image = s.in*s.plane + 4*set.lanes
	s.tile = set.rows * s.face
	for i := range s.phases {
		p := &s.phases[i]
		for ch := range s.in {
			for _, t := range p.taps {
				r := slices.Index(s.remainders, [2]int{t.ry, t.rx})
				p.off = append(p.off, int32(ch*s.plane+(r*s.lines+t.qy-s.qy0)*s.pitch+t.qx-s.qx0))
			}
		}
	}
}

func (s *conv) laySize(*isa) (floats, scratch int) {
	last := s.phases[len(s.phases)-1]
	return last.at + s.groups*s.out*s.in*len(last.taps), 0
}

// lay lays out weights by phase, group and tile, for each channel and tap those of the
// tile's results side by side.
func (s *conv) lay(_ *isa, dst, w, _ []float32) {
	of, channel, group := s.w.strides[0], s.w.strides[1], s.out*s.w.strides[0]
	if s.transposed {
		of, channel, group = channel, of, s.in*of
	}
	for i := range s.phases {
		p := &s.phases[i]
		to := dst[p.at:]
		for g := range s.groups {
			for _, t := range s.tiles {
				n := t.hi - t.lo
				for ch := range s.in {
					p.lay(to, n, w[s.w.off+s.low+g*group+t.lo*of+ch*channel:], n, of)
					to = to[len(p.taps)*n:]
				}
			}
		}
	}
}

// lay lays out the kernels of n results for one channel, which are step elements apart,
// each tap so many floats from the one before. It does four at a time: training lays out
// all weights at each step.
func (p *phase) lay(dst []float32, apart int, w []float32, n, step int) {
	r := 0
	for ; r+4 <= n; r += 4 {
		w0, w1, w2, w3 := w[r*step:], w[(r+1)*step:], w[(r+2)*step:], w[(r+3)*step:]
		for i := range p.taps {
			to := (*[4]float32)(dst[i*apart+r:])
			var s0, s1, s2, s3 float32
			for _, k := range p.taps[i].from {
				s0, s1, s2, s3 = s0+w0[k], s1+w1[k], s2+w2[k], s3+w3[k]
			}
			to[0], to[1], to[2], to[3] = s0, s1, s2, s3
		}
	}
	for ; r < n; r++ {
		for i := range p.taps {
			sum := float32(0)
			for _, k := range p.taps[i].from {
				sum += w[r*step+k]
			}
			dst[i*apart+r] = sum
		}
	}
}

// A layout step lays out the weights of a convolution that each run has others of.
type layout struct {
	of     laid
	w      view
	room   view
	memory int
}

func (l *layout) uses() (reads, writes []view) { return []view{l.w}, []view{l.room} }

func (l *layout) scratch() int { return l.memory }

func (l *layout) run(s *State) error {
	l.of.lay(s.plan.isa, s.floats(l.room), s.raw[l.w.buf.id].([]float32), s.workers[0].scratch)
	return nil
}

func (s *conv) uses() (reads, writes []view) {
	reads = []view{s.x}
	if s.room.buf != nil {
		reads = append(reads, s.room)
	} else {
		reads = append(reads, s.w)
	}
	if s.b.buf != nil {
		reads = append(reads, s.b)
	}
	return reads, []view{s.y}
}

func (s *conv) scratch() int {
	return roundUp(s.image, chunk) + (s.ux+1)*roundUp(s.tile, chunk) + 8*chunk
}

func (s *conv) run(st *State) error {
	st.parallel(s.n*s.groupParts*s.strips, s)
	return nil
}

func (s *conv) part(st *State, w *worker, i int) {
	strip := i % s.strips
	i /= s.strips
	image, groups := i/s.groupParts, span{i % s.groupParts * s.groupsPerPart, min((i%s.groupParts+1)*s.groupsPerPart, s.groups)}
	x := st.floats(s.x)[image*s.groups*s.in*s.ih*s.iw:]
	out := s.oh * s.ow
	if s.pool {
		out = (s.oh / 2) * (s.ow / 2)
	}
	y := st.floats(s.y)[image*s.groups*s.out*out:]
	weights := s.layout
	if weights == nil {
		weights = st.floats(s.room)
	}
	var bias []float32
	if s.b.buf != nil {
		bias = st.floats(s.b)
	}
	rows := span{strip * s.strip, min((strip+1)*s.strip, s.hq)}
	padded := w.scratch[:roundUp(s.image, chunk)]
	tiles := w.scratch[len(padded):]
	size := roundUp(s.tile, chunk)
	p := &w.product
	p.add, p.lo, p.hi = 0, s.lo, s.hi
	for g := groups.lo; g < groups.hi; g++ {
		s.copyImage(padded, x[g*s.in*s.ih*s.iw:], rows)
		for _, t := range s.tiles {
			p.bias = nil
			if bias != nil {
				p.bias = &bias[g*s.out+t.lo]
			}
			for i := range s.phases {
				ph := &s.phases[i]
				k := len(ph.off)
				p.k, p.lda, p.ka = k, 4, 4*(t.hi-t.lo)
				p.a, p.off = &weights[ph.at+(g*s.out+t.lo)*k:][:k*(t.hi-t.lo)][0], &ph.off[0]
				planes := y[(g*s.out+t.lo)*out:][:(t.hi-t.lo)*out]
				s.compute(st.plan.isa, p, padded, tiles[ph.px*size:][:size], tiles[s.ux*size:][:size], planes, rows, t)
				if ph.px == s.ux-1 {
					s.finish(st.plan.isa, tiles, size, planes, rows, t, ph.py)
				}
			}
		}
	}
}

// direct reports whether tiles are written to where they belong at once.
func (s *conv) direct() bool { return !s.flat && !s.pool && s.uy*s.ux == 1 }

// compute computes rows of some results of a phase: into planes if that can be at
// once, else into tile. spare takes what reaches beyond a row.
func (s *conv) compute(set *isa, p *productArgs, padded, tile, spare, planes []float32, rows span, t span) {
	kernels := &set.product[t.hi-t.lo-1]
	if s.flat {
		total := (rows.hi-rows.lo-1)*s.pitch + s.wq
		p.ldc = 4 * s.face
		for at := 0; at < total; {
			v := vectors(total-at, set.lanes)
			p.b, p.c = &padded[at], &tile[at]
			p.run(kernels[v-1])
			at += v * set.lanes
		}
		return
	}
	direct := s.direct()
	for row := rows.lo; row < rows.hi; row++ {
		for at := 0; at < s.wq; {
			v := vectors(s.wq-at, set.lanes)
			p.b = &padded[(row-rows.lo)*s.pitch+at]
			switch {
			case !direct:
				p.c, p.ldc = &tile[(row-rows.lo)*s.line+at], 4*s.face
				p.run(kernels[v-1])
			case at+v*set.lanes <= s.wq:
				p.c, p.ldc = &planes[row*s.ow+at], 4*s.oh*s.ow
				p.run(kernels[v-1])
			default:
				p.c, p.ldc = &spare[0], 4*3*set.lanes
				if len(spare) < set.rows*3*set.lanes {
					p.ldc = 4 * v * set.lanes
				}
				p.run(kernels[v-1])
				for m := range t.hi - t.lo {
					copy(planes[m*s.oh*s.ow+row*s.ow+at:][:s.wq-at], spare[m*p.ldc/4:])
				}
			}
			at += v * set.lanes
		}
	}
}

// vectors returns how many vectors, up to 3, the next tile of n columns has, so
// that none is left with a single one where that can be helped.
func vectors(n, lanes int) int {
	v := (n + lanes - 1) / lanes
	if v == 4 {
		return 2
	}
	return min(v, 3)
}

// finish writes what compute left in tiles, one for each column's phase, to the planes.
func (s *conv) finish(set *isa, tiles []float32, size int, planes []float32, rows, t span, py int) {
	if s.direct() {
		return
	}
	for m := range t.hi - t.lo {
		if s.pool {
			ow := s.ow / 2
			plane := planes[m*(s.oh/2)*ow:]
			for row := rows.lo; row+1 < rows.hi; row += 2 {
				a := tiles[m*s.face+(row-rows.lo)*s.line:]
				pairMax(set, plane[row/2*ow:][:ow], a, a[s.line:])
			}
			continue
		}
		plane := planes[m*s.oh*s.ow:][:s.oh*s.ow]
		for row := rows.lo; row < rows.hi && row*s.uy+py < s.oh; row++ {
			dst := plane[(row*s.uy+py)*s.ow:][:s.ow]
			at := m*s.face + (row-rows.lo)*s.line
			if s.ux == 1 {
				copy(dst, tiles[at:at+s.wq])
				continue
			}
			done := 0
			if s.ux == 2 {
				if done = s.ow / 2 / chunk * chunk; done > 0 {
					set.zip(unsafe.SliceData(dst), &tiles[at], &tiles[size+at], done)
				}
			}
			for px := range s.ux {
				src := tiles[px*size+at:]
				for x := done; x*s.ux+px < s.ow; x++ {
					dst[x*s.ux+px] = src[x]
				}
			}
		}
	}
}

// pairMax sets dst[i] to the largest of a[2i], a[2i+1], b[2i] and b[2i+1].
func pairMax(set *isa, dst, a, b []float32) {
	n := len(dst) / chunk * chunk
	if n > 0 {
		set.pairMax(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), n)
	}
	for i := n; i < len(dst); i++ {
		dst[i] = max(a[2*i], a[2*i+1], b[2*i], b[2*i+1])
	}
}

// copyImage copies what a strip's rows see of an image, zeros around it.
func (s *conv) copyImage(dst, x []float32, rows span) {
	for ch := range s.in {
		src := x[ch*s.ih*s.iw:][:s.ih*s.iw]
		for r, rem := range s.remainders {
			for line := range rows.hi - rows.lo + s.qy1 - s.qy0 {
				to := dst[ch*s.plane+(r*s.lines+line)*s.pitch:][:s.pitch]
				iy := (rows.lo+s.qy0+line)*s.sy + rem[0]
				if iy < 0 || iy >= s.ih {
					clear(to)
					continue
				}
				from := src[iy*s.iw:][:s.iw]
				// Pixel i of the copy is (qx0+i)·sx + rx of the row.
				at := s.qx0*s.sx + rem[1]
				left := 0
				if at < 0 {
					left = min((-at+s.sx-1)/s.sx, s.pitch)
				}
				right := left
				if last := s.iw - 1 - at; last >= 0 {
					right = max(left, min(last/s.sx+1, s.pitch))
				}
				clear(to[:left])
				clear(to[right:])
				loadFloats(to[left:right], from, at+left*s.sx, s.sx)
			}
		}
	}
}
