package onnx

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
)

func importConv(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	return n.slide(n.in[1].Shape[min(2, n.in[1].Rank()):], n.padSame)
}

func importConvTranspose(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 3); err != nil {
		return nil, err
	}
	return n.slide(n.in[1].Shape[min(2, n.in[1].Rank()):], n.padTransposed)
}

// importMaxPool pools integers as floats, which have all of 8 bits.
func importMaxPool(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	if x := n.in[0]; x.DType == graph.Uint8 {
		n.setOperand(0, graph.Cast(x, graph.Float32))
		vs, err := importMaxPool(n)
		if err != nil {
			return nil, err
		}
		return append([]*graph.Value{graph.Cast(vs[0], x.DType)}, vs[1:]...), nil
	}
	if n.results == 1 {
		n.takeInt("storage_order", 0) // of the places, the other result
	}
	return n.slide(fromInt64(n.peekInts("kernel_shape")), func(w window) error {
		if err := n.padSame(w); err != nil {
			return err
		}
		_, err := n.padCeil(w)
		return err
	})
}

// importAveragePool: a window that reaches beyond the padded image, as ceil_mode
// makes some, averages over what it sees of that. Where padding counts, it is
// made part of the image.
func importAveragePool(n *node) ([]*graph.Value, error) {
	if err := n.operands(1, 1); err != nil {
		return nil, err
	}
	return n.slide(fromInt64(n.peekInts("kernel_shape")), func(w window) error {
		if err := n.padSame(w); err != nil {
			return err
		}
		pads := n.peekInts("pads")
		more, err := n.padCeil(w)
		if err != nil || !more || n.takeInt("count_include_pad", 0) == 0 {
			return err
		}
		if len(pads) != 4 {
			pads = make([]int64, 4)
		}
		beyond := slices.Clone(n.takeInts("pads"))
		before, after := make([]int, 4), make([]int, 4)
		for i := range 2 {
			before[2+i], after[2+i] = int(pads[i]), int(pads[2+i])
			beyond[i], beyond[2+i] = 0, beyond[2+i]-pads[2+i]
		}
		n.setOperand(0, graph.Pad(n.in[0], "constant", before, after))
		n.set("pads", beyond)
		return nil
	})
}

// importGlobalPool reduces all places of an image to one.
func importGlobalPool(reduce func(x *graph.Value, keep bool, axes ...int) *graph.Value) importer {
	return func(n *node) ([]*graph.Value, error) {
		if err := n.operands(1, 1); err != nil {
			return nil, err
		}
		x := n.in[0]
		if x.Rank() < 3 {
			return nil, fmt.Errorf("got %v, want [N,C,…]", x.Type)
		}
		if x.Rank() == 4 && graph.Known(n.op) {
			return n.asIs()
		}
		return one(reduce(x, true, from(2, x.Rank())...))
	}
}

// importMatMul makes a matrix of a vector, a row on the left and a column on the right.
func importMatMul(n *node) ([]*graph.Value, error) {
	if err := n.operands(2, 2); err != nil {
		return nil, err
	}
	a, b := n.in[0], n.in[1]
	if a.Rank() > 1 && b.Rank() > 1 {
		return n.asIs()
	}
	row, column := a.Rank() == 1, b.Rank() == 1
	if row {
		a = reshape(a, 1, a.Dim(0))
	}
	if column {
		b = reshape(b, b.Dim(0), 1)
	}
	y := graph.MatMul(a, b)
	shape := slices.Clone(y.Shape)
	if column {
		shape = shape[:max(0, len(shape)-1)]
	}
	if row {
		at := len(y.Shape) - 2
		shape = slices.Delete(shape, at, at+1)
	}
	return one(reshape(y, shape...))
}

// A window is what slides over an image [N,C,H,W]: its sizes, that of the image,
// and how they relate.
type window struct {
	auto                              string // auto_pad
	image, kernel, strides, dilations [2]int
}

// slide appends a node that slides a window over an image, once pad has turned
// those attributes to pads that package graph does not have. A row of pixels
// [N,C,W] is an image of height 1.
func (n *node) slide(kernel []int, pad func(w window) error) ([]*graph.Value, error) {
	row := n.in[0].Rank() == 3
	if row {
		if len(kernel) != 1 {
			return nil, fmt.Errorf("got %v and a window %v", n.in[0].Type, kernel)
		}
		kernel = []int{1, kernel[0]}
		n.heighten()
	}
	x := n.in[0]
	if x.Rank() != 4 || len(kernel) != 2 {
		return nil, fmt.Errorf("got %v and a window %v, want [N,C,H,W] or [N,C,W]", x.Type, kernel)
	}
	w := window{
		auto:      n.takeText("auto_pad", "NOTSET"),
		image:     [2]int(x.Shape[2:]),
		kernel:    [2]int(kernel),
		strides:   [2]int{1, 1},
		dilations: [2]int{1, 1},
	}
	for name, to := range map[string]*[2]int{"strides": &w.strides, "dilations": &w.dilations} {
		if list := fromInt64(n.peekInts(name)); len(list) > 0 {
			if len(list) != 2 || slices.Min(list) < 1 || slices.Max(list) > maxElements {
				return nil, fmt.Errorf("%s: got %v", name, list)
			}
			*to = [2]int(list)
		}
	}
	if slices.Min(kernel) < 1 || slices.Max(kernel) > maxElements {
		return nil, fmt.Errorf("got a window of %v", kernel)
	}
	if err := pad(w); err != nil {
		return nil, err
	}
	vs, err := n.asIs()
	if err != nil || !row {
		return vs, err
	}
	rows := make([]*graph.Value, len(vs))
	for i, v := range vs {
		if rows[i] = v; v.Rank() == 4 {
			rows[i] = reshape(v, v.Shape[0], v.Shape[1], v.Shape[3])
		}
	}
	return rows, nil
}

