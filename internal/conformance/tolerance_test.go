package conformance

import (
	"fmt"
	"math"
)

// A tolerance is how far a number may be from the one wanted: abs + rel·|want|.
type tolerance struct{ abs, rel float64 }

func (t tolerance) of(want float64) float64 { return t.abs + t.rel*math.Abs(want) }

func (t tolerance) String() string { return fmt.Sprintf("%g + %g·|want|", t.abs, t.rel) }

// What the suite tolerates. ONNX's tests and models of other tools bring
// tolerances of their own.
var (
	// exact is for the same computation done again.
	exact = tolerance{}
	// batched is for an image in another batch, or outputs asked for one by one:
	// float32 sums of a few hundred terms in another order.
	batched = tolerance{abs: 1e-6, rel: 1e-6}
	// ownTol is for float32 against float64 in networks of some ten layers, whose
	// outputs are around 1; SSIM's variances, differences of two such numbers,
	// are divided by constants from 1e-3 on.
	ownTol = tolerance{abs: 5e-5}
)
