package kernels

import (
	"slices"

	"math"
	"unsafe"

	"github.com/anomaly-go/anomaly/graph"
)

// An opcode is a function of one to three numbers.
type opcode int

const (
	opAdd opcode = iota
	opSub
	opMul
	opDiv
	opMax
	opMin
	opGreater // 1 where it holds, else 0
	opGreaterOrEqual
	opEqual
	opWhere // b where a is not 0, else c
	opRelu
	opSqrt
	opAbs
	opNeg
	opExp
	opSigmoid
	opTanh
	lastSIMD
)

// binaryOps are the operators of two operands that are one instruction.
var binaryOps = map[string]opcode{
	"Add": opAdd, "Sub": opSub, "Mul": opMul, "Div": opDiv, "Max": opMax, "Min": opMin,
	"Greater": opGreater, "GreaterOrEqual": opGreaterOrEqual, "Equal": opEqual,
	"And": opMul, "Or": opMax,
}

var unaryOps = map[string]opcode{
	"Relu": opRelu, "Sqrt": opSqrt, "Abs": opAbs, "Neg": opNeg, "Exp": opExp, "Sigmoid": opSigmoid, "Tanh": opTanh,
}

// curves are functions of one number that are computed one at a time.
var curves = map[string]func(x float64) float64{
	"Log": math.Log, "Erf": math.Erf, "Sin": math.Sin, "Cos": math.Cos, "Atan": math.Atan,
	"Floor": math.Floor, "Ceil": math.Ceil,
	"Softplus": func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
}

// A term of a program is an operand, a number or the result of an instruction.
type term struct {
	kind termKind
	view view // of an operand
	x    float32
	f    func(dst, a, b, c *float32, n int)
	args []int // terms
	of   *graph.Value
	// stores are where the term's value is written to.
	stores []view
}

type termKind int

const (
	operand termKind = iota
	number
	computed
)

// A program is a run of elementwise operators on arrays of one shape, which is
// open to further ones until somebody needs a result.
type program struct {
	shape []int
	terms []term
	ids   map[*graph.Value]int
	inner map[*graph.Value]int // how often the program itself uses a value
}

func (p *program) add(t term) int {
	if t.kind != computed {
		for i, o := range p.terms {
			if o.kind == t.kind && (t.kind == number && math.Float32bits(o.x) == math.Float32bits(t.x) ||
				t.kind == operand && o.view.buf == t.view.buf && o.view.off == t.view.off && slices.Equal(o.view.strides, t.view.strides)) {
				return i
			}
		}
	}
	p.terms = append(p.terms, t)
	return len(p.terms) - 1
}

func copyTerm(dst, a, _, _ *float32, n int) { copy(unsafe.Slice(dst, n), unsafe.Slice(a, n)) }

func (c *compiler) emit(p *program, op opcode, args ...int) int {
	return p.add(term{kind: computed, f: c.isa.each[op], args: args})
}

