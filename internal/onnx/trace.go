package onnx

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// A Trace is what the nodes near the ends of a graph tell, without running it.
type Trace struct {
	Height, Width int                   // that the graph itself resizes its first input to; 0 for neither
	labels        map[string]comparison // outputs that tell what is above a number
	unit          map[string]bool       // outputs that are clipped to [0,1]
	softmax       map[string]bool       // outputs of a Softmax
	sources       map[string]string     // what outputs come from, but for their type and shape
}

// A comparison tells where a value is above a threshold, strictly.
type comparison struct {
	value     string
	threshold float32
}

// A tracer looks up what makes a value of a graph.
type tracer struct {
	constants map[string]*onnxpb.TensorProto
	makers    map[string]*onnxpb.NodeProto
}

// traceLimit is how many nodes are followed from an end of a graph.
const traceLimit = 16

func traceGraph(g *onnxpb.GraphProto) Trace {
	f := &tracer{map[string]*onnxpb.TensorProto{}, map[string]*onnxpb.NodeProto{}}
	for _, t := range g.GetInitializer() {
		f.constants[t.GetName()] = t
	}
	for _, n := range g.GetNode() {
		for _, name := range n.GetOutput() {
			f.makers[name] = n
		}
	}
	t := Trace{labels: map[string]comparison{}, unit: map[string]bool{}, softmax: map[string]bool{}, sources: map[string]string{}}
	for _, out := range g.GetOutput() {
		name := out.GetName()
		if c, ok := f.compares(name, false); ok {
			t.labels[name] = c
		}
		t.unit[name] = f.isUnit(name)
		t.softmax[name] = f.makers[f.source(name)].GetOpType() == "Softmax"
		t.sources[name] = f.source(name)
	}
	if len(g.GetInput()) > 0 {
		t.Height, t.Width = f.resizes(g)
	}
	return t
}

// IsUnit reports whether an output is clipped to [0,1].
func (t *Trace) IsUnit(output string) bool { return t.unit[output] }

// IsSoftmax reports whether an output is made by a Softmax.
func (t *Trace) IsSoftmax(output string) bool { return t.softmax[output] }

// Above returns the number that an output must exceed for another, its label, to
// be true, and whether that is known.
func (t *Trace) Above(value, label string) (float32, bool) {
	c, ok := t.labels[label]
	return c.threshold, ok && c.value == t.sources[value]
}

// source follows a value back through nodes that only change its type or shape,
// and through a Where whose condition is known.
func (f *tracer) source(name string) string {
	for range traceLimit {
		n := f.makers[name]
		if n == nil || len(n.GetInput()) == 0 {
			return name
		}
		from := n.GetInput()[0]
		switch n.GetOpType() {
		case "Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten":
		case "Where":
			chosen := f.literal(from)
			if len(chosen) != 1 || len(n.GetInput()) != 3 {
				return name
			}
			from = n.GetInput()[1]
			if chosen[0] == 0 {
				from = n.GetInput()[2]
			}
		default:
			return name
		}
		name = from
	}
	return name
}

// constant returns the numbers of a constant of a few elements.
func (f *tracer) constant(name string) []float64 { return f.literal(f.source(name)) }

// literal is constant for the name that the constant itself has.
func (f *tracer) literal(name string) []float64 {
	if t := f.constants[name]; t != nil {
		return smallTensor(t)
	}
	if n := f.makers[name]; n.GetOpType() == "Constant" {
		for _, a := range n.GetAttribute() {
			switch a.GetName() {
			case "value":
				return smallTensor(a.GetT())
			case "value_float":
				return []float64{float64(a.GetF())}
			case "value_int":
				return []float64{float64(a.GetI())}
			case "value_ints":
				var list []float64
				for _, i := range a.GetInts() {
					list = append(list, float64(i))
				}
				return list
			}
		}
	}
	return nil
}

// number returns the value of a constant of one element, or of a difference of two.
func (f *tracer) number(name string) (float64, bool) {
	if c := f.constant(name); len(c) == 1 {
		return c[0], true
	}
	if n := f.makers[f.source(name)]; n.GetOpType() == "Sub" && len(n.GetInput()) == 2 {
		a, b := f.constant(n.GetInput()[0]), f.constant(n.GetInput()[1])
		if len(a) == 1 && len(b) == 1 {
			return float64(float32(a[0]) - float32(b[0])), true
		}
	}
	return 0, false
}

// compares tells what an output that is true above a threshold compares.
func (f *tracer) compares(name string, negated bool) (comparison, bool) {
	n := f.makers[f.source(name)]
	op, in := n.GetOpType(), n.GetInput()
	if op == "Not" && !negated && len(in) == 1 {
		return f.compares(in[0], true)
	}
	if len(in) != 2 {
		return comparison{}, false
	}
	// a > b is b < a, and not a <= b.
	flip := map[string]string{"Greater": "Less", "GreaterOrEqual": "LessOrEqual", "Less": "Greater", "LessOrEqual": "GreaterOrEqual"}
	not := map[string]string{"Greater": "LessOrEqual", "GreaterOrEqual": "Less", "Less": "GreaterOrEqual", "LessOrEqual": "Greater"}
	if negated {
		op = not[op]
	}
	value, threshold := in[0], in[1]
	if _, ok := f.number(value); ok {
		value, threshold, op = threshold, value, flip[op]
	}
	t, ok := f.number(threshold)
	c := comparison{f.source(value), float32(t)}
	switch op {
	case "Greater":
	case "GreaterOrEqual":
		c.threshold = Below(c.threshold)
	default:
		ok = false
	}
	return c, ok
}

