package kernels

import (
	"slices"
	"unsafe"

	"github.com/anomaly-go/anomaly/graph"
)

// move makes views of operators that only rearrange elements.
func (c *compiler) move(n *graph.Node) bool {
	var ok bool
	switch n.Op {
	case "Identity":
		if p := c.programOf(n.Inputs[0]); p != nil {
			return false
		}
		c.values[n.Outputs[0]], ok = c.view(n.Inputs[0]), true
	case "Reshape":
		c.values[n.Outputs[0]], ok = c.denseOf(n.Inputs[0]).reshape(n.Outputs[0].Shape), true
	case "Transpose":
		ok = c.transpose(n)
	case "Slice":
		ok = c.slice(n)
	case "Split":
		ok = c.split(n)
	case "Expand":
		var x view
		if x, ok = c.view(n.Inputs[0]).to(n.Outputs[0].Shape); ok {
			c.values[n.Outputs[0]] = x
		}
	}
	return ok
}

// permOf returns the order of axes that a Transpose gives, nil if it is not one.
func permOf(n *graph.Node) []int {
	rank := n.Inputs[0].Rank()
	perm := make([]int, rank)
	for i := range perm {
		perm[i] = rank - 1 - i
	}
	if p := n.Ints("perm"); p != nil {
		if len(p) != rank {
			return nil
		}
		for i, a := range p {
			perm[i] = int(a)
		}
	}
	sorted := slices.Sorted(slices.Values(perm))
	for i, a := range sorted {
		if a != i {
			return nil
		}
	}
	return perm
}

// transpose computes elementwise operators that only it uses on what they are
// made of, permuted: pixels are converted on their way to other places.
func (c *compiler) transpose(n *graph.Node) bool {
	perm, x, out := permOf(n), n.Inputs[0], n.Outputs[0]
	if perm == nil {
		return false
	}
	p := c.programOf(x)
	if p == nil || !c.chain(x) {
		c.values[out] = c.view(x).permute(perm)
		return true
	}
	q := c.open(out.Shape)
	if q == p { // a square one
		c.values[out] = c.view(x).permute(perm)
		return true
	}
	t := c.permuted(q, x, perm)
	q.terms[t].of = out
	q.ids[out] = t
	return true
}

// chain reports whether v and all that it is computed from, down to inputs and
// scalars, are elementwise operators of one use.
func (c *compiler) chain(v *graph.Value) bool {
	n := v.Node()
	if n == nil || c.uses[v] != 1 || !isElementwise(n) {
		return false
	}
	for _, in := range n.Inputs {
		if in == nil || in.Const() != nil && in.Const().Len() == 1 || in.Node() == nil && slices.Equal(in.Shape, v.Shape) {
			continue
		}
		if !slices.Equal(in.Shape, v.Shape) || !c.chain(in) {
			return false
		}
	}
	return true
}

// permuted appends a chain to a program for arrays with their axes permuted.
func (c *compiler) permuted(p *program, v *graph.Value, perm []int) int {
	n := v.Node()
	if old := c.programOf(v); old != nil { // nobody else needs it
		old.inner[v] = c.uses[v]
	}
	args := make([]int, len(n.Inputs))
	for i, in := range n.Inputs {
		switch {
		case in == nil:
			args[i] = -1
		case in.Node() == nil:
			args[i] = c.operandOf(p, in, perm)
		default:
			args[i] = c.permuted(p, in, perm)
		}
	}
	t, _ := c.apply(p, n, args)
	if p.terms[t].kind != computed {
		t = p.add(term{kind: computed, args: []int{t}, f: copyTerm})
	}
	return t
}

// ints returns the elements of a constant int64 operand; nil and true where it is omitted.
func (c *compiler) ints(n *graph.Node, i int) ([]int, bool) {
	v := n.In(i)
	if v == nil {
		return nil, true
	}
	t := c.constant(v)
	if t == nil || t.DType() != graph.Int64 {
		return nil, false
	}
	out := make([]int, t.Len())
	for j, x := range graph.Data[int64](t) {
		out[j] = int(x)
	}
	return out, true
}

