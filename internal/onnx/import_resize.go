package onnx

import (
	"fmt"

	"github.com/anomaly-go/anomaly/graph"
)

// importResize: opset 10 had no region and no choice of coordinates. An empty
// list stands for one that is not given.
func importResize(n *node) ([]*graph.Value, error) {
	if n.opset < 11 {
		return importUpsample(n)
	}
	if err := n.operands(1, 4); err != nil {
		return nil, err
	}
	if n.operand(1) != nil { // matters to mode tf_crop_and_resize alone, which graph does not have
		n.setOperand(1, nil)
	}
	for i := 2; i < len(n.in); i++ {
		if v := n.in[i]; v != nil && v.Rank() == 1 && v.Dim(0) == 0 {
			n.setOperand(i, nil)
		}
	}
	return n.asIs()
}

// importUpsample imports Upsample, and Resize as it was in opset 10.
func importUpsample(n *node) ([]*graph.Value, error) {
	mode := n.takeText("mode", "nearest")
	scales := n.operand(1)
	if list := take[[]float32](n, "scales", nil); list != nil {
		scales = n.graph.Const("", graph.NewTensor(list, len(list)))
	}
	if len(n.in) == 0 || n.in[0] == nil || scales == nil {
		return nil, fmt.Errorf("want an image and scales")
	}
	attrs := []graph.Attr{
		{Name: "coordinate_transformation_mode", Value: "asymmetric"},
		{Name: "mode", Value: mode},
		{Name: "nearest_mode", Value: "floor"},
	}
	return one(n.graph.Op("Resize", attrs, n.in[0], nil, scales))
}
