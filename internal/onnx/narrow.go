package onnx

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// Precisions that a model's [KeyPrecision] names. Its graph and weights are of float32
// all the same: [Marshal] writes the network in the precision, and [Parse] reads it
// back. What a network is followed by, its map, score and labels, stays in float32.
const (
	Float16 = "fp16" // convolutions and what lies between them: weights, values and arithmetic, with casts around
	Int8    = "int8" // convolutions: weights by output channel, symmetric, of 8 bits; what they read in uint8, as Quantization says
)

// A Quantization says how a model of [Int8] holds what its convolutions read.
type Quantization struct {
	Rule   string  `json:"rule"`   // by which Values were found
	Images int     `json:"images"` // on so many
	Values []Range `json:"values"` // of [Model.Quantized], in its order
}

// A Range are the float32 values that a uint8 q stands for: (q - Zero)·Scale.
type Range struct {
	Scale float32 `json:"scale"`
	Zero  uint8   `json:"zero"`
}

// NewRange returns the range that holds lo to hi, and zero exactly.
func NewRange(lo, hi float32) Range {
	lo, hi = min(lo, 0), max(hi, 0)
	if lo == hi {
		return Range{1, 0}
	}
	scale := (float64(hi) - float64(lo)) / 255
	return Range{float32(scale), uint8(math.RoundToEven(-float64(lo) / scale))}
}

// Names of what a precision adds to a file, beside the value's that it is made of.
const (
	halfSuffix  = "~half"  // in float16
	floatSuffix = "~float" // back in float32
	int8Suffix  = "~int8"
	scaleSuffix = "~scale"
	zeroSuffix  = "~zero"
	quantSuffix = "~q"
	dequSuffix  = "~dq"
)

// A narrowing is how [Marshal] writes a model in less than float32.
type narrowing struct {
	half  map[*graph.Node]bool               // nodes computed in float16
	convs map[*graph.Node]bool               // convolutions of int8 weights
	held  map[*graph.Value]Range             // values that are written in uint8 too
	uses  map[*graph.Value]int               // by nodes that are not half, and as outputs
	made  map[string]bool                    // names that are there already
	nodes *[]*onnxpb.NodeProto               // of the file
	inits *[]*onnxpb.TensorProto             // likewise
	value func(v *graph.Value) *graph.Tensor // of a parameter or constant
}

// narrowing returns that of the model's precision, nil for float32.
func (m *Model) narrowing() (*narrowing, error) {
	r := &narrowing{
		half: map[*graph.Node]bool{}, convs: map[*graph.Node]bool{}, held: map[*graph.Value]Range{},
		uses: map[*graph.Value]int{}, made: map[string]bool{},
		value: func(v *graph.Value) *graph.Tensor {
			if v.IsParam() {
				return m.Weights[v.Name()]
			}
			return v.Const()
		},
	}
	switch p := m.Metadata[KeyPrecision]; p {
	case "":
		return nil, nil
	case Float16:
		if r.half = m.halves(); len(r.half) == 0 {
			return nil, fmt.Errorf("precision %s: the network has no convolutions of constant weights", p)
		}
	case Int8:
		var q Quantization
		if err := json.Unmarshal([]byte(m.Metadata[KeyQuantization]), &q); err != nil {
			return nil, fmt.Errorf("metadata %s: got %q: %w", KeyQuantization, m.Metadata[KeyQuantization], err)
		}
		values, convs := m.quantized()
		if len(values) == 0 {
			return nil, fmt.Errorf("precision %s: the network has no convolutions of constant weights", p)
		}
		if len(values) != len(q.Values) {
			return nil, fmt.Errorf("metadata %s: got ranges of %d values, want %d", KeyQuantization, len(q.Values), len(values))
		}
		r.convs = convs
		for i, v := range values {
			if s := float64(q.Values[i].Scale); !(s > 0) || math.IsInf(s, 0) {
				return nil, fmt.Errorf("metadata %s: value %d: got scale %v, want a positive number", KeyQuantization, i, s)
			}
			r.held[v] = q.Values[i]
		}
	default:
		return nil, fmt.Errorf("metadata %s: got %q, want %q or %q", KeyPrecision, p, Float16, Int8)
	}
	for _, n := range m.Graph.Nodes() {
		for _, v := range n.Inputs {
			if v != nil && !r.half[n] {
				r.uses[v]++
			}
		}
	}
	for _, v := range m.Graph.Outputs() {
		r.uses[v]++
	}
	return r, nil
}