func (c *compiler) slice(n *graph.Node) bool {
	var lists [4][]int // starts, ends, axes, steps
	for i := range lists {
		var ok bool
		if lists[i], ok = c.ints(n, i+1); !ok {
			return false
		}
	}
	x, out := c.view(n.Inputs[0]), n.Outputs[0]
	for i, start := range lists[0] {
		axis, step := i, 1
		if lists[2] != nil {
			axis = lists[2][i]
		}
		if lists[3] != nil {
			step = lists[3][i]
		}
		if axis < 0 {
			axis += len(x.shape)
		}
		d := x.shape[axis]
		if start < 0 {
			start += d
		}
		start = max(start, 0)
		if step < 0 {
			start = min(start, d-1)
		}
		count := out.Shape[axis]
		if count == 0 {
			return false
		}
		if count == 1 {
			step = 1
		}
		if last := start + (count-1)*step; start >= d || last < 0 || last >= d {
			return false
		}
		x = x.slice(axis, start, step, count)
	}
	if !slices.Equal(x.shape, out.Shape) {
		return false
	}
	c.values[out] = x
	return true
}

func (c *compiler) split(n *graph.Node) bool {
	x := c.view(n.Inputs[0])
	axis := int(n.Int("axis", 0))
	if axis < 0 {
		axis += len(x.shape)
	}
	at := 0
	for _, out := range n.Outputs {
		count := out.Shape[axis]
		if at+count > x.shape[axis] {
			return false
		}
		c.values[out] = x.slice(axis, at, 1, count)
		at += count
	}
	return true
}

// concat lets open programs write to their places; other operands are copied there.
func (c *compiler) concat(n *graph.Node) bool {
	out := n.Outputs[0]
	axis := int(n.Int("axis", 0))
	if axis < 0 {
		axis += len(out.Shape)
	}
	dst := c.newView(out.DType, out.Shape)
	at := 0
	var pieces []view
	for _, v := range n.Inputs {
		d := v.Shape[axis]
		pieces = append(pieces, dst.slice(axis, at, 1, d))
		at += d
	}
	if at != out.Shape[axis] {
		return false
	}
	written := make([]bool, len(pieces))
	for i, v := range n.Inputs {
		if p := c.programOf(v); p != nil {
			if t := &p.terms[p.ids[v]]; len(t.stores) == 0 {
				t.stores = append(t.stores, pieces[i])
				written[i] = true
			}
		}
	}
	for i, v := range n.Inputs {
		x := c.view(v)
		if !written[i] {
			c.step(newCopy(pieces[i], x, c.threads))
		}
	}
	c.values[out] = dst
	return true
}

// pad handles constant padding: all is filled, then the image copied.
func (c *compiler) pad(n *graph.Node) bool {
	pads, ok := c.ints(n, 1)
	x, out := n.Inputs[0], n.Outputs[0]
	if !ok || n.Text("mode", "constant") != "constant" || len(n.Inputs) > 3 || len(pads) != 2*x.Rank() || x.DType != graph.Float32 {
		return false
	}
	var value float32
	if v := n.In(2); v != nil {
		t := c.constant(v)
		if t == nil || t.DType() != graph.Float32 || t.Len() != 1 {
			return false
		}
		value = graph.Data[float32](t)[0]
	}
	src := c.view(x)
	dst := c.result(n)
	c.step(&fill{dst, value})
	from, to := src, dst
	for i, d := range x.Shape {
		before, after := pads[i], pads[len(pads)/2+i]
		start, count := max(-before, 0), d-max(-before, 0)-max(-after, 0)
		if count <= 0 {
			return true
		}
		from = from.slice(i, start, 1, count)
		to = to.slice(i, max(before, 0), 1, count)
	}
	if out.Shape[0] > 0 {
		c.step(newCopy(to, from, c.threads))
	}
	return true
}

