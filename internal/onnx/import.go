package onnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

// An importer appends to the graph what a node of a file says. It takes from
// the node the attributes that it gives a meaning to: those left over are errors.
type importer func(n *node) ([]*graph.Value, error)

// importers are those of the operators that package graph does not have, or not
// in all opsets and with all attributes. The others are taken as they are.
var importers = map[string]importer{
	// import_elementwise.go
	"Cast":       importCast,
	"CastLike":   importCastLike,
	"Clip":       importClip,
	"IsInf":      importIsInf,
	"IsNaN":      of1(func(x *graph.Value) *graph.Value { return graph.Not(graph.Equal(x, x)) }),
	"Mean":       importMean,
	"Pow":        importPow,
	"Reciprocal": of1(func(x *graph.Value) *graph.Value { return graph.Div(scalar(x, 1), x) }),
	"Sum":        importSum,
	"Xor":        importXor,

	// import_activation.go
	"Celu":            importCelu,
	"Dropout":         importDropout,
	"Gelu":            importGelu,
	"HardSigmoid":     importHardSigmoid,
	"HardSwish":       of1(func(x *graph.Value) *graph.Value { return graph.Mul(x, hardSigmoid(x, 1./6, .5)) }),
	"LogSoftmax":      alongAxis(logSoftmax),
	"Mish":            of1(func(x *graph.Value) *graph.Value { return graph.Mul(x, graph.Tanh(graph.Softplus(x))) }),
	"PRelu":           importPRelu,
	"Selu":            importSelu,
	"Softmax":         alongAxis(graph.Softmax),
	"Softsign":        of1(func(x *graph.Value) *graph.Value { return graph.Div(x, graph.Add(graph.Abs(x), scalar(x, 1))) }),
	"Swish":           importSwish,
	"ThresholdedRelu": importThresholdedRelu,

	// import_norm.go
	"BatchNormalization":    importBatchNorm,
	"GroupNormalization":    importGroupNorm,
	"InstanceNormalization": importInstanceNorm,
	"LRN":                   importLRN,
	"LayerNormalization":    importLayerNorm,
	"LpNormalization":       importLpNorm,
	"RMSNormalization":      importRMSNorm,

	// import_window.go
	"AveragePool":       importAveragePool,
	"Conv":              importConv,
	"ConvTranspose":     importConvTranspose,
	"GlobalAveragePool": importGlobalPool(graph.ReduceMean),
	"GlobalMaxPool":     importGlobalPool(graph.ReduceMax),
	"MatMul":            importMatMul,
	"MaxPool":           importMaxPool,

	// import_quantize.go
	"DequantizeLinear": importDequantizeLinear,
	"QuantizeLinear":   importQuantizeLinear,

	// import_resize.go
	"Resize":   importResize,
	"Upsample": importUpsample,

	// import_reduce.go
	"ReduceL1":        reduced(func(x *graph.Value, sum sumOver) *graph.Value { return sum(graph.Abs(x)) }),
	"ReduceL2":        reduced(func(x *graph.Value, sum sumOver) *graph.Value { return graph.Sqrt(sum(graph.Square(x))) }),
	"ReduceLogSum":    reduced(func(x *graph.Value, sum sumOver) *graph.Value { return graph.Log(sum(x)) }),
	"ReduceLogSumExp": importReduceLogSumExp,
	"ReduceMax":       importReduceMax,
	"ReduceMean":      importReduce,
	"ReduceMin":       importReduceMin,
	"ReduceProd":      importReduce,
	"ReduceSum":       importReduce,
	"ReduceSumSquare": reduced(func(x *graph.Value, sum sumOver) *graph.Value { return sum(graph.Square(x)) }),
	"TopK":            importTopK,

	// import_shape.go
	"Constant":        importConstant,
	"ConstantOfShape": importConstantOfShape,
	"Expand":          importExpand,
	"Flatten":         importFlatten,
	"Pad":             importPad,
	"Range":           importRange,
	"Reshape":         importReshape,
	"Shape":           importShape,
	"Size":            importSize,
	"SpaceToDepth":    importSpaceToDepth,
	"Slice":           importSlice,
	"Split":           importSplit,
	"Squeeze":         importSqueeze,
	"Tile":            importTile,
	"Transpose":       importTranspose,
	"Unsqueeze":       importUnsqueeze,
}

