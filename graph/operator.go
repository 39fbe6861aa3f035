package graph

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
)

// An operator is what the package knows of one of ONNX's: a row of its table.
// Each family's file adds its own.
type operator struct {
	operands arity
	shaping  []int                         // operands whose values the results' shapes follow from: constants
	attrs    []Attr                        // those it may have, each with any value of its type, or only one
	infer    func(n *Node) ([]Type, error) // of a node with as many operands and such attributes
	vjp      vjpFunc                       // nil: no gradient flows through it
	vjps     resultsVJP                    // in place of vjp where gradients flow through several results
	macs     func(n *Node) int64           // multiply-accumulates, as [Node.MACs] says; nil: none
	seen     func(n *Node) int64           // places that its windows see, as [Node.Cost] says; nil: none
}

// arity bounds the number of operands; those from least on may be omitted.
type arity struct{ least, most int }

var (
	unary  = arity{1, 1}
	binary = arity{2, 2}
	// anyNumber is that, but one at the least.
	anyNumber = arity{1, math.MaxInt}
)

// only is, in an [operator], the value of an attribute that can have no other
// here: what the operator does with those is not implemented.
type only struct{ value any }

// operators is filled by the init functions of the operator families, and constant from then on.
var operators = map[string]operator{}

func register(family map[string]operator) { maps.Copy(operators, family) }

// Known reports whether op, of ONNX's own domain, can be part of a graph.
func Known(op string) bool { _, ok := operators[op]; return ok }

// Operators returns, sorted, the names of all operators that are [Known].
func Operators() []string { return slices.Sorted(maps.Keys(operators)) }

// ShapeOperands returns which of an operator's operands have to be constants,
// since the shapes of its results depend on their values.
func ShapeOperands(op string) []int { return operators[op].shaping }

// checkOperands refuses a number of operands that the operator cannot have, and
// omitted ones that it needs.
func (o operator) checkOperands(operands []*Value) error {
	if got, want := len(operands), o.operands; got < want.least || got > want.most {
		switch {
		case want.least == want.most:
			return fmt.Errorf("got %d operands, want %d", got, want.least)
		case want.most == math.MaxInt:
			return fmt.Errorf("got %d operands, want %d or more", got, want.least)
		}
		return fmt.Errorf("got %d operands, want %d to %d", got, want.least, want.most)
	}
	return nil
}

// checkAttrs refuses attributes that the operator does not have, or not with
// that value: all those that would be ignored.
func (o operator) checkAttrs(attrs []Attr) error {
	for _, a := range attrs {
		i := slices.IndexFunc(o.attrs, func(known Attr) bool { return known.Name == a.Name })
		if i < 0 {
			return fmt.Errorf("attribute %q is not known", a.Name)
		}
		switch want := o.attrs[i].Value.(type) {
		case only:
			if !reflect.DeepEqual(a.Value, want.value) {
				return fmt.Errorf("attribute %q: got %#v, want %#v", a.Name, a.Value, want.value)
			}
		default:
			if reflect.TypeOf(a.Value) != reflect.TypeOf(want) {
				return fmt.Errorf("attribute %q: got %T, want %T", a.Name, a.Value, want)
			}
		}
	}
	return nil
}

// gradient returns the VJP of all results, nil where there is none.
func (o operator) gradient() resultsVJP {
	switch {
	case o.vjps != nil:
		return o.vjps
	case o.vjp != nil:
		return o.vjp.ofFirst
	}
	return nil
}