// A fill step sets all elements of a dense view.
type fill struct {
	dst   view
	value float32
}

func (f *fill) uses() (reads, writes []view) { return nil, []view{f.dst} }

func (f *fill) scratch() int { return 0 }

func (f *fill) run(s *State) error {
	y := s.floats(f.dst)[:f.dst.len()]
	for i := range y {
		y[i] = f.value
	}
	return nil
}

// depthToSpace and spaceToDepth are permutations of an array of more axes.
func (c *compiler) depthToSpace(n *graph.Node) bool {
	x := c.denseOf(n.Inputs[0])
	b := int(n.Int("blocksize", 1))
	s := x.shape
	k := s[1] / (b * b)
	if n.Text("mode", "DCR") == "CRD" {
		x = x.reshape([]int{s[0], k, b, b, s[2], s[3]}).permute([]int{0, 1, 4, 2, 5, 3})
	} else {
		x = x.reshape([]int{s[0], b, b, k, s[2], s[3]}).permute([]int{0, 3, 4, 1, 5, 2})
	}
	c.values[n.Outputs[0]] = c.dense(x).reshape(n.Outputs[0].Shape)
	return true
}

func (c *compiler) spaceToDepth(n *graph.Node) bool {
	x := c.denseOf(n.Inputs[0])
	b := int(n.Int("blocksize", 1))
	s := x.shape
	x = x.reshape([]int{s[0], s[1], s[2] / b, b, s[3] / b, b}).permute([]int{0, 3, 5, 1, 2, 4})
	c.values[n.Outputs[0]] = c.dense(x).reshape(n.Outputs[0].Shape)
	return true
}

// A copy step copies elements from view to view.
type copying struct {
	dst, src view
	dims     []int
	to, from []int // strides
	rows     int   // of which the last of dims is one
	parts    int
}

// moveElements is how many elements are worth a part of their own.
const moveElements = 1 << 14

func newCopy(dst, src view, threads int) *copying {
	c := &copying{dst: dst, src: src}
	var strides [][]int
	c.dims, strides = collapse(dst.shape, []view{dst, src})
	c.to, c.from = strides[0], strides[1]
	c.rows = graph.Elements(c.dims[:len(c.dims)-1])
	c.parts = min(max(dst.len()/moveElements, 1), c.rows, 4*threads)
	return c
}

func (c *copying) uses() (reads, writes []view) { return []view{c.src}, []view{c.dst} }

func (c *copying) scratch() int { return 0 }

func (c *copying) run(s *State) error {
	s.parallel(c.parts, c)
	return nil
}

func (c *copying) part(s *State, _ *worker, i int) {
	lo, hi := i*c.rows/c.parts, (i+1)*c.rows/c.parts
	switch y := s.raw[c.dst.buf.id].(type) {
	case []float32:
		moveRows(c, y, s.raw[c.src.buf.id].([]float32), lo, hi)
	case []float64:
		moveRows(c, y, s.raw[c.src.buf.id].([]float64), lo, hi)
	case []uint8:
		moveRows(c, y, s.raw[c.src.buf.id].([]uint8), lo, hi)
	case []int32:
		moveRows(c, y, s.raw[c.src.buf.id].([]int32), lo, hi)
	case []int64:
		moveRows(c, y, s.raw[c.src.buf.id].([]int64), lo, hi)
	case []bool:
		moveRows(c, y, s.raw[c.src.buf.id].([]bool), lo, hi)
	}
}