// apply appends the instructions of an elementwise operator; false if it is none.
func (c *compiler) apply(p *program, n *graph.Node, args []int) (int, bool) {
	scalar := func(x float32) int { return p.add(term{kind: number, x: x}) }
	slow := func(f func(x float64) float64) int {
		return p.add(term{kind: computed, args: args[:1], f: func(dst, a, _, _ *float32, n int) {
			y := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(a, n) {
				y[i] = float32(f(float64(v)))
			}
		}})
	}
	if op, ok := binaryOps[n.Op]; ok && len(args) > 0 {
		t := args[0]
		for _, a := range args[1:] {
			t = c.emit(p, op, t, a)
		}
		return t, true
	}
	if op, ok := unaryOps[n.Op]; ok {
		return c.emit(p, op, args[0]), true
	}
	if f, ok := curves[n.Op]; ok {
		return slow(f), true
	}
	switch n.Op {
	case "Identity", "Cast":
		return args[0], true
	case "Round":
		if bounded(n.Inputs[0]) {
			const whole = 3 << 22 // from 2²³ to 2²⁴ with what is added
			return c.emit(p, opSub, c.emit(p, opAdd, args[0], scalar(whole)), scalar(whole)), true
		}
		// From 2²³ to 2²⁴ floats are whole numbers: sums there are rounded to them, halves to
		// the even one.
		const whole = 1 << 23
		far := c.emit(p, opWhere, c.emit(p, opGreater, args[0], scalar(0)), scalar(whole), scalar(-whole))
		rounded := c.emit(p, opSub, c.emit(p, opAdd, args[0], far), far)
		return c.emit(p, opWhere, c.emit(p, opGreater, scalar(whole), c.emit(p, opAbs, args[0])), rounded, args[0]), true
	case "Less":
		return c.emit(p, opGreater, args[1], args[0]), true
	case "LessOrEqual":
		return c.emit(p, opGreaterOrEqual, args[1], args[0]), true
	case "Not":
		return c.emit(p, opSub, scalar(1), args[0]), true
	case "Where":
		return c.emit(p, opWhere, args...), true
	case "Clip":
		t := args[0]
		if len(args) > 1 && args[1] >= 0 {
			t = c.emit(p, opMax, t, args[1])
		}
		if len(args) > 2 && args[2] >= 0 {
			t = c.emit(p, opMin, t, args[2])
		}
		return t, true
	case "LeakyRelu":
		scaled := c.emit(p, opMul, args[0], scalar(n.Float("alpha", .01)))
		return c.emit(p, opWhere, c.emit(p, opGreater, args[0], scalar(0)), args[0], scaled), true
	case "Elu":
		alpha := float64(n.Float("alpha", 1))
		return slow(func(x float64) float64 {
			if x > 0 {
				return x
			}
			return alpha * math.Expm1(x)
		}), true
	case "Pow":
		if e := p.terms[args[1]]; e.kind == number && e.x == 2 {
			return c.emit(p, opMul, args[0], args[0]), true
		}
		return p.add(term{kind: computed, args: args, f: func(dst, a, b, _ *float32, n int) {
			y, e := unsafe.Slice(dst, n), unsafe.Slice(b, n)
			for i, v := range unsafe.Slice(a, n) {
				y[i] = float32(math.Pow(float64(v), float64(e[i])))
			}
		}}), true
	}
	return 0, false
}

// bounded reports whether numbers were clipped to less than 2²².
func bounded(v *graph.Value) bool {
	n := v.Node()
	if n == nil || n.Op != "Clip" || len(n.Inputs) < 3 {
		return false
	}
	for _, b := range n.Inputs[1:] {
		if b == nil || b.Const() == nil || b.Const().Len() != 1 || b.DType != graph.Float32 || math.Abs(float64(graph.Data[float32](b.Const())[0])) >= 1<<22 {
			return false
		}
	}
	return true
}

var elementwiseOps = map[string]bool{
	"Less": true, "LessOrEqual": true, "Not": true, "Where": true, "Clip": true, "LeakyRelu": true, "Elu": true, "Pow": true, "Cast": true, "Round": true,
}

// isElementwise reports whether programs can compute a node.
func isElementwise(n *graph.Node) bool {
	if n.Domain != "" || len(n.Outputs) != 1 {
		return false
	}
	_, binary := binaryOps[n.Op]
	_, unary := unaryOps[n.Op]
	if !binary && !unary && curves[n.Op] == nil && !elementwiseOps[n.Op] {
		return false
	}
	out := n.Outputs[0]
	for _, v := range n.Inputs {
		if v == nil {
			continue
		}
		switch {
		case v.DType == graph.Float32 || v.DType == graph.Bool:
		case v.DType == graph.Uint8 && n.Op == "Cast" && out.DType == graph.Float32:
		default:
			return false
		}
	}
	switch out.DType {
	case graph.Float32:
	case graph.Bool:
		if n.Op == "Cast" && n.Inputs[0].DType != graph.Bool {
			return false
		}
	default:
		return false
	}
	if n.Op == "Clip" { // its bounds are scalars whatever their shape
		for _, v := range n.Inputs[1:] {
			if v != nil && len(v.Shape) > 0 {
				return false
			}
		}
	}
	return true
}

