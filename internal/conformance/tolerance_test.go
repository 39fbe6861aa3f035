package conformance

import "fmt"

// A tolerance is how far numbers may be apart: |got-want| <= abs + rel·|want|.
type tolerance struct{ abs, rel float64 }

func (t tolerance) String() string { return fmt.Sprintf("%g + %g·|want|", t.abs, t.rel) }

var (
	// exact is for the same computation done again.
	exact = tolerance{}
)