func moveRows[T graph.Elem](c *copying, dst, src []T, lo, hi int) {
	last := len(c.dims) - 1
	n, to, from := c.dims[last], c.to[last], c.from[last]
	for row := lo; row < hi; row++ {
		d, s, r := c.dst.off, c.src.off, row
		for i := last - 1; i >= 0; i-- {
			k := r % c.dims[i]
			r /= c.dims[i]
			d += k * c.to[i]
			s += k * c.from[i]
		}
		switch {
		case to == 1 && from == 1:
			copy(dst[d:d+n], src[s:s+n])
		case to == 1:
			for i := range dst[d : d+n] {
				dst[d+i] = src[s]
				s += from
			}
		default:
			for range n {
				dst[d] = src[s]
				d += to
				s += from
			}
		}
	}
}

// resize repeats pixels where a factor is a whole number, and multiplies by
// matrices where pixels are interpolated.
func (c *compiler) resize(n *graph.Node) bool {
	x, out := n.Inputs[0], n.Outputs[0]
	if x.DType != graph.Float32 || x.Rank() != 4 || !slices.Equal(x.Shape[:2], out.Shape[:2]) {
		return false
	}
	if n.Text("mode", "nearest") != "nearest" {
		return c.interpolate(n)
	}
	fy, fx, ok := repeats(n)
	if !ok {
		return false
	}
	src := c.denseOf(x)
	c.lazy[out] = &repeat{dst: c.result(n), src: src, fy: fy, fx: fx}
	return true
}

// repeats returns how often a Resize repeats rows and columns, if that is what it does.
func repeats(n *graph.Node) (fy, fx int, ok bool) {
	x, out := n.Inputs[0], n.Outputs[0]
	if n.Op != "Resize" || n.Text("mode", "nearest") != "nearest" || x.Rank() != 4 || !slices.Equal(x.Shape[:2], out.Shape[:2]) ||
		n.Text("coordinate_transformation_mode", "half_pixel") != "asymmetric" || n.Text("nearest_mode", "round_prefer_floor") != "floor" ||
		graph.Elements(x.Shape) == 0 || out.Shape[2]%x.Shape[2] != 0 || out.Shape[3]%x.Shape[3] != 0 {
		return 0, 0, false
	}
	fy, fx = out.Shape[2]/x.Shape[2], out.Shape[3]/x.Shape[3]
	if s := n.In(2); s != nil { // scales need not be the ratio of sizes
		if s.Const() == nil || s.Const().DType() != graph.Float32 {
			return 0, 0, false
		}
		for i, f := range graph.Data[float32](s.Const()) {
			if len(n.Ints("axes")) > 0 || s.Const().Len() != 4 || f != []float32{1, 1, float32(fy), float32(fx)}[i] {
				return 0, 0, false
			}
		}
	}
	return fy, fx, true
}

// A repeat step repeats each row and column of images.
type repeat struct {
	dst, src view
	fy, fx   int
}

func (r *repeat) uses() (reads, writes []view) { return []view{r.src}, []view{r.dst} }

func (r *repeat) scratch() int { return 0 }

func (r *repeat) run(s *State) error {
	s.parallel(min(r.planes(), 4*len(s.workers)), r)
	return nil
}

func (r *repeat) planes() int { return r.src.shape[0] * r.src.shape[1] }

func (r *repeat) part(s *State, _ *worker, i int) {
	h, w := r.src.shape[2], r.src.shape[3]
	parts := min(r.planes(), 4*len(s.workers))
	lo, hi := i*r.planes()/parts*h, (i+1)*r.planes()/parts*h
	x, y := s.floats(r.src), s.floats(r.dst)
	wide := w * r.fx
	for row := lo; row < hi; row++ {
		from := x[row*w:][:w]
		to := y[row*r.fy*wide:][:wide]
		j := 0
		if r.fx == 2 {
			if j = w / chunk * chunk; j > 0 {
				s.plan.isa.zip(unsafe.SliceData(to), unsafe.SliceData(from), unsafe.SliceData(from), j)
			}
		}
		for ; j < w; j++ {
			for k := range r.fx {
				to[j*r.fx+k] = from[j]
			}
		}
		for k := 1; k < r.fy; k++ {
			copy(y[(row*r.fy+k)*wide:][:wide], to)
		}
	}
}