// Below returns the next float32 below: what is at or above t is strictly above it.
func Below(t float32) float32 { return math.Nextafter32(t, float32(math.Inf(-1))) }

// isUnit reports whether a value is the outcome of a Clip to [0,1], or the largest of such.
func (f *tracer) isUnit(name string) bool {
	n := f.makers[f.source(name)]
	switch in := n.GetInput(); n.GetOpType() {
	case "ReduceMax":
		return len(in) > 0 && f.makers[f.source(in[0])].GetOpType() == "Clip" && f.isUnit(in[0])
	case "Clip":
		low, high := math.Inf(-1), math.Inf(1)
		for _, a := range n.GetAttribute() { // before opset 11
			switch a.GetName() {
			case "min":
				low = float64(a.GetF())
			case "max":
				high = float64(a.GetF())
			}
		}
		if len(in) == 3 {
			var ok [2]bool
			low, ok[0] = f.number(in[1])
			high, ok[1] = f.number(in[2])
			if !ok[0] || !ok[1] {
				return false
			}
		}
		return low == 0 && high == 1
	}
	return false
}

// resizes returns the size that the graph resizes its input to before all else
// but arithmetic pixel by pixel; zeros where there is none.
func (f *tracer) resizes(g *onnxpb.GraphProto) (height, width int) {
	reached := map[string]bool{}
	for _, in := range g.GetInput() {
		if f.constants[in.GetName()] == nil {
			reached[in.GetName()] = true
			break
		}
	}
	for _, n := range g.GetNode() { // which are in the order of computation
		in := n.GetInput()
		if !slices.ContainsFunc(in, func(name string) bool { return reached[name] }) {
			continue
		}
		switch n.GetOpType() {
		case "Resize":
			if len(in) == 4 && reached[in[0]] {
				if size := f.lastTwo(in[3]); size[0] > 0 && size[1] > 0 {
					return size[0], size[1]
				}
			}
		case "Identity", "Cast", "Add", "Sub", "Mul", "Div", "Transpose", "Clip", "Reshape", "Squeeze", "Unsqueeze":
			// PyTorch puts a Reshape to the shape that there is before a Resize.
			for _, name := range n.GetOutput() {
				reached[name] = true
			}
		}
	}
	return 0, 0
}

// maxSide is beyond what images have.
const maxSide = 1 << 26

// lastTwo returns the last two numbers of sizes, which may be put together of parts.
func (f *tracer) lastTwo(name string) [2]int {
	numbers := f.constant(name)
	if n := f.makers[f.source(name)]; n.GetOpType() == "Concat" {
		for _, part := range n.GetInput() {
			some := f.constant(part)
			if some == nil {
				some = []float64{0, 0} // of unknown length, nor are they known
			}
			numbers = append(numbers, some...)
		}
	}
	if len(numbers) < 2 {
		return [2]int{}
	}
	size := [2]int{}
	for i, v := range numbers[len(numbers)-2:] {
		if v == math.Trunc(v) && v > 0 && v <= maxSide {
			size[i] = int(v)
		}
	}
	return size
}

// smallTensor returns the numbers of a tensor of up to 8 elements; nil of others.
func smallTensor(t *onnxpb.TensorProto) []float64 {
	n, ok := elements(dims(t))
	if !ok || n > 8 || external(t) {
		return nil
	}
	var all []float64
	read := func(size int, value func(b []byte) float64) {
		for raw := t.GetRawData(); len(raw) >= size; raw = raw[size:] {
			all = append(all, value(raw))
		}
	}
	little := binary.LittleEndian
	switch onnxpb.TensorProto_DataType(t.GetDataType()) {
	case onnxpb.TensorProto_FLOAT:
		for _, v := range t.GetFloatData() {
			all = append(all, float64(v))
		}
		read(4, func(b []byte) float64 { return float64(math.Float32frombits(little.Uint32(b))) })
	case onnxpb.TensorProto_DOUBLE:
		all = append(all, t.GetDoubleData()...)
		read(8, func(b []byte) float64 { return math.Float64frombits(little.Uint64(b)) })
	case onnxpb.TensorProto_FLOAT16:
		for _, v := range t.GetInt32Data() {
			all = append(all, float64(fromFloat16(uint16(v))))
		}
		read(2, func(b []byte) float64 { return float64(fromFloat16(little.Uint16(b))) })
	case onnxpb.TensorProto_INT64:
		for _, v := range t.GetInt64Data() {
			all = append(all, float64(v))
		}
		read(8, func(b []byte) float64 { return float64(int64(little.Uint64(b))) })
	case onnxpb.TensorProto_INT32:
		for _, v := range t.GetInt32Data() {
			all = append(all, float64(v))
		}
		read(4, func(b []byte) float64 { return float64(int32(little.Uint32(b))) })
	case onnxpb.TensorProto_BOOL:
		for _, v := range t.GetInt32Data() {
			all = append(all, float64(v))
		}
		read(1, func(b []byte) float64 { return float64(b[0]) })
	}
	if int64(len(all)) != n {
		return nil
	}
	return all
}
