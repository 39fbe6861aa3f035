package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// ErrShape is wrapped by errors of [Compile] about graphs whose values have
// shapes that are known only when they run.
var ErrShape = errors.New("kernels: shapes are not known")

// Options for [Compile]; nil is the defaults.
type Options struct {
	Threads int // that compute one run, default GOMAXPROCS

	isa    *isa // default the best there is
	unlaid bool // weights are not laid out: nothing is to be run
}

// A Plan is a graph ready to run. It is immutable and safe for concurrent use.
type Plan struct {
	isa        *isa
	threads    int
	buffers    []*buffer
	inputs     []view // of names
	names      []string
	outputs    []view
	steps      []step
	arenaBytes int
	slots      int // of elementwise programs
	scratch    int // floats of a worker
}

// A step computes values from others that are in memory.
type step interface {
	run(s *State) error
	uses() (reads, writes []view)
	// scratch returns how many floats of memory it takes of each worker.
	scratch() int
}

// Bytes returns how much memory a [State] takes.
func (p *Plan) Bytes() int { return p.arenaBytes + 4*p.scratch*p.threads }

// Compile plans the computation of outputs, all of g's if none are named.
// Parameters that weights has are constants, the others are inputs of each run.
// Both the graph and the weights are shared with the plan: do not change them.
//
// The shapes of all values that outputs depend on must be known: see [ErrShape].
func Compile(g *graph.Graph, weights map[string]*graph.Tensor, outputs []string, o *Options) (p *Plan, err error) {
	defer func() {
		if e := recover(); e != nil {
			p, err = nil, fmt.Errorf("kernels: operands or attributes do not fit the operators (%v)", e)
		}
	}()
	if err := g.Err(); err != nil {
		return nil, err
	}
	opts := Options{}
	if o != nil {
		opts = *o
	}
	if opts.Threads <= 0 {
		opts.Threads = runtime.GOMAXPROCS(0)
	}
	if opts.isa == nil {
		opts.isa = instructionSets()[0]
	}
	want := g.Outputs()
	if len(outputs) > 0 {
		want = nil
		for _, name := range outputs {
			v := g.Lookup(name)
			if v == nil {
				return nil, fmt.Errorf("kernels: output %q: got no such value", name)
			}
			want = append(want, v)
		}
	}
	c := &compiler{
		Plan: &Plan{isa: opts.isa, threads: opts.Threads}, weights: weights,
		values: map[*graph.Value]view{}, uses: map[*graph.Value]int{}, done: map[*graph.Node]bool{},
		lazy: map[*graph.Value]step{}, unlaid: opts.unlaid,
	}
	if err := c.compile(g, want); err != nil {
		return nil, err
	}
	return c.Plan, nil
}

// A compiler is the state of [Compile].
type compiler struct {
	*Plan
	weights  map[string]*graph.Tensor
	values   map[*graph.Value]view // what has been emitted
	uses     map[*graph.Value]int  // by nodes and as outputs
	users    map[*graph.Value][]*graph.Node
	done     map[*graph.Node]bool  // part of a step that is there already
	lazy     map[*graph.Value]step // results that perhaps nobody needs
	programs []*program            // open
	node     *graph.Node           // in hand
	unlaid   bool
	err      error
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("kernels: %s %q: %s", c.node.Op, c.node.Outputs[0].Name(), fmt.Sprintf(format, args...))
	}
}

// known reports whether all dimensions of v are.
func known(v *graph.Value) bool { return v.Shape != nil && !slices.Contains(v.Shape, graph.Dynamic) }

func (c *compiler) compile(g *graph.Graph, want []*graph.Value) error {
	nodes := g.Nodes(want...)
	c.users = graph.Users(nodes)
	for _, n := range nodes {
		for _, v := range append(slices.Clone(n.Inputs), n.Outputs...) {
			if v != nil && !known(v) {
				return fmt.Errorf("%w: %s %q: got %v", ErrShape, n.Op, v.Name(), v.Type)
			}
		}
		for _, v := range n.Inputs {
			if v != nil {
				c.uses[v]++
			}
		}
	}
	for _, v := range want {
		if !known(v) {
			return fmt.Errorf("%w: output %q: got %v", ErrShape, v.Name(), v.Type)
		}
		c.uses[v]++
	}
	for _, n := range nodes {
		if c.done[n] {
			continue
		}
		c.node = n
		c.add(n)
		if c.err != nil {
			return c.err
		}
	}
	for len(c.programs) > 0 {
		c.flush(c.programs[0])
	}
	for _, v := range want {
		x := c.dense(c.view(v))
		c.outputs = append(c.outputs, x)
	}
	if c.err != nil {
		return c.err
	}
	c.place()
	return nil
}

