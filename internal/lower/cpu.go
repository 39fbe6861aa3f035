package lower

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// CPU returns the training step of g, whose one output is a loss, for ONNX
// Runtime's CPU provider on a processor that has the given block of channels
// (see [Probe]). g stays as it is. Parameters that are frozen, nil being none, get
// no gradient.
//
// What it knows are convolutions of stride 1, alone or with Relu, max-pooling
// and nearest upsampling, and convolutions of 4×4 that halve the image or, transposed,
// double it, whose channels fill blocks, LeakyRelu and sums of them, as skip
// connections make them, and at the image's ends those of a few channels. All else stays in ONNX's operators on plain images.
// Which is which depends on the network alone, not on the batch.
func CPU(g *graph.Graph, block int, frozen func(param string) bool) (*Step, error) {
	return cpu(g, block, longestSum, frozen)
}

func cpu(g *graph.Graph, block, longestSum int, frozen func(param string) bool) (*Step, error) {
	loss, err := lossOf(g)
	if err != nil {
		return nil, err
	}
	if block < 8 || block&(block-1) != 0 {
		return nil, fmt.Errorf("lower: block: got %d channels, want a power of 2 from 8 on", block)
	}
	h := graph.New(g.Name())
	nodes := g.Nodes()
	l := &lowering{
		block: block, longestSum: longestSum, g: h, step: newStep(g, h, frozen),
		plain: map[*graph.Value]*graph.Value{}, blocked: map[*graph.Value]*graph.Value{},
		users: graph.Users(nodes), done: map[*graph.Node]bool{}, variable: map[*graph.Value]bool{},
		custom: map[*graph.Value]graph.CustomVJP{},
	}
	for _, v := range g.Inputs() {
		l.plain[v] = h.Input(v.Name(), v.DType, v.Shape...)
	}
	for _, n := range nodes {
		for _, v := range n.Inputs {
			if v == nil {
				continue
			}
			if v.IsParam() && l.step.learns(v.Name()) || l.variable[v] {
				l.variable[n.Outputs[0]] = true
			}
		}
	}
	for _, n := range nodes {
		if !l.done[n] && !l.layer(n) {
			l.copy(n)
		}
	}
	h.Output(loss.Name(), l.image(loss))
	if err := l.differentiate(); err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	l.step.Graph = fused(h)
	if err := l.step.Graph.Err(); err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	return l.step, nil
}

// A lowering is the state of CPU: the graph lowered so far and what became of
// the values of the old one.
type lowering struct {
	block, longestSum int
	g                 *graph.Graph
	step              *Step

	plain, blocked map[*graph.Value]*graph.Value // by the old value, which may be in both
	users          map[*graph.Value][]*graph.Node
	variable       map[*graph.Value]bool // depends on parameters that are learned
	done           map[*graph.Node]bool  // part of a layer that is there already
	custom         map[*graph.Value]graph.CustomVJP
}

// image returns what became of v as a plain tensor.
func (l *lowering) image(v *graph.Value) *graph.Value {
	if v == nil || l.plain[v] != nil {
		return l.plain[v]
	}
	var p *graph.Value
	switch x := l.blocked[v]; {
	case x != nil:
		p = reorderOutput(x, x.Dim(1))
		l.custom[p] = graph.CustomVJP{X: x, VJP: func(dy *graph.Value, _ bool) *graph.Value { return reorderInput(dy) }}
	case v.IsParam():
		p = l.g.Param(v.Name(), v.Shape...)
	default:
		p = l.g.Const("", v.Const())
	}
	l.plain[v] = p
	return p
}

// blocks returns what became of v, an image of whole blocks of channels, in blocks.
func (l *lowering) blocks(v *graph.Value) *graph.Value {
	if l.blocked[v] == nil {
		x := l.image(v)
		b := reorderInput(x)
		l.blocked[v] = b
		l.custom[b] = graph.CustomVJP{X: x, VJP: func(dy *graph.Value, _ bool) *graph.Value { return reorderOutput(dy, dy.Dim(1)) }}
	}
	return l.blocked[v]
}

// copy appends n as it is.
func (l *lowering) copy(n *graph.Node) {
	operands := make([]*graph.Value, len(n.Inputs))
	for i, v := range n.Inputs {
		operands[i] = l.image(v)
	}
	for i, v := range l.g.OpN(n.Op, n.Attrs, len(n.Outputs), operands...) {
		l.plain[n.Outputs[i]] = v
	}
}

// differentiate appends the gradients that the layers' own rules do not give.
func (l *lowering) differentiate() error {
	if err := l.g.Err(); err != nil {
		return err
	}
	learns := map[string]bool{} // by name: the network's parameters and what is packed of them
	for _, p := range l.g.Params() {
		learns[p.Name()] = l.step.learns(p.Name())
	}
	for _, p := range l.step.packs {
		learns[p.name] = l.step.learns(p.param)
	}
	params := slices.DeleteFunc(slices.Clone(l.g.Params()), func(p *graph.Value) bool { return !learns[p.Name()] })
	grads, err := graph.Gradients(l.g.Outputs()[0], params, &graph.GradOptions{ConvWeight: graph.ByShift, Custom: l.custom})
	if err != nil {
		return err
	}
	for i, p := range params {
		if !zero(grads[i].Const()) { // as it is where layers alone use p
			l.step.output(p.Name(), grads[i], 1)
		}
	}
	return l.g.Err()
}

func zero(t *graph.Tensor) bool {
	return t != nil && !slices.ContainsFunc(graph.Data[float32](t), func(x float32) bool { return x != 0 })
}

// pack declares a parameter of the step that holds one of the network's at the given places.
func (l *lowering) pack(param *graph.Value, suffix string, shape []int, places ...place) *graph.Value {
	name := param.Name() + suffix
	for l.g.Lookup(name) != nil { // a parameter of several layers
		name += "+"
	}
	p := l.g.Param(name, shape...)
	l.step.packs = append(l.step.packs, packing{p.Name(), param.Name(), shape, places})
	return p
}

// sole returns the one node that uses v, nil if there are more or none.
func (l *lowering) sole(v *graph.Value) *graph.Node {
	if users := l.users[v]; len(users) == 1 {
		return users[0]
	}
	return nil
}
