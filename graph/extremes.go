package graph

func init() {
	register(map[string]operator{
		"Max": {operands: anyNumber, infer: inferExtreme, vjp: vjpExtreme},
		"Min": {operands: anyNumber, infer: inferExtreme, vjp: vjpExtreme},
	})
}

// Max returns the largest of its operands element by element, broadcast.
func Max(xs ...*Value) *Value { return xs[0].g.Op("Max", nil, xs...) }

// Min returns the smallest of its operands element by element, broadcast.
func Min(xs ...*Value) *Value { return xs[0].g.Op("Min", nil, xs...) }

func inferExtreme(n *Node) ([]Type, error) {
	t := n.Inputs[0].Type
	for _, x := range n.Inputs[1:] {
		pair, err := inferBinary(&Node{Inputs: []*Value{{Type: t}, x}})
		if err != nil {
			return nil, err
		}
		t = pair[0]
	}
	return []Type{t}, nil
}

// vjpExtreme shares dy evenly among the operands that equal the result.
func vjpExtreme(n *Node, dy *Value, need []bool, o *GradOptions) []*Value {
	y := n.Outputs[0]
	chosen := make([]*Value, len(n.Inputs))
	var count *Value
	for i, x := range n.Inputs {
		chosen[i] = Cast(Equal(x, y), y.DType)
		if count == nil {
			count = chosen[i]
		} else {
			count = Add(count, chosen[i])
		}
	}
	share := Div(dy, count)
	dx := make([]*Value, len(n.Inputs))
	for i, x := range n.Inputs {
		if need[i] {
			dx[i] = unbroadcast(Mul(chosen[i], share), x)
		}
	}
	return dx
}
