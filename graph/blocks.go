package graph

import "fmt"

func init() {
	size := Attr{"blocksize", int64(0)}
	register(map[string]operator{
		"DepthToSpace": {operands: unary, attrs: []Attr{size, {"mode", ""}}, infer: inferDepthToSpace, vjp: ofOne(func(n *Node, dy *Value) *Value {
			return SpaceToDepth(dy, int(n.Int("blocksize", 0)), BlockOrder(n.Text("mode", string(DCR))))
		})},
		"SpaceToDepth": {operands: unary, attrs: []Attr{size}, infer: inferSpaceToDepth, vjp: ofOne(func(n *Node, dy *Value) *Value {
			return DepthToSpace(dy, int(n.Int("blocksize", 0)), DCR)
		})},
	})
}

// A BlockOrder says where the pixels of a block lie among the channels.
type BlockOrder string

const (
	// DCR has the place in the block before the channel: channel (row·b + column)·C + c.
	DCR BlockOrder = "DCR"
	// CRD has the channel first: c·b² + row·b + column, as PyTorch's pixel_shuffle.
	CRD BlockOrder = "CRD"
)

// DepthToSpace makes blocks of b x b pixels of the channels of x:
// [N,C·b²,H,W] to [N,C,H·b,W·b].
func DepthToSpace(x *Value, b int, order BlockOrder) *Value {
	return x.g.Op("DepthToSpace", []Attr{{"blocksize", int64(b)}, {"mode", string(order)}}, x)
}

// SpaceToDepth is the inverse of [DepthToSpace]: [N,C,H·b,W·b] to [N,C·b²,H,W].
// ONNX's operator knows the order DCR alone; CRD reshapes and transposes.
func SpaceToDepth(x *Value, b int, order BlockOrder) *Value {
	y := x.g.Op("SpaceToDepth", []Attr{{"blocksize", int64(b)}}, x)
	if order == DCR || y.kind == invalid {
		return y
	}
	if order != CRD {
		return x.g.fail("SpaceToDepth: order %q", order)
	}
	c, h, w := x.Shape[1], y.Shape[2], y.Shape[3]
	blocks := Transpose(Reshape(x, 0, c, h, b, w, b), 0, 1, 3, 5, 2, 4)
	return Reshape(blocks, 0, c*b*b, h, w)
}

// maxBlock keeps the squares of hostile block sizes small.
const maxBlock = 1 << 15

// blockSize returns the size of a node's blocks for an image [N,C,H,W].
func blockSize(n *Node) (int, error) {
	b := n.Int("blocksize", 0)
	if x := n.Inputs[0]; x.Rank() != 4 || b < 1 || b > maxBlock {
		return 0, fmt.Errorf("got %v in blocks of %d, want [N,C,H,W] and at least 1", x.Type, b)
	}
	return int(b), nil
}

// times multiplies a dimension, if it is known.
func times(d, b int) int {
	if d == Dynamic {
		return Dynamic
	}
	return d * b
}

func inferDepthToSpace(n *Node) ([]Type, error) {
	b, err := blockSize(n)
	if err != nil {
		return nil, err
	}
	if m := BlockOrder(n.Text("mode", string(DCR))); m != DCR && m != CRD {
		return nil, fmt.Errorf("mode %q", m)
	}
	x := n.Inputs[0]
	if x.Shape[1] == Dynamic || x.Shape[1]%(b*b) != 0 {
		return nil, fmt.Errorf("got %d channels, want a multiple of %d", x.Shape[1], b*b)
	}
	return []Type{{x.DType, []int{x.Shape[0], x.Shape[1] / (b * b), times(x.Shape[2], b), times(x.Shape[3], b)}}}, nil
}

func inferSpaceToDepth(n *Node) ([]Type, error) {
	b, err := blockSize(n)
	if err != nil {
		return nil, err
	}
	x := n.Inputs[0]
	shape := []int{x.Shape[0], times(x.Shape[1], b*b), Dynamic, Dynamic}
	for i := 2; i < 4; i++ {
		if d := x.Shape[i]; d != Dynamic {
			if d%b != 0 {
				return nil, fmt.Errorf("got %v, want an image of whole blocks of %d", x.Type, b)
			}
			shape[i] = d / b
		}
	}
	return []Type{{x.DType, shape}}, nil
}
