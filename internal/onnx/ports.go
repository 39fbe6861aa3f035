package onnx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
)

// A Port is an input or output.
type Port struct {
	Name string
	graph.Type
	symbols []string // names of the dimensions that are open, "" for others: dimensions of one name have one size
	// traced is an output whose first dimension may be other than declared: some
	// exporters declare the batch that they traced the network with, though it
	// takes any.
	traced bool
}

func (p Port) String() string { return fmt.Sprintf("%q %v", p.Name, p.Type) }

func readPorts(what string, values []*onnxpb.ValueInfoProto) ([]Port, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("has no %s", what)
	}
	var ports []Port
	for _, v := range values {
		t := v.GetType().GetTensorType()
		if t == nil {
			return nil, fmt.Errorf("%s %q is no tensor", what, v.GetName())
		}
		p := Port{Name: v.GetName(), Type: graph.Type{DType: graph.DType(t.GetElemType())}}
		if t.GetShape() != nil {
			p.Shape = []int{}
		}
		for _, d := range t.GetShape().GetDim() {
			size := graph.Dynamic
			if _, known := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue); known && d.GetDimValue() >= 0 {
				size = int(d.GetDimValue())
			}
			p.Shape = append(p.Shape, size)
			p.symbols = append(p.symbols, d.GetDimParam())
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// Find returns the port of that name, nil where there is none.
func Find(ports []Port, name string) *Port {
	i := slices.IndexFunc(ports, func(p Port) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &ports[i]
}

// Describe lists ports for a person.
func Describe(ports []Port) string {
	var list []string
	for _, p := range ports {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

// Bind checks a tensor against its declaration and notes in sizes how large the
// named dimensions are.
func (p *Port) Bind(t *graph.Tensor, sizes map[string]int) error {
	got := graph.Type{DType: t.DType(), Shape: t.Shape()}
	fits := got.DType == p.DType && (p.Shape == nil || len(got.Shape) == len(p.Shape))
	for i := 0; fits && i < len(p.Shape); i++ {
		d := got.Shape[i]
		want := p.Shape[i]
		if name := p.symbols[i]; want == graph.Dynamic && name != "" {
			if size, bound := sizes[name]; bound {
				want = size
			}
			sizes[name] = d
		}
		fits = want == graph.Dynamic || d == want || i == 0 && p.traced
	}
	if !fits {
		return fmt.Errorf("%q: got %v, want %v", p.Name, got, p.Type)
	}
	return nil
}

// Resolve returns the shape of a port once the named dimensions are known, nil
// where some dimension is not.
func (p *Port) Resolve(sizes map[string]int) []int {
	if p.traced {
		return nil
	}
	shape := slices.Clone(p.Shape)
	for i, d := range shape {
		if d != graph.Dynamic {
			continue
		}
		size, bound := sizes[p.symbols[i]]
		if !bound {
			return nil
		}
		shape[i] = size
	}
	return shape
}