// elementwise adds a node to the open program of its shape.
func (c *compiler) elementwise(n *graph.Node) bool {
	if !isElementwise(n) {
		return false
	}
	out := n.Outputs[0]
	for _, v := range n.Inputs { // a program of another shape, or one that cannot be seen here, ends
		if v == nil {
			continue
		}
		if p := c.programOf(v); p != nil && !slices.Equal(p.shape, out.Shape) {
			c.flush(p)
		}
	}
	p := c.open(out.Shape)
	args := make([]int, len(n.Inputs))
	for i, v := range n.Inputs {
		args[i] = -1
		if v != nil {
			args[i] = c.operandOf(p, v, nil)
		}
	}
	t, _ := c.apply(p, n, args)
	if p.terms[t].kind != computed || p.terms[t].of != nil { // a value of its own
		t = p.add(term{kind: computed, args: []int{t}, f: copyTerm})
	}
	p.terms[t].of = out
	p.ids[out] = t
	return true
}

func (c *compiler) programOf(v *graph.Value) *program {
	for _, p := range c.programs {
		if _, ok := p.ids[v]; ok {
			return p
		}
	}
	return nil
}

func (c *compiler) open(shape []int) *program {
	for _, p := range c.programs {
		if slices.Equal(p.shape, shape) {
			return p
		}
	}
	p := &program{shape: shape, ids: map[*graph.Value]int{}, inner: map[*graph.Value]int{}}
	c.programs = append(c.programs, p)
	return p
}

// operandOf returns the term of a value, or of it with its axes permuted.
func (c *compiler) operandOf(p *program, v *graph.Value, perm []int) int {
	if perm == nil {
		if id, ok := p.ids[v]; ok {
			p.inner[v]++
			return id
		}
	}
	x := c.view(v)
	if x.buf.konst != nil && x.buf.dtype == graph.Float32 && x.len() == 1 {
		return p.add(term{kind: number, x: graph.Data[float32](x.buf.konst)[x.off]})
	}
	if perm != nil && len(x.shape) == len(perm) {
		x = x.permute(perm)
	}
	x, ok := x.to(p.shape)
	if !ok {
		c.fail("got %v, want it to broadcast to %v", v.Type, p.shape)
	}
	return p.add(term{kind: operand, view: x})
}

// flush emits the step of a program, which takes no more operators.
func (c *compiler) flush(p *program) {
	for i, q := range c.programs {
		if q == p {
			c.programs = append(c.programs[:i:i], c.programs[i+1:]...)
		}
	}
	for i := range p.terms {
		t := &p.terms[i]
		if t.of == nil {
			continue
		}
		if len(t.stores) == 0 && c.uses[t.of] > p.inner[t.of] {
			t.stores = []view{c.newView(t.of.DType, p.shape)}
		}
		if len(t.stores) > 0 {
			c.values[t.of] = t.stores[0]
		}
	}
	if e := newElementwise(p, c.threads); len(e.views) > e.loads {
		c.step(e)
	}
}

// An elementwise step computes a program, a block of elements at a time that
// stays in a core's first cache.
type elementwise struct {
	terms []term
	regs  []int // by term: where in scratch memory its values lie; -1 for none
	used  []bool
	from  []int // by term that is an operand: its view

	dims    []int // collapsed; the last is a row
	strides [][]int
	views   []view // operands, then stores
	of      []int  // by view: its term
	loads   int    // how many of the views are operands
	even    []bool // by view: elements follow each other over all rows

	rows, n, block  int
	blocks, perPart int
	parts           int
}

const (
	// registerFloats is how much scratch memory a program's block takes.
	registerFloats = 6 << 10
	// partFloats is how many results are worth a part of their own.
	partFloats = 1 << 13
)

