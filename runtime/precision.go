package runtime

import "fmt"

// Precision is what a provider computes the float32 parts of a model in. All
// providers compute in Float32 unless asked otherwise; one that cannot compute
// as asked says so when the session opens.
type Precision int

// Precisions.
const (
	Float32  Precision = iota // default
	TF32                      // float32 whose products have 10 bits of mantissa, on NVIDIA's tensor cores
	Float16                   // half precision: 10 bits of mantissa, up to 65504
	BFloat16                  // 7 bits of mantissa, range of float32
)

var precisionNames = [...]string{"float32", "tf32", "float16", "bfloat16"}

func (p Precision) String() string {
	if p < 0 || int(p) >= len(precisionNames) {
		return fmt.Sprintf("precision(%d)", int(p))
	}
	return precisionNames[p]
}