// heighten makes an image of height 1 of a row of pixels.
func (n *node) heighten() {
	for i, v := range n.in[:min(2, len(n.in))] {
		if v.Rank() == 3 {
			n.setOperand(i, reshape(v, v.Shape[0], v.Shape[1], 1, v.Shape[2]))
		}
	}
	for name, first := range map[string]int64{"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1} {
		if list := n.takeInts(name); list != nil {
			n.set(name, slices.Insert(slices.Clone(list), 0, first))
		}
	}
	if pads := n.takeInts("pads"); len(pads) == 2 {
		n.set("pads", []int64{0, pads[0], 0, pads[1]})
	}
}

// reach is how many pixels of axis i the window spans.
func (w window) reach(i int) int { return (w.kernel[i]-1)*w.dilations[i] + 1 }

// share puts total pads of axis i at its ends.
func (w window) share(pads []int64, i, total int) {
	pads[i], pads[2+i] = int64(total/2), int64(total-total/2)
	if w.auto != "SAME_UPPER" {
		pads[i], pads[2+i] = pads[2+i], pads[i]
	}
}

// padSame turns auto_pad into the pads that leave a result for each stride.
func (n *node) padSame(w window) error {
	switch w.auto {
	case "NOTSET", "":
		return nil
	case "VALID":
		n.takeInts("pads")
		return nil
	case "SAME_UPPER", "SAME_LOWER":
	default:
		return fmt.Errorf("auto_pad: got %q", w.auto)
	}
	pads := make([]int64, 4)
	for i, d := range w.image {
		if d == graph.Dynamic {
			return fmt.Errorf("auto_pad: got %v, want an image of known size", n.in[0].Type)
		}
		results := (d + w.strides[i] - 1) / w.strides[i]
		w.share(pads, i, max(0, (results-1)*w.strides[i]+w.reach(i)-d))
	}
	n.set("pads", pads)
	return nil
}

// padTransposed turns auto_pad and output_shape into the pads that leave an
// image of that shape, with auto_pad alone of the strides for each pixel, or of
// what there is where a stride leaves gaps between the windows.
func (n *node) padTransposed(w window) error {
	shape := fromInt64(n.takeInts("output_shape"))
	if shape == nil && w.auto != "SAME_UPPER" && w.auto != "SAME_LOWER" {
		return n.padSame(w)
	}
	if len(shape) > 2 { // some give the batch and the channels too
		shape = shape[len(shape)-2:]
	}
	beyond := slices.Clone(n.takeInts("output_padding"))
	if len(beyond) != 2 {
		beyond = make([]int64, 2)
	}
	pads := make([]int64, 4)
	for i, d := range w.image {
		if d == graph.Dynamic {
			return fmt.Errorf("output_shape: got %v, want an image of known size", n.in[0].Type)
		}
		want := d * w.strides[i]
		all := w.strides[i]*(d-1) + w.reach(i) + int(beyond[i])
		if shape != nil {
			if len(shape) != 2 {
				return fmt.Errorf("output_shape: got %v, want 2 numbers", shape)
			}
			want = shape[i]
			beyond[i] += int64(max(0, want-all))
		}
		w.share(pads, i, max(0, all-want))
	}
	n.set("pads", pads)
	n.set("output_padding", beyond)
	return nil
}

// padCeil turns ceil_mode, a result for the last few pixels too, into pads
// after the image. It reports whether there are more.
func (n *node) padCeil(w window) (more bool, err error) {
	if n.takeInt("ceil_mode", 0) == 0 {
		return false, nil
	}
	pads := slices.Clone(n.takeInts("pads"))
	if len(pads) != 4 {
		pads = make([]int64, 4)
	}
	for i, d := range w.image {
		if d == graph.Dynamic {
			return false, fmt.Errorf("ceil_mode: got %v, want an image of known size", n.in[0].Type)
		}
		before := int(pads[i])
		padded := d + before + int(pads[2+i])
		rest := padded - w.reach(i)
		if rest < 0 || rest%w.strides[i] == 0 {
			continue
		}
		// The last window starts in the image or in the padding before it.
		if last := rest/w.strides[i] + 1; last*w.strides[i] < d+before {
			pads[2+i] += int64(last*w.strides[i] + w.reach(i) - padded)
			more = true
		}
	}
	n.set("pads", pads)
	return more, nil
}
