package runtime

import (
	"os"
	"strings"
	"testing"
)

// What the environment says of TF32 overrules programs: a precision that it
// makes another is an error.
func TestPermit(t *testing.T) {
	tests := []struct {
		provider                Provider
		env, option, err, after string
	}{
		{CUDA, "", "use_tf32=0", "", ""},
		{CUDA, "", "use_tf32=1", "", ""},
		{CUDA, "0", "use_tf32=1", "NVIDIA_TF32_OVERRIDE=0 forbids", "0"},
		{CUDA, "1", "use_tf32=1", "", "1"},
		{CUDA, "1", "use_tf32=0", "NVIDIA_TF32_OVERRIDE=1 makes it tf32", "1"},
		{TensorRT, "", "use_tf32=0", "", "0"},
		{TensorRT, "", "trt_fp16_enable=1", "", ""},
		{TensorRT, "", "use_tf32=1", "", ""},
		{TensorRT, "0", "use_tf32=1", "forbids", "0"},
		{TensorRT, "1", "use_tf32=0", "makes it tf32", "1"},
		{CPU, "1", "intra_op_num_threads=1", "", "1"},
	}
	for _, tt := range tests {
		t.Setenv(tf32Variable, tt.env)
		var o ProviderOptions
		if err := o.Set(tt.provider, tt.option); err != nil {
			t.Fatal(err)
		}
		err := permit(tt.provider, o)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s %s with %q: got %v, want %q", tt.provider, tt.option, tt.env, err, tt.err)
		}
		if got := os.Getenv(tf32Variable); got != tt.after {
			t.Errorf("%s %s with %q: got %q afterwards, want %q", tt.provider, tt.option, tt.env, got, tt.after)
		}
	}
	// Without options TensorRT computes in float32 as well.
	t.Setenv(tf32Variable, "1")
	for _, p := range []Provider{CUDA, TensorRT} {
		if err := permit(p, ProviderOptions{}); err == nil {
			t.Errorf("%s: got no error", p)
		}
	}
}