// add emits the steps of a node.
func (c *compiler) add(n *graph.Node) {
	empty := func(v *graph.Value) bool { return v != nil && slices.Contains(v.Shape, 0) }
	if n.Domain == "" && !slices.ContainsFunc(n.Inputs, empty) && !slices.ContainsFunc(n.Outputs, empty) {
		if c.fold(n) || c.move(n) || c.elementwise(n) {
			return
		}
		if h := handlers[n.Op]; h != nil && len(n.Outputs) > 0 && h(c, n) {
			return
		}
	}
	c.fallback(n)
}

// handlers emit the steps of operators; false leaves a node to internal/ref.
var handlers map[string]func(c *compiler, n *graph.Node) bool

func init() {
	handlers = map[string]func(c *compiler, n *graph.Node) bool{
		"Conv": (*compiler).conv, "ConvTranspose": (*compiler).convTranspose,
		"MatMul": (*compiler).matMul, "Gemm": (*compiler).gemm,
		"MaxPool": (*compiler).pool, "AveragePool": (*compiler).pool, "GlobalAveragePool": (*compiler).globalAveragePool,
		"ReduceSum": (*compiler).reduce, "ReduceMean": (*compiler).reduce, "ReduceMax": (*compiler).reduce,
		"Concat": (*compiler).concat, "Pad": (*compiler).pad, "Resize": (*compiler).resize,
		"DepthToSpace": (*compiler).depthToSpace, "SpaceToDepth": (*compiler).spaceToDepth,
	}
}

// fold computes a node of constants now.
func (c *compiler) fold(n *graph.Node) bool {
	in := make([]*graph.Tensor, len(n.Inputs))
	for i, v := range n.Inputs {
		if v == nil {
			continue
		}
		if in[i] = c.constant(v); in[i] == nil {
			return false
		}
	}
	if len(in) == 0 {
		return false
	}
	out, err := ref.Node(n, in)
	if err != nil {
		c.fail("%v", err)
		return true
	}
	for i, v := range n.Outputs {
		c.values[v] = c.constView(out[i])
	}
	return true
}

// constant returns the tensor of a value that every run has alike, nil for others.
func (c *compiler) constant(v *graph.Value) *graph.Tensor {
	if t := v.Const(); t != nil {
		return t
	}
	if v.IsParam() && c.weights[v.Name()] != nil {
		return c.weights[v.Name()]
	}
	if x, ok := c.values[v]; ok && x.buf.konst != nil && x.dense() && x.off == 0 && x.len() == x.buf.n {
		return x.buf.konst.Reshape(x.shape...)
	}
	return nil
}

func (c *compiler) newBuffer(dtype graph.DType, n int) *buffer {
	b := &buffer{id: len(c.buffers), dtype: dtype, n: n, input: -1, first: -1}
	c.buffers = append(c.buffers, b)
	return b
}

func (c *compiler) newView(dtype graph.DType, shape []int) view {
	return view{buf: c.newBuffer(dtype, graph.Elements(shape)), shape: shape, strides: rowMajor(shape)}
}

func (c *compiler) constView(t *graph.Tensor) view {
	v := c.newView(t.DType(), t.Shape())
	v.buf.konst = t
	return v
}

// view returns where a value lies once the steps so far have run.
func (c *compiler) view(v *graph.Value) view {
	if p := c.programOf(v); p != nil {
		c.flush(p)
	}
	if s, ok := c.lazy[v]; ok {
		delete(c.lazy, v)
		c.step(s)
	}
	if x, ok := c.values[v]; ok {
		return x
	}
	var x view
	t := c.constant(v)
	switch {
	case t != nil && t.DType() == v.DType && slices.Equal(t.Shape(), v.Shape):
		x = c.constView(t)
	case t != nil:
		c.fail("%q: got %v, want %v", v.Name(), describe(t), v.Type)
		x = c.newView(v.DType, v.Shape)
	default:
		x = c.newView(v.DType, v.Shape)
		if v.Node() != nil {
			panic("a result that no step has computed")
		}
		x.buf.input = len(c.inputs)
		c.inputs, c.names = append(c.inputs, x), append(c.names, v.Name())
	}
	c.values[v] = x
	return x
}

// dense returns v's elements in order, copied if they are not.
func (c *compiler) dense(v view) view {
	if v.dense() {
		return v
	}
	out := c.newView(v.buf.dtype, v.shape)
	c.step(newCopy(out, v, c.threads))
	return out
}