// A node is an operator of a file, as its importer sees it.
type node struct {
	reader  *reader
	graph   *graph.Graph
	op      string
	name    string // what a constant is called that it gives, "" where the graph is to find a name
	opset   int
	in      []*graph.Value // nil where omitted, none at the end
	attrs   []graph.Attr   // those that were not taken yet
	results int            // how many are used
}

// convert appends the node. Shape inference trusts those who build graphs with
// the functions of package graph to give the operands and attributes that an
// operator must have; what a file gives may be anything.
func (n *node) convert() (vs []*graph.Value, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("operands or attributes do not fit the operator (%v)", e)
		}
	}()
	n.alignOperands()
	convert := importers[n.op]
	if convert == nil {
		convert = (*node).asIs
	}
	if vs, err = convert(n); err != nil {
		return nil, err
	}
	if err := n.graph.Err(); err != nil {
		return nil, err
	}
	if len(n.attrs) > 0 {
		return nil, fmt.Errorf("attribute %q is not known, or not with that type", n.attrs[0].Name)
	}
	if len(vs) < n.results {
		return nil, fmt.Errorf("has %d results, want %d", len(vs), n.results)
	}
	return vs[:n.results], nil
}

// asIs appends the operator as package graph has it, with the attributes that are left.
func (n *node) asIs() ([]*graph.Value, error) {
	attrs := n.attrs
	n.attrs = nil
	return n.graph.OpN(n.op, attrs, n.results, n.in...), nil
}

// take removes an attribute and returns its value, def where there is none.
func take[T any](n *node, name string, def T) T {
	for i, a := range n.attrs {
		if v, ok := a.Value.(T); ok && a.Name == name {
			n.attrs = slices.Delete(slices.Clone(n.attrs), i, i+1)
			return v
		}
	}
	return def
}

func (n *node) takeText(name, def string) string     { return take(n, name, def) }
func (n *node) takeInt(name string, def int64) int64 { return take(n, name, def) }
func (n *node) takeInts(name string) []int64         { return take[[]int64](n, name, nil) }
func (n *node) takeFloat(name string, def float64) float64 {
	return float64(take(n, name, float32(def)))
}

// set gives the node an attribute.
func (n *node) set(name string, value any) {
	take(n, name, value)
	n.attrs = append(slices.Clone(n.attrs), graph.Attr{Name: name, Value: value})
}

// one makes the results of an operator with one result.
func one(v *graph.Value) ([]*graph.Value, error) { return []*graph.Value{v}, nil }

// of1 makes the importer of an operator with one operand and no attributes.
func of1(f func(x *graph.Value) *graph.Value) importer {
	return func(n *node) ([]*graph.Value, error) {
		if err := n.operands(1, 1); err != nil {
			return nil, err
		}
		return one(f(n.in[0]))
	}
}

// operands checks that the node has so many operands, and the first of them.
func (n *node) operands(least, most int) error {
	if len(n.in) < least || len(n.in) > most {
		return fmt.Errorf("got %d operands, want %d to %d", len(n.in), least, most)
	}
	for i, v := range n.in[:least] {
		if v == nil {
			return fmt.Errorf("operand %d is missing", i)
		}
	}
	return nil
}

// operand returns operand i, nil where it is omitted.
func (n *node) operand(i int) *graph.Value {
	if i >= len(n.in) {
		return nil
	}
	return n.in[i]
}

// setOperand gives the node operand i; those before it that it had not are omitted.
func (n *node) setOperand(i int, v *graph.Value) {
	n.in = slices.Clone(n.in)
	for len(n.in) <= i {
		n.in = append(n.in, nil)
	}
	n.in[i] = v
}

// numbers returns the elements of an operand of integers that must be constant,
// nil where it is omitted.
func (n *node) numbers(i int) ([]int, error) {
	v := n.operand(i)
	if v == nil {
		return nil, nil
	}
	out := []int{}
	switch t := v.Const(); {
	case t == nil:
		return nil, fmt.Errorf("operand %d (%q): its value depends on the images, or on more than their sizes", i, v.Name())
	case t.DType() == graph.Int64:
		for _, x := range graph.Data[int64](t) {
			out = append(out, int(x))
		}
	case t.DType() == graph.Int32:
		for _, x := range graph.Data[int32](t) {
			out = append(out, int(x))
		}
	default:
		return nil, fmt.Errorf("operand %d: got %v, want integers", i, v.Type)
	}
	return out, nil
}