func newElementwise(p *program, threads int) *elementwise {
	e := &elementwise{terms: p.terms, regs: make([]int, len(p.terms)), used: make([]bool, len(p.terms))}
	last := make([]int, len(p.terms)) // the last term that uses it
	for i := len(p.terms) - 1; i >= 0; i-- {
		t := p.terms[i]
		e.used[i] = e.used[i] || len(t.stores) > 0
		if !e.used[i] {
			continue
		}
		for _, a := range t.args {
			e.used[a] = true
			last[a] = max(last[a], i)
		}
		if len(t.stores) > 0 {
			last[i] = len(p.terms)
		}
	}
	var free []int
	regs := 0
	expires := map[int][]int{}
	for i, t := range p.terms { // numbers stay where they are
		e.regs[i] = -1
		if t.kind == number && e.used[i] {
			e.regs[i] = regs
			regs++
		}
	}
	for i, t := range p.terms {
		if t.kind != number && e.used[i] {
			if len(free) == 0 {
				free = append(free, regs)
				regs++
			}
			e.regs[i] = free[len(free)-1]
			free = free[:len(free)-1]
			expires[last[i]] = append(expires[last[i]], e.regs[i])
		}
		free = append(free, expires[i]...)
	}
	e.block = min(max(registerFloats/max(regs, 1)/chunk*chunk, 4*chunk), 2048)
	e.from = make([]int, len(p.terms))
	for i, t := range p.terms {
		if t.kind == operand && e.used[i] {
			e.from[i] = len(e.views)
			e.views, e.of = append(e.views, t.view), append(e.of, i)
		}
	}
	e.loads = len(e.views)
	for i, t := range p.terms {
		for _, v := range t.stores {
			e.views, e.of = append(e.views, v), append(e.of, i)
		}
	}
	e.dims, e.strides = collapse(p.shape, e.views)
	whole := rowMajor(e.dims)
	for _, s := range e.strides {
		e.even = append(e.even, slices.Equal(s, whole))
	}
	e.n = e.dims[len(e.dims)-1]
	e.rows = graph.Elements(e.dims[:len(e.dims)-1])
	total := e.rows * e.n
	if total == 0 {
		return e
	}
	if e.n >= e.block {
		e.blocks = e.rows * ((e.n + e.block - 1) / e.block)
	} else {
		e.blocks = (e.rows + e.block/e.n - 1) / (e.block / e.n)
	}
	e.parts = min(max(total/partFloats, 1), e.blocks, 4*threads)
	e.perPart = (e.blocks + e.parts - 1) / e.parts
	e.parts = (e.blocks + e.perPart - 1) / e.perPart
	return e
}

func (e *elementwise) uses() (reads, writes []view) { return e.views[:e.loads], e.views[e.loads:] }

// scratch returns how many floats a worker needs.
func (e *elementwise) scratch() int { return registerFloats + 4*chunk*len(e.terms) }

func (e *elementwise) run(s *State) error {
	s.parallel(e.parts, e)
	return nil
}

func (e *elementwise) part(s *State, w *worker, part int) {
	base := unsafe.SliceData(w.scratch)
	for i, t := range e.terms {
		if !e.used[i] {
			continue
		}
		w.slots[i] = shift(base, e.regs[i]*e.block)
		if t.kind == number {
			x := w.scratch[e.regs[i]*e.block:][:e.block]
			for j := range x {
				x[j] = t.x
			}
		}
	}
	pieces := max(1, (e.n+e.block-1)/e.block) // of a row
	for b := part * e.perPart; b < min((part+1)*e.perPart, e.blocks); b++ {
		row, rows, col, n := b/pieces, 1, b%pieces*e.block, 0
		if e.n >= e.block {
			n = min(e.block, e.n-col)
		} else {
			per := e.block / e.n
			row, col = b*per, 0
			rows = min(per, e.rows-row)
			n = e.n
		}
		e.compute(s, w, row, rows, col, n)
	}
}

