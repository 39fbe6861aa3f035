package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

const (
	// clearly is the share of ONNX Runtime's time, as estimated, up to which Go is
	// taken for faster: estimates are off by up to a third.
	clearly = .75
	// alone is by how much the share grows each time that the threads double: two
	// threads made ONNX Runtime 1.6 times as fast, Go 1.4 times.
	alone = 1.6 / 1.4
	// fewest is how many nanoseconds of ONNX Runtime are worth an estimate: of less, what
	// each run costs by itself decides.
	fewest = 100_000
	// mostEstimated is how many bytes a file's weights may have for an estimate, which
	// decodes them. Nothing that large was measured.
	mostEstimated = 64 << 20
)

// Share estimates the time that Go takes to compute outputs of a file, for one image,
// as a share of what ONNX Runtime's CPU provider takes. It is from the operators and
// their shapes alone, so that it does not change from run to run. The error says why
// nothing can be told.
func Share(f *onnx.File, outputs []string, threads int) (float64, error) {
	shapes := map[string][]int{}
	for _, in := range f.Inputs {
		shape := slices.Clone(in.Shape)
		if len(shape) > 0 && shape[0] == graph.Dynamic {
			shape[0] = 1
		}
		if in.Shape == nil || slices.Contains(shape, graph.Dynamic) {
			return 0, fmt.Errorf("input %q is of no fixed size", in.Name)
		}
		shapes[in.Name] = shape
	}
	if n := f.Params(); n > mostEstimated/4 {
		return 0, fmt.Errorf("%d weights, estimates are for %d at most", n, mostEstimated/4)
	}
	source, err := f.Source()
	if err != nil {
		return 0, err
	}
	if len(source.ShapeInputs()) > 0 {
		return 0, errors.New("shapes depend on what the inputs hold")
	}
	m, err := source.For(shapes, nil)
	if err != nil {
		return 0, err
	}
	own, err := kernels.Estimate(m.Graph, outputs, nil)
	if err != nil {
		return 0, err
	}
	var want []*graph.Value
	for _, name := range outputs {
		want = append(want, m.Graph.Lookup(name))
	}
	theirs, err := ortNanoseconds(m.Graph.Nodes(want...))
	if err != nil {
		return 0, err
	}
	if theirs < fewest {
		return 0, errors.New("it is too little work")
	}
	return own / theirs * math.Pow(alone, math.Log2(float64(max(threads, 1)))), nil
}

// Faster reports whether Go clearly takes less time than ONNX Runtime's CPU provider
// to compute outputs of a file, and the share that it is estimated to take.
func Faster(f *onnx.File, outputs []string, threads int) (share float64, faster bool) {
	share, err := Share(f, outputs, threads)
	return share, err == nil && share <= clearly
}

// What ONNX Runtime 1.31 takes on one thread of a processor with AVX-512, in
// nanoseconds. It computes convolutions on blocks of channels, the last of which is
// filled up, and each other operator by itself.
const (
	ortBlock       = 16  // channels
	ortProducts    = 72  // a nanosecond
	ortTransposed  = 36  // products a nanosecond of ConvTranspose
	ortUnblocked   = 40  // products a nanosecond of convolutions that blocks do not fit
	ortDepthwise   = .22 // of what goes into and comes out of convolutions of one channel each
	ortDepthApart  = .85 // the same, where blocks do not fit
	ortPointwise   = .15 // of results of 1×1 convolutions
	ortOperand     = .15 // of what goes into products of matrices, and comes out
	ortWindow      = .15 // of what goes into pools and reductions
	ortElementwise = .2  // of results of all other operators
	ortNode        = 2000
)

// ortFree are operators that only name values anew, or are computed with the
// convolution before them.
var ortFree = []string{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Relu", "LeakyRelu", "Clip"}

// ortNanoseconds estimates how long one thread of ONNX Runtime takes for operators.
func ortNanoseconds(nodes []*graph.Node) (float64, error) {
	sum := 0.
	for _, n := range nodes {
		if n.Domain != "" {
			return 0, fmt.Errorf("operator %s of domain %q was not measured", n.Op, n.Domain)
		}
		if slices.Contains(ortFree, n.Op) {
			continue
		}
		products := float64(n.MACs())
		in, out := count(n.In(0)), count(n.Outputs[0])
		sum += ortNode
		switch n.Op {
		case "Conv":
			w := n.Inputs[1].Shape
			if len(w) != 4 {
				return 0, fmt.Errorf("convolutions of kernels %v were not measured", w)
			}
			results, channels, groups := w[0], w[1], int(n.Int("group", 1))
			filled := func(c int) float64 { return float64((c+ortBlock-1)/ortBlock*ortBlock) / float64(c) }
			switch {
			case groups > 1 && channels == 1 && groups%ortBlock == 0:
				sum += ortDepthwise * (in + out)
			case groups > 1 && channels == 1:
				sum += ortDepthApart * (in + out)
			case groups > 1 || channels >= ortBlock && channels%4 != 0:
				sum += products / ortUnblocked
			default:
				if products *= filled(results); channels >= ortBlock {
					products *= filled(channels)
				}
				if sum += products / ortProducts; w[2]*w[3] == 1 {
					sum += ortPointwise * out
				}
			}
		case "ConvTranspose":
			sum += products / ortTransposed
		case "MatMul", "Gemm":
			sum += products/ortProducts + ortOperand*(in+count(n.In(1))+out)
		case "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean", "ReduceMax":
			sum += ortWindow * in
		default:
			sum += ortElementwise * out
		}
	}
	return sum, nil
}

// count is how many elements a value has; none are of an operand that is omitted.
func count(v *graph.Value) float64 {
	if v == nil {
		return 0
	}
	return float64(graph.Elements(v.Shape))
}