// listOf returns a list that newer opsets give as an operand, older ones as an
// attribute; nil where there is neither.
func (n *node) listOf(attr string, operand int) ([]int, error) {
	if list := n.takeInts(attr); list != nil {
		if n.operand(operand) != nil {
			return nil, fmt.Errorf("%s: got an attribute and an operand", attr)
		}
		return fromInt64(list), nil
	}
	return n.numbers(operand)
}

// moveInts makes an operand of a list that older opsets give as an attribute,
// and int64 of one of int32: package graph has the new way alone.
func (n *node) moveInts(attr string, i int) error {
	if v := n.operand(i); v != nil && v.DType == graph.Int64 && n.peekInts(attr) == nil {
		return nil
	}
	list, err := n.listOf(attr, i)
	if err == nil && list != nil {
		n.setOperand(i, ints(n.graph, list...))
	}
	return err
}

// peekInts returns a list without taking it.
func (n *node) peekInts(name string) []int64 {
	for _, a := range n.attrs {
		if list, ok := a.Value.([]int64); ok && a.Name == name {
			return list
		}
	}
	return nil
}

// makeScalar makes one of operand i if it is a list of one, as older opsets allow it.
func (n *node) makeScalar(i int) {
	if v := n.operand(i); v != nil && v.Rank() == 1 && v.Dim(0) == 1 {
		n.setOperand(i, reshape(v))
	}
}

// ints adds a constant int64 vector.
func ints(g *graph.Graph, xs ...int) *graph.Value {
	return g.Const("", graph.NewTensor(toInt64(xs), len(xs)))
}

func toInt64(xs []int) []int64 {
	out := make([]int64, len(xs))
	for i, x := range xs {
		out[i] = int64(x)
	}
	return out
}

// fromInt64 returns nil for nil.
func fromInt64(xs []int64) []int {
	if xs == nil {
		return nil
	}
	out := make([]int, len(xs))
	for i, x := range xs {
		out[i] = int(x)
	}
	return out
}

// constant returns v as a constant where it depends on constants alone: for
// parts of what a node is made of.
func (n *node) constant(v *graph.Value) *graph.Value {
	for _, of := range n.graph.Nodes(v) {
		for _, in := range of.Inputs {
			if in != nil && in.Node() == nil && in.Const() == nil {
				return v
			}
		}
	}
	if vs, err := n.reader.compute([]*graph.Value{v}); err == nil {
		return vs[0]
	}
	return v
}

// scalar is the number f in the type of x.
func scalar(x *graph.Value, f float64) *graph.Value {
	if x.DType == graph.Float32 {
		return x.Graph().Scalar(f)
	}
	g := x.Graph()
	switch x.DType {
	case graph.Float64:
		return g.Const("", graph.NewTensor([]float64{f}))
	case graph.Int64:
		return g.Const("", graph.NewTensor([]int64{int64(f)}))
	case graph.Int32:
		return g.Const("", graph.NewTensor([]int32{int32(f)}))
	case graph.Uint8:
		return g.Const("", graph.NewTensor([]uint8{uint8(f)}))
	}
	return g.Const("", graph.NewTensor([]bool{f != 0}))
}

// axisOf returns an axis, counted from the end if negative, of size axes.
func axisOf(axis, size int) (int, error) {
	if axis < -size || axis >= size {
		return 0, fmt.Errorf("axis: got %d for %d dimensions", axis, size)
	}
	if axis < 0 {
		axis += size
	}
	return axis, nil
}

// from returns the dimensions from first to the last one.
func from(first, rank int) []int {
	var axes []int
	for i := first; i < rank; i++ {
		axes = append(axes, i)
	}
	return axes
}

// reshape gives x a shape of which one dimension may be dynamic.
func reshape(x *graph.Value, shape ...int) *graph.Value {
	if t := x.Const(); t != nil && !slices.Contains(shape, graph.Dynamic) && graph.Elements(shape) == t.Len() {
		return x.Graph().Const("", t.Reshape(shape...))
	}
	return graph.Reshape(x, shape...)
}

// size multiplies dimensions, of which one may be dynamic.
func size(shape []int) int {
	n, dynamic := 1, false
	for _, d := range shape {
		if d == graph.Dynamic {
			dynamic = true
			continue
		}
		if d > 0 && n > math.MaxInt/d {
			return math.MaxInt
		}
		n *= d
	}
	if dynamic {
		return graph.Dynamic
	}
	return n
}