// denseOf is dense for a value, which later users find dense too.
func (c *compiler) denseOf(v *graph.Value) view {
	x := c.dense(c.view(v))
	c.values[v] = x
	return x
}

// result makes the dense view that a node's first result is written to.
func (c *compiler) result(n *graph.Node) view {
	v := c.newView(n.Outputs[0].DType, n.Outputs[0].Shape)
	c.values[n.Outputs[0]] = v
	return v
}

func (c *compiler) step(s step) {
	i := len(c.steps)
	reads, writes := s.uses()
	for _, v := range slices.Concat(reads, writes) {
		if v.buf.first < 0 {
			v.buf.first = i
		}
		v.buf.last = i
	}
	c.Plan.scratch = max(c.Plan.scratch, s.scratch())
	if e, ok := s.(*elementwise); ok {
		c.slots = max(c.slots, len(e.terms))
	}
	c.steps = append(c.steps, s)
}

// align is what places in the arena are multiples of: a line of the cache.
const align = 64

// place gives buffers that live at the same time different places: the largest
// first, each the lowest that is free.
func (c *compiler) place() {
	for _, v := range c.outputs {
		v.buf.last = len(c.steps)
	}
	var list []*buffer
	for _, b := range c.buffers {
		if b.konst == nil && b.input < 0 && b.first >= 0 {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b *buffer) int { return b.bytes() - a.bytes() })
	var placed []*buffer // by place
	for _, b := range list {
		at := 0
		for _, o := range placed {
			if o.last < b.first || b.last < o.first {
				continue
			}
			if at+b.bytes() <= o.at {
				break
			}
			at = max(at, roundUp(o.at+o.bytes(), align))
		}
		b.at = at
		i, _ := slices.BinarySearchFunc(placed, at, func(o *buffer, at int) int { return o.at - at })
		placed = slices.Insert(placed, i, b)
		c.arenaBytes = max(c.arenaBytes, at+b.bytes())
	}
}

// fallback computes a node by internal/ref.
func (c *compiler) fallback(n *graph.Node) {
	f := &fallback{node: n}
	for _, v := range n.Inputs {
		x := view{}
		if v != nil {
			x = c.denseOf(v)
		}
		f.in = append(f.in, x)
	}
	for _, v := range n.Outputs {
		x := c.newView(v.DType, v.Shape)
		c.values[v] = x
		f.out = append(f.out, x)
	}
	c.step(f)
}

// A fallback step runs a kernel of internal/ref, which allocates.
type fallback struct {
	node    *graph.Node
	in, out []view // of no buffer where an operand is omitted
}

func (f *fallback) uses() (reads, writes []view) {
	for _, v := range f.in {
		if v.buf != nil {
			reads = append(reads, v)
		}
	}
	return reads, f.out
}

func (f *fallback) scratch() int { return 0 }

func (f *fallback) run(s *State) error {
	in := make([]*graph.Tensor, len(f.in))
	for i, v := range f.in {
		if v.buf != nil {
			in[i] = s.tensor(v)
		}
	}
	out, err := ref.Node(f.node, in)
	if err != nil {
		return fmt.Errorf("kernels: %s %q: %w", f.node.Op, f.node.Outputs[0].Name(), err)
	}
	for i, v := range f.out {
		if out[i].DType() != v.buf.dtype || !slices.Equal(out[i].Shape(), v.shape) {
			return fmt.Errorf("kernels: %s %q: result %d: got %v, want %v%v as inferred", f.node.Op, f.node.Outputs[0].Name(), i, describe(out[i]), v.buf.dtype, v.shape)
		}
		copyRaw(s.raw[v.buf.id], out[i].Raw(), 0)
	}
	return nil
}

// tensor returns a dense view as a tensor that shares its elements.
func (s *State) tensor(v view) *graph.Tensor {
	n := v.len()
	switch x := s.raw[v.buf.id].(type) {
	case []float32:
		return graph.NewTensor(x[v.off:v.off+n], v.shape...)
	case []float64:
		return graph.NewTensor(x[v.off:v.off+n], v.shape...)
	case []uint8:
		return graph.NewTensor(x[v.off:v.off+n], v.shape...)
	case []int32:
		return graph.NewTensor(x[v.off:v.off+n], v.shape...)
	case []int64:
		return graph.NewTensor(x[v.off:v.off+n], v.shape...)
	}
	return graph.NewTensor(s.raw[v.buf.id].([]bool)[v.off:v.off+n], v.shape...)
}
