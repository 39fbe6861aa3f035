package onnxexport

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Opsets of ONNX's own operators that can be read: the first that PyTorch wrote,
// the last there is.
const (
	minOpset = 6
	maxOpset = 28
)

// A File is an ONNX file whose tensors have been decoded, of which [File.For]
// makes models. It is not safe for concurrent use.
type File struct {
	proto  *onnxpb.ModelProto // without the initializers' data
	opset  int
	leaves []leaf
	folded map[int][]*graph.Tensor // results of nodes that depend on leaves alone, by the node's number
}

// A leaf is an initializer.
type leaf struct {
	name   string
	tensor *graph.Tensor
}

// Read reads an ONNX file: one that [Marshal] wrote, or another tool's of opset
// 6 to 28, of the operators of package graph and of those that can be expressed
// with them. Half floats (float16, bfloat16) become float32.
//
// Read trusts nothing in b: every error wraps [ErrModel]. One that there are
// operators which cannot be read names them.
func Read(b []byte) (*File, error) {
	var p onnxpb.ModelProto
	if err := proto.Unmarshal(b, &p); err != nil || p.Graph == nil || p.GetIrVersion() == 0 {
		return nil, errorf("%d bytes are not an ONNX model", len(b))
	}
	f := &File{proto: &p, folded: map[int][]*graph.Tensor{}}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) read() error {
	var err error
	if f.opset, err = opsetOf(f.proto.OpsetImport); err != nil {
		return err
	}
	p := f.proto.Graph
	fail := func(format string, args ...any) error {
		return errorf("graph %q: %w", p.GetName(), fmt.Errorf(format, args...))
	}
	if len(p.SparseInitializer) > 0 {
		return fail("sparse initializers are not supported")
	}
	if err := checkOperators(p.Node); err != nil {
		return fail("%w", err)
	}
	for _, t := range p.Initializer {
		x, err := tensor(t)
		if err != nil {
			return fail("initializer %q: %w", t.GetName(), err)
		}
		f.leaves = append(f.leaves, leaf{t.GetName(), x})
	}
	p.Initializer = nil
	return nil
}

func opsetOf(imports []*onnxpb.OperatorSetIdProto) (int, error) {
	for _, o := range imports {
		if ownDomain(o.GetDomain()) {
			if v := o.GetVersion(); v < minOpset || v > maxOpset {
				return 0, errorf("got opset %d, want %d to %d", v, minOpset, maxOpset)
			}
			return int(o.GetVersion()), nil
		}
	}
	return 0, errorf("got no opset of ONNX's own operators, want %d to %d", minOpset, maxOpset)
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

// metadata returns the file's metadata_props.
func (f *File) metadata() (map[string]string, error) {
	m := map[string]string{}
	for _, kv := range f.proto.MetadataProps {
		if _, twice := m[kv.GetKey()]; twice {
			return nil, errorf("two metadata entries have the key %q", kv.GetKey())
		}
		m[kv.GetKey()] = kv.GetValue()
	}
	return m, nil
}

// Parse reads an ONNX file, as [Read] does, whose shapes do not depend on the
// sizes of its inputs. It infers all types anew and holds the file to them.
//
// A float32 initializer becomes a parameter and its weight, so that it can be
// trained on or replaced; those of rank 0 and those whose values the shapes
// depend on become constants, as do the initializers of every other type.
// Marshal of the result gives the same bytes again if Marshal wrote b.
//
// Parse trusts nothing in b: every error wraps [ErrModel].
func Parse(b []byte) (*Model, error) {
	f, err := Read(b)
	if err != nil {
		return nil, err
	}
	return f.model(nil, nil)
}

// For returns the file's model for inputs of the given shapes, all of them and
// without dynamic dimensions, and of the given values where [File.ShapeInputs]
// names some. Exporters write graphs that compute shapes from those of the
// inputs, and here these are numbers. All initializers are constants, and what
// depends on constants alone has been computed, in so far as the results take
// about the room that the file's tensors do; results that depend on the inputs in
// no way are computed once for all models of the file.
//
// Models of one file share their constants. Errors wrap [ErrModel].
func (f *File) For(shapes map[string][]int, values map[string]*graph.Tensor) (*Model, error) {
	if shapes == nil {
		shapes = map[string][]int{}
	}
	return f.model(shapes, values)
}

// model builds the graph: for the given inputs, or where nil as it is.
func (f *File) model(shapes map[string][]int, values map[string]*graph.Tensor) (*Model, error) {
	metadata, err := f.metadata()

	if err != nil {
		return nil, err
	}
	p := f.proto.Graph
	r := newReader(f, shapes, values)
	if err := r.read(p); err != nil {
		return nil, errorf("graph %q: %w", p.GetName(), err)
	}
	return &Model{Graph: r.graph, Weights: r.weights, Metadata: metadata}, nil
}