// networkConvs lists the convolutions by weights that were learned, in the graph's order.
func (m *Model) networkConvs() []*graph.Node {
	var list []*graph.Node
	for _, n := range m.Graph.Nodes() {
		if n.Domain == "" && n.Op == "Conv" && m.learned(n.In(1)) && !m.fixed(n.Inputs[0]) && (n.In(2) == nil || m.learned(n.In(2))) {
			list = append(list, n)
		}
	}
	return list
}

// learned reports whether a value is a weight. Constants of a map, which are
// parameters too in a graph that was read, bear the names that graph.Const gives.
func (m *Model) learned(v *graph.Value) bool {
	return v != nil && v.IsParam() && m.Weights[v.Name()] != nil && !strings.HasPrefix(v.Name(), "const_")
}

// fixed reports whether a value is the same whatever the inputs are, and known.
func (m *Model) fixed(v *graph.Value) bool { return v.Const() != nil || m.Weights[v.Name()] != nil }

// Quantized lists the values that the convolutions of a network read, before they
// are pooled or repeated: those that [Int8] holds in 8 bits.
func (m *Model) Quantized() []*graph.Value {
	values, _ := m.quantized()
	return values
}

func (m *Model) quantized() ([]*graph.Value, map[*graph.Node]bool) {
	var values []*graph.Value
	convs := map[*graph.Node]bool{}
	for _, n := range m.networkConvs() {
		convs[n] = true
		if v := origin(n.Inputs[0]); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values, convs
}

// origin is what v picks its elements from.
func origin(v *graph.Value) *graph.Value {
	for picks(v.Node()) {
		v = v.Node().Inputs[0]
	}
	return v
}

// picks reports whether a node's results are some of its operand's elements, which
// 8 bits hold as well as those.
func picks(n *graph.Node) bool {
	if n == nil || n.Domain != "" {
		return false
	}
	return n.Op == "MaxPool" && len(n.Outputs) == 1 || n.Op == "Resize" && n.Text("mode", "nearest") == "nearest"
}

// halfOperands are the operators that can lie between convolutions in float16, and
// how many of their operands, from the first on, are of their results' type.
var halfOperands = map[string]int{
	"Conv": 3, "ConvTranspose": 3, "Gemm": 3,
	"Relu": 1, "LeakyRelu": 1, "Clip": 3, "Sigmoid": 1, "Add": 2, "Mul": 2, "Concat": math.MaxInt,
	"MaxPool": 1, "Resize": 1, "Reshape": 1, "GlobalAveragePool": 1,
}

// halves returns the nodes that [Float16] computes in it: convolutions, and what
// lies between them.
func (m *Model) halves() map[*graph.Node]bool {
	half, convs := map[*graph.Node]bool{}, map[*graph.Node]bool{}
	for _, n := range m.networkConvs() {
		convs[n] = true
	}
	nodes := m.Graph.Nodes()
	for _, n := range nodes { // what is made of convolutions alone
		if convs[n] {
			half[n] = true
			continue
		}
		operands, ok := halfOperands[n.Op]
		if !ok || n.Domain != "" || len(n.Outputs) != 1 {
			continue
		}
		made := false
		for i, v := range n.Inputs {
			if v == nil || i >= operands {
				continue
			}
			switch {
			case m.fixed(v) && v.DType == graph.Float32:
			case v.Node() != nil && half[v.Node()]:
				made = true
			default:
				ok = false
			}
		}
		half[n] = ok && made
	}
	// And leads to others of them.
	users := graph.Users(nodes)
	outputs := m.Graph.Outputs()
	for _, n := range slices.Backward(nodes) {
		if half[n] && (!convs[n] && !slices.ContainsFunc(users[n.Outputs[0]], func(u *graph.Node) bool { return half[u] }) || slices.Contains(outputs, n.Outputs[0]) && !convs[n]) {
			half[n] = false
		}
	}
	for n, is := range half {
		if !is {
			delete(half, n)
		}
	}
	return half
}

// add writes a node and what it takes to have its operands, and others its results,
// in the precision that they need. It changes the names in p.
func (r *narrowing) add(n *graph.Node, p *onnxpb.NodeProto) error {
	for i, v := range n.Inputs {
		if v == nil {
			continue
		}
		name, err := r.operand(n, i, v)
		if err != nil {
			return err
		}
		p.Input[i] = name
	}
	*r.nodes = append(*r.nodes, p)
	if q, ok := r.held[n.Outputs[0]]; ok {
		r.quantize(n.Outputs[0].Name(), q)
	}
	if picks(n) && p.Input[0] != n.Inputs[0].Name() && !r.half[n] {
		if q, ok := r.held[origin(n.Inputs[0])]; ok {
			r.quantize(n.Outputs[0].Name(), q)
		}
	}
	return nil
}

// operand returns the name by which a node reads operand i.
func (r *narrowing) operand(n *graph.Node, i int, v *graph.Value) (string, error) {
	name := v.Name()
	isHalf := r.half[n] && i < halfOperands[n.Op]
	fixed := r.value(v)
	switch {
	case isHalf && fixed != nil && v.DType == graph.Float32:
		return name + halfSuffix, r.once(name+halfSuffix, func() error {
			t, err := halfTensor(name+halfSuffix, fixed)
			*r.inits = append(*r.inits, t)
			return err
		})
	case fixed != nil && r.convs[n] && i == 1:
		return name + dequSuffix, r.once(name+dequSuffix, func() error { return r.weight(name, fixed) })
	case fixed != nil:
		return name, r.once(name, func() error {
			*r.inits = append(*r.inits, tensorProto(name, fixed))
			return nil
		})
	case isHalf && !r.half[v.Node()]:
		r.cast(name, name+halfSuffix, onnxpb.TensorProto_FLOAT16)
		return name + halfSuffix, nil
	case !isHalf && v.Node() != nil && r.half[v.Node()]:
		r.cast(name, name+floatSuffix, onnxpb.TensorProto_FLOAT)
		return name + floatSuffix, nil
	case (r.convs[n] || picks(n)) && i == 0 && r.made[name+dequSuffix]:
		return name + dequSuffix, nil
	}
	return name, nil
}

// once does what makes a name unless it is there.
func (r *narrowing) once(name string, do func() error) error {
	if r.made[name] {
		return nil
	}
	r.made[name] = true
	return do()
}

func (r *narrowing) node(op string, attrs []*onnxpb.AttributeProto, output string, inputs ...string) {
	*r.nodes = append(*r.nodes, &onnxpb.NodeProto{OpType: proto.String(op), Name: proto.String(output), Input: inputs, Output: []string{output}, Attribute: attrs})
}

func (r *narrowing) cast(from, to string, dtype onnxpb.TensorProto_DataType) {
	if !r.made[to] {
		r.made[to] = true
		r.node("Cast", integer("to", int64(dtype)), to, from)
	}
}

// quantize writes a value in 8 bits, and as the float32 that those stand for.
func (r *narrowing) quantize(name string, q Range) {
	scale, zero := name+scaleSuffix, name+zeroSuffix
	*r.inits = append(*r.inits,
		tensorProto(scale, graph.NewTensor([]float32{q.Scale})),
		tensorProto(zero, graph.NewTensor([]uint8{q.Zero})))
	r.node("QuantizeLinear", nil, name+quantSuffix, name, scale, zero)
	r.node("DequantizeLinear", nil, name+dequSuffix, name+quantSuffix, scale, zero)
	r.made[name+dequSuffix] = true
}

// weight writes the weights of a convolution [out,…] in 8 bits, by output channel.
func (r *narrowing) weight(name string, t *graph.Tensor) error {
	out := t.Shape()[0]
	data, per := graph.Data[float32](t), t.Len()/max(out, 1)
	scales := make([]float32, out)
	raw := make([]byte, t.Len())
	for o := range out {
		row := data[o*per : (o+1)*per]
		most := float32(0)
		for _, w := range row {
			if a := float32(math.Abs(float64(w))); a > most || a != a {
				most = a
			}
		}
		if math.IsNaN(float64(most)) || math.IsInf(float64(most), 0) {
			return fmt.Errorf("precision %s: weight %q: got %v, want finite numbers", Int8, name, most)
		}
		scales[o] = weightScale(most)
		for i, w := range row {
			raw[o*per+i] = byte(int8(math.RoundToEven(float64(w) / float64(scales[o]))))
		}
	}
	*r.inits = append(*r.inits,
		rawProto(name+int8Suffix, onnxpb.TensorProto_INT8, t.Shape(), raw),
		tensorProto(name+scaleSuffix, graph.NewTensor(scales, out)),
		rawProto(name+zeroSuffix, onnxpb.TensorProto_INT8, []int{out}, make([]byte, out)))
	r.node("DequantizeLinear", integer("axis", 0), name+dequSuffix, name+int8Suffix, name+scaleSuffix, name+zeroSuffix)
	return nil
}

// weightScale returns a scale by which weights up to most become -127 to 127. It has 16
// bits, so that its products with those are exact, and the scale of the products
// is the same: what has been rounded once stays.
func weightScale(most float32) float32 {
	if most == 0 {
		return 1
	}
	scale := float32(float64(most) / 127)
	bits := math.Float32bits(scale)
	if rounded := bits &^ 0xff; rounded != bits {
		bits = rounded + 0x100
	}
	return max(math.Float32frombits(bits), 0x1p-100)
}

// halfTensor encodes t in float16.
func halfTensor(name string, t *graph.Tensor) (*onnxpb.TensorProto, error) {
	p := rawProto(name, onnxpb.TensorProto_FLOAT16, t.Shape(), make([]byte, 0, 2*t.Len()))
	for _, x := range graph.Data[float32](t) {
		h, ok := toFloat16(x)
		if !ok {
			return p, fmt.Errorf("precision %s: weight %q: got %v, want at most 65504", Float16, strings.TrimSuffix(name, halfSuffix), x)
		}
		p.RawData = append(p.RawData, byte(h), byte(h>>8))
	}
	return p, nil
}

// toFloat16 returns the binary16 nearest to x, the even one of two; ok is false where
// there is none.
func toFloat16(x float32) (bits uint16, ok bool) {
	if x != x || math.IsInf(float64(x), 0) {
		return 0, false
	}
	if math.Signbit(float64(x)) {
		bits = 1 << 15
	}
	a := math.Abs(float64(x))
	_, exponent := math.Frexp(a) // a = f·2^exponent, f in [½,1)
	exponent = max(exponent, -13)
	units := math.RoundToEven(math.Ldexp(a, 11-exponent)) // of 2^(exponent-11)
	if units == 2048 {
		units, exponent = 1024, exponent+1
	}
	switch {
	case exponent > 16:
		return 0, false
	case units < 1024: // subnormal
		return bits | uint16(units), true
	}
	return bits | uint16(exponent+14)<<10 | uint16(units-1024), true
}

// restore undoes in a parsed file what [Marshal] did for a precision, so that it is a
// graph of float32. It trusts nothing in the file: what it does not know it leaves,
// and that the result gives the same file again is for the caller to check.
func restore(f *File) error {
	if f.Metadata[KeyPrecision] == "" {
		return nil
	}
	g := f.proto.GetGraph()
	inits := map[string]*onnxpb.TensorProto{}
	for _, t := range g.Initializer {
		inits[t.GetName()] = t
	}
	rename := map[string]string{}
	gone := map[string]bool{} // initializers
	p := &onnxpb.GraphProto{Name: g.Name, Input: g.Input, Output: g.Output, SparseInitializer: g.SparseInitializer, ValueInfo: g.ValueInfo}
	for _, n := range g.Node {
		if len(n.Input) == 0 || len(n.Output) != 1 {
			p.Node = append(p.Node, n)
			continue
		}
		in, out := n.Input[0], n.Output[0]
		switch op := n.GetOpType(); {
		case op == "Cast" && (out == in+halfSuffix || out == in+floatSuffix):
			rename[out] = in
		case op == "QuantizeLinear" && out == in+quantSuffix:
			gone[in+scaleSuffix], gone[in+zeroSuffix] = true, true
		case op == "DequantizeLinear" && strings.HasSuffix(in, quantSuffix) && out == strings.TrimSuffix(in, quantSuffix)+dequSuffix:
			rename[out] = strings.TrimSuffix(in, quantSuffix)
		case op == "DequantizeLinear" && strings.HasSuffix(in, int8Suffix) && out == strings.TrimSuffix(in, int8Suffix)+dequSuffix:
			name := strings.TrimSuffix(in, int8Suffix)
			if inits[name] == nil {
				w, err := dequantized(inits[in], inits[name+scaleSuffix])
				if err != nil {
					return fmt.Errorf("weight %q: %w", name, err)
				}
				p.Initializer = append(p.Initializer, tensorProto(name, w))
			}
			rename[out] = name
			gone[in], gone[name+scaleSuffix], gone[name+zeroSuffix] = true, true, true
		default:
			p.Node = append(p.Node, n)
		}
	}
	for _, t := range g.Initializer {
		name := t.GetName()
		if gone[name] {
			continue
		}
		if bare, is := strings.CutSuffix(name, halfSuffix); is {
			rename[name] = bare
			if inits[bare] != nil { // float32 too
				continue
			}
			w, err := tensor(t)
			if err != nil {
				return fmt.Errorf("weight %q: %w", bare, err)
			}
			t = tensorProto(bare, w)
		}
		p.Initializer = append(p.Initializer, t)
	}
	for i, n := range p.Node {
		n = proto.CloneOf(n)
		for j, name := range n.Input {
			if to, is := rename[name]; is {
				n.Input[j] = to
			}
		}
		p.Node[i] = n
	}
	whole := proto.CloneOf(&onnxpb.ModelProto{IrVersion: f.proto.IrVersion, OpsetImport: f.proto.OpsetImport, ProducerName: f.proto.ProducerName, MetadataProps: f.proto.MetadataProps})
	whole.Graph = p
	f.proto, f.bytes = whole, nil
	return nil
}

// dequantized returns weights as float32.
func dequantized(q, scale *onnxpb.TensorProto) (*graph.Tensor, error) {
	if q == nil || scale == nil || q.GetDataType() != int32(onnxpb.TensorProto_INT8) {
		return nil, fmt.Errorf("got no int8 with a scale")
	}
	w, err := tensor(q)
	if err != nil {
		return nil, err
	}
	s, err := tensor(scale)
	if err != nil {
		return nil, err
	}
	shape := w.Shape()
	if s.DType() != graph.Float32 || len(shape) == 0 || s.Len() != shape[0] {
		return nil, fmt.Errorf("got scales %v%v of %v, want one for each output channel", s.DType(), s.Shape(), shape)
	}
	data := slices.Clone(graph.Data[float32](w))
	for i := range data {
		data[i] *= graph.Data[float32](s)[i/(len(data)/shape[0])]
	}
	return graph.NewTensor(data, shape...), nil
}
