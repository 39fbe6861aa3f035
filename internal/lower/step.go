package lower

import (
	"fmt"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
)

// A Step is one training step. It is safe for concurrent use.
//
// Steps of one network that differ in the batch alone take the same packed
// parameters and return gradients in the same layout.
type Step struct {
	// Graph has the inputs and outputs of the graph that was lowered, and beside
	// them the packed parameters and, named "d <parameter>", gradients to unpack.
	Graph *graph.Graph

	params map[string][]int // shapes of the network's parameters that are learned, by name
	packs  []packing
	grads  []gradient
}

// A packing makes one of the step's parameters of one of the network's.
type packing struct {
	name, param string
	shape       []int
	places      []place
}

// A gradient is an output that holds a share of a parameter's gradient.
type gradient struct {
	output, param string
	scale         float32
	places        []place // nil: where the parameter has its elements
}

// newStep returns a step of g, whose parameters are those of the network.
func newStep(network, g *graph.Graph, frozen func(param string) bool) *Step {
	s := &Step{Graph: g, params: map[string][]int{}}
	for _, p := range learned(network, frozen) {
		s.params[p.Name()] = p.Shape
	}
	return s
}

// learned returns the parameters of g that are not frozen.
func learned(g *graph.Graph, frozen func(param string) bool) []*graph.Value {
	return slices.DeleteFunc(slices.Clone(g.Params()), func(p *graph.Value) bool { return frozen != nil && frozen(p.Name()) })
}

// learns reports whether the network has a parameter of that name that is not frozen.
func (s *Step) learns(name string) bool {
	_, ok := s.params[name]
	return ok
}

// output declares v as an output that holds a share of the gradient of a
// parameter. That of a frozen one is nobody's, and nothing computes it.
func (s *Step) output(param string, v *graph.Value, scale float32, places ...place) {
	if !s.learns(param) {
		return
	}
	name := "d " + param
	for s.Graph.Lookup(name) != nil {
		name += "+"
	}
	s.grads = append(s.grads, gradient{s.Graph.Output(name, v).Name(), param, scale, places})
}

// Plain appends to g, whose one output is a loss, the gradient of each parameter
// that is not frozen, nil being none, in standard ONNX operators: outputs named
// "d <parameter>" of the parameter's shape.
func Plain(g *graph.Graph, form graph.ConvWeightGrad, frozen func(param string) bool) (*Step, error) {
	loss, err := lossOf(g)
	if err != nil {
		return nil, err
	}
	s := newStep(g, g, frozen)
	params := learned(g, frozen)
	grads, err := graph.Gradients(loss, params, &graph.GradOptions{ConvWeight: form})
	if err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	for i, p := range params {
		s.output(p.Name(), grads[i], 1)
	}
	if err := g.Err(); err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	return s, nil
}

func lossOf(g *graph.Graph) (*graph.Value, error) {
	if err := g.Err(); err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	if n := len(g.Outputs()); n != 1 {
		return nil, fmt.Errorf("lower: graph %q: got %d outputs, want the loss alone", g.Name(), n)
	}
	return g.Outputs()[0], nil
}

// Pack returns what the step's graph takes as parameters, made of the network's
// parameters. It is linear. Tensors that stay as they are are shared.
func (s *Step) Pack(weights map[string]*graph.Tensor) map[string]*graph.Tensor {
	out := map[string]*graph.Tensor{}
	for _, p := range s.Graph.Params() {
		if w := weights[p.Name()]; w != nil {
			out[p.Name()] = w
		}
	}
	var wg sync.WaitGroup
	for _, p := range s.packs {
		t := graph.Zeros(graph.Float32, p.shape...)
		out[p.name] = t
		wg.Go(func() {
			dst, src := graph.Data[float32](t), graph.Data[float32](weights[p.param])
			for _, pl := range p.places {
				pl.each(func(i, at int) { dst[at] += src[i] })
			}
		})
	}
	wg.Wait()
	return out
}

// Unpack returns the gradient of each learned parameter of the network, given all
// outputs of the step's graph but the loss. It is linear: the outputs may be
// sums over several runs.
func (s *Step) Unpack(outputs map[string][]float32) map[string][]float32 {
	out := map[string][]float32{}
	shares := map[string][]gradient{}
	for _, g := range s.grads {
		shares[g.param] = append(shares[g.param], g)
	}
	var wg sync.WaitGroup
	for name, shape := range s.params {
		dst := make([]float32, graph.Elements(shape))
		out[name] = dst
		wg.Go(func() {
			for _, g := range shares[name] {
				src := outputs[g.output]
				if g.places == nil {
					for i, v := range src {
						dst[i] += float32(g.scale * v)
					}
				}
				for _, pl := range g.places {
					pl.each(func(i, at int) { dst[i] += float32(g.scale * src[at]) })
				}
			}
		})
	}
	wg.Wait()
	return out
}
