package runtime

import (
	"fmt"
	"os"

	"github.com/klauspost/cpuid/v2"
)

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

// tf32Variable is the environment variable by which NVIDIA's libraries, whatever
// a program asks for, never (0) or always (1) take TF32.
const tf32Variable = "NVIDIA_TF32_OVERRIDE"

// permit checks that the machine computes as the provider is asked to.
func permit(provider Provider, o ProviderOptions) error {
	p := o.precision(provider)
	switch provider {
	case OpenVINO:
		// OpenVINO would compute in float32 and not say so.
		if p == BFloat16 && !cpuid.CPU.Has(cpuid.AVX512BW) {
			return fmt.Errorf("precision: got %v, which needs a CPU with AVX-512", BFloat16)
		}
	case CUDA:
		return permitTF32(p)
	case TensorRT:
		if p == Float32 && os.Getenv(tf32Variable) == "" {
			if err := os.Setenv(tf32Variable, "0"); err != nil {
				return err
			}
		}
		return permitTF32(p)
	}
	return nil
}

// permitTF32 checks that the environment does not overrule a precision.
func permitTF32(p Precision) error {
	switch v := os.Getenv(tf32Variable); {
	case v == "0" && p == TF32:
		return fmt.Errorf("precision: got %v, which %s=0 forbids (a session on %s in %v sets it)", TF32, tf32Variable, TensorRT, Float32)
	case v != "" && v != "0" && p == Float32:
		return fmt.Errorf("precision: got %v, but %s=%s makes it %v", Float32, tf32Variable, v, TF32)
	}
	return nil
}