// compute computes n elements from col on of rows rows.
func (e *elementwise) compute(s *State, w *worker, row, rows, col, n int) {
	base := unsafe.SliceData(w.scratch)
	total := rows * n
	padded := roundUp(total, chunk)
	whole := total == padded // nothing beyond the block is touched
	for i, v := range e.views[e.loads:] {
		t := e.of[e.loads+i]
		w.slots[t] = shift(base, e.regs[t]*e.block)
		if whole && e.even[e.loads+i] && v.buf.dtype == graph.Float32 {
			w.slots[t] = &s.floats(v)[row*e.n+col : row*e.n+col+total][0]
		}
	}
	for i, t := range e.terms {
		switch {
		case !e.used[i] || t.kind == number:
			continue
		case t.kind == operand:
			e.operand(s, w, i, row, rows, col, n, whole)
			continue
		}
		a := w.slots[t.args[0]]
		b, c := a, a
		if len(t.args) > 1 {
			b = w.slots[t.args[1]]
		}
		if len(t.args) > 2 {
			c = w.slots[t.args[2]]
		}
		t.f(w.slots[i], a, b, c, padded)
	}
	for i, v := range e.views[e.loads:] {
		k := e.loads + i
		x := unsafe.Slice(w.slots[e.of[k]], total)
		if whole && e.even[k] && v.buf.dtype == graph.Float32 {
			if y := s.floats(v)[row*e.n+col:]; &y[0] != &x[0] {
				copy(y, x)
			}
			continue
		}
		e.store(s, k, x, row, rows, col, n)
	}
}

// operand gets the elements of a term that is one: where they are if that can be.
func (e *elementwise) operand(s *State, w *worker, t, row, rows, col, n int, whole bool) {
	i := e.from[t]
	v := e.views[i]
	if whole && e.even[i] && v.buf.dtype == graph.Float32 {
		w.slots[t] = &s.floats(v)[row*e.n+col]
		return
	}
	to := w.scratch[e.regs[t]*e.block:][:roundUp(rows*n, chunk)]
	w.slots[t] = &to[0]
	e.load(s, i, to, row, rows, col, n)
}

// place returns where row r of view i begins, before its offset.
func (e *elementwise) place(i, r int) int {
	at := 0
	for d := len(e.dims) - 2; d >= 0; d-- {
		at += r % e.dims[d] * e.strides[i][d]
		r /= e.dims[d]
	}
	return at
}

func (e *elementwise) load(s *State, i int, dst []float32, row, rows, col, n int) {
	v, step := e.views[i], e.strides[i][len(e.dims)-1]
	for r := range rows {
		at := v.off + e.place(i, row+r) + col*step
		d := dst[r*n:][:n]
		switch x := s.raw[v.buf.id].(type) {
		case []float32:
			loadFloats(d, x, at, step)
		case []uint8:
			if step == 1 && n%chunk == 0 {
				s.plan.isa.widen(&d[0], &x[at : at+n][0], n)
				continue
			}
			for j := range d {
				d[j] = float32(x[at+j*step])
			}
		case []bool:
			if step == 1 && n%chunk == 0 {
				s.plan.isa.widen(&d[0], (*uint8)(unsafe.Pointer(&x[at : at+n][0])), n)
				continue
			}
			for j := range d {
				d[j] = 0
				if x[at+j*step] {
					d[j] = 1
				}
			}
		}
	}
}

// loadFloats fills dst with x[at], x[at+step], …
func loadFloats(dst, x []float32, at, step int) {
	switch step {
	case 1:
		copy(dst, x[at:at+len(dst)])
	case 0:
		v := x[at]
		for j := range dst {
			dst[j] = v
		}
	default:
		for j := range dst {
			dst[j] = x[at]
			at += step
		}
	}
}

func (e *elementwise) store(s *State, i int, src []float32, row, rows, col, n int) {
	v, step := e.views[i], e.strides[i][len(e.dims)-1]
	for r := range rows {
		at := v.off + e.place(i, row+r) + col*step
		x := src[r*n:][:n]
		switch d := s.raw[v.buf.id].(type) {
		case []float32:
			if step == 1 {
				copy(d[at:at+n], x)
				continue
			}
			for j, f := range x {
				d[at+j*step] = f
			}
		case []bool:
			for j, f := range x {
				d[at+j*step] = f != 0
			}
		}
	}
}
