package onnx

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Opsets of ONNX's own operators that can be read: the first that PyTorch wrote,
// the last there is.
const (
	minOpset = 6
	maxOpset = 28
)

// A Source is an ONNX file whose tensors have been decoded, of which [Source.For]
// makes models. It is not safe for concurrent use.
type Source struct {
	graph    *onnxpb.GraphProto // without initializers
	opset    int
	metadata map[string]string
	hazard   error // a division that a processor cannot do; nil for none
	leaves   []leaf
	folded   map[int][]*graph.Tensor // results of nodes that depend on leaves alone, by the node's number
}

// A leaf is an initializer.
type leaf struct {
	name   string
	tensor *graph.Tensor // nil for one that only has a shape, of float32
	shape  []int
}

func (l *leaf) elements() int {
	if l.tensor == nil {
		return graph.Elements(l.shape)
	}
	return l.tensor.Len()
}

// Source decodes the file: one that [Marshal] wrote, or another tool's of opset
// 6 to 28, of the operators of package graph and of those that can be expressed
// with them. Half floats (float16, bfloat16) become float32.
//
// It trusts nothing in the file. An error that there are operators which cannot be
// read names them.
func (f *File) Source() (*Source, error) { return f.source(math.MaxInt, false) }

// outlined is from how many elements on weights have no numbers in an outline.
const outlined = 1 << 10

// outline is [File.Source] without the numbers of large weights: what shapes there
// are, and how much memory they take, does not depend on them.
func (f *File) outline() (*Source, error) { return f.source(outlined, false) }

// source decodes weights of fewer than most elements. Operators that cannot be read
// are errors here, or of who comes to them.
func (f *File) source(most int, later bool) (*Source, error) {
	p := f.proto.Graph
	fail := func(format string, args ...any) error {
		return fmt.Errorf("graph %q: %w", p.GetName(), fmt.Errorf(format, args...))
	}
	s := &Source{folded: map[int][]*graph.Tensor{}, metadata: f.Metadata}
	var err error
	if s.opset, err = opsetOf(f.proto.OpsetImport); err != nil {
		return nil, err
	}
	if len(p.SparseInitializer) > 0 {
		return nil, fail("sparse initializers are not supported")
	}
	if err := checkOperators(p.Node); err != nil && !later {
		return nil, fail("%w", err)
	}
	if err := checkNarrow(p); err != nil && !later {
		return nil, fail("%w", err)
	}
	for _, t := range p.Initializer {
		if n, ok := elements(dims(t)); ok && n >= int64(most) && held(t.GetDataType()) == graph.Float32 {
			s.leaves = append(s.leaves, leaf{name: t.GetName(), shape: dims(t)})
			continue
		}
		x, err := tensor(t)
		if err != nil {
			return nil, fail("initializer %q: %w", t.GetName(), err)
		}
		s.leaves = append(s.leaves, leaf{name: t.GetName(), tensor: x})
	}
	s.graph = &onnxpb.GraphProto{Name: p.Name, Node: p.Node, Input: p.Input, Output: p.Output}
	return s, nil
}

func opsetOf(imports []*onnxpb.OperatorSetIdProto) (int, error) {
	for _, o := range imports {
		if ownDomain(o.GetDomain()) {
			if v := o.GetVersion(); v < minOpset || v > maxOpset {
				return 0, fmt.Errorf("got opset %d, want %d to %d", v, minOpset, maxOpset)
			}
			return int(o.GetVersion()), nil
		}
	}
	return 0, fmt.Errorf("got no opset of ONNX's own operators, want %d to %d", minOpset, maxOpset)
}

// ownDomain reports whether a domain is ONNX's own, which has two spellings.
func ownDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

// maxNamed is how many unknown operators an error names.
const maxNamed = 20

// checkOperators refuses operators that nothing is known of.
func checkOperators(nodes []*onnxpb.NodeProto) error {
	var unknown []string
	seen := map[string]bool{}
	first := ""
	for i, n := range nodes {
		op := n.GetOpType()
		if ownDomain(n.GetDomain()) && (importers[op] != nil || graph.Known(op) || op == opIf) {
			continue
		}
		name := fmt.Sprintf("%s of domain %q", op, n.GetDomain())
		if !seen[name] {
			seen[name] = true
			unknown = append(unknown, name)
		}
		if first == "" {
			first = describe(i, n)
		}
	}
	switch len(unknown) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: operator %s is not supported", first, unknown[0])
	}
	if more := len(unknown) - maxNamed; more > 0 {
		unknown = append(unknown[:maxNamed], fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("%s: operators that are not supported: %s", first, strings.Join(unknown, ", "))
}

// describe names a node in errors: by its first result where it has no name.
func describe(i int, n *onnxpb.NodeProto) string {
	name := n.GetName()
	if name == "" && len(n.Output) > 0 {
		name = n.Output[0]
	}
	return fmt.Sprintf("node %d (%s %q)", i, n.GetOpType(), name)
}

// Parse reads an ONNX file whose shapes do not depend on the sizes of its inputs.
// It infers all types anew and holds the file to them.
//
// A float32 initializer becomes a parameter and its weight, so that it can be
// trained on or replaced; those of rank 0 and those whose values the shapes
// depend on become constants, as do the initializers of every other type.
// Marshal of the result gives the same bytes again if Marshal wrote b. Of a file in
// less than float32 ([KeyPrecision]) the weights are what it rounded them to.
//
// Parse trusts nothing in b.
func Parse(b []byte) (*Model, error) {
	f, err := Read(b)
	if err != nil {
		return nil, err
	}
	if f.twice != "" {
		return nil, fmt.Errorf("two metadata entries have the key %q", f.twice)
	}
	if err := restore(f); err != nil {
		return nil, err
	}
	s, err := f.Source()
	if err != nil {
		return nil, err
	}
	return s.model(nil, nil)
}

// For returns the file's model for inputs of the given shapes, all of them and
// without dynamic dimensions, and of the given values where [Source.ShapeInputs]
// names some. Exporters write graphs that compute shapes from those of the
// inputs, and here these are numbers. All initializers are constants, and what
// depends on constants alone has been computed, in so far as the results take
// about the room that the file's tensors do; results that depend on the inputs in
// no way are computed once for all models of the file.
//
// Models of one file share their constants.
func (s *Source) For(shapes map[string][]int, values map[string]*graph.Tensor) (*Model, error) {
	if shapes == nil {
		shapes = map[string][]int{}
	}
	return s.model(shapes, values)
}

// model builds the graph: for the given inputs, or where nil as it is.
func (s *Source) model(shapes map[string][]int, values map[string]*graph.Tensor) (*Model, error) {
	r := newReader(s, shapes, values)
	if err := r.read(s.graph); err != nil {
		return nil, fmt.Errorf("graph %q: %w", s.graph.GetName(), err)
	}
	return &Model{Graph: r.graph, Weights: r.weights, Metadata: maps.Clone(s.metadata)}, nil
}
