package runtime

import (
	"os"
	"strings"
	"testing"
)

func TestMissing(t *testing.T) {
	tests := []struct{ names, want string }{
		{"libcublasLt.so.13 libcublas.so.13 libcudart.so.13 libcurand.so.10 libcufft.so.12 libnvrtc.so.13 libcudnn.so.9",
			"python3 -m pip install nvidia-cublas~=13.0 nvidia-cuda-runtime~=13.0 nvidia-curand~=10.0 nvidia-cufft~=12.0 nvidia-cuda-nvrtc~=13.0 nvidia-cudnn-cu13~=9.0"},
		{"libcurand.so.10 libcudart.so.12 libcudnn.so.9", "python3 -m pip install nvidia-curand-cu12~=10.0 nvidia-cuda-runtime-cu12~=12.0 nvidia-cudnn-cu12~=9.0"},
		{"libnvinfer.so.10 libnvonnxparser.so.10", "python3 -m pip install tensorrt-cu13-libs~=10.0"},
		{"libcuda.so.1", "install NVIDIA's driver (in a container: start it with the GPU)"},
		{"libcudart.so.13 libcuda.so.1", "python3 -m pip install nvidia-cuda-runtime~=13.0; install NVIDIA's driver (in a container: start it with the GPU)"},
		{"libz.so.1", "install the system's package with libz.so.1"},
	}
	for _, tt := range tests {
		list := missing(strings.Fields(tt.names))
		if got := howToGet(list); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.names, got, tt.want)
		}
		for i, name := range strings.Fields(tt.names) {
			if list[i].Library != name {
				t.Errorf("got %+v, want %s", list[i], name)
			}
		}
	}
}

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
