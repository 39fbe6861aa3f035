//go:build cgo

package engine

import (
	"errors"
	"testing"
)

// Errors as ONNX Runtime 1.31.1 and 1.24.1 return them.
func TestMessage(t *testing.T) {
	tests := []struct{ err, want string }{
		{"/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2043 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory",
			"Failed to load library x.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory"},
		{`provider_options_utils.h:187 Parse Failed to parse provider option "device_id": CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm ; file=a.cc ; line=70 ; expr=cudaGetDeviceCount(&num_devices);`,
			"CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"},
		{"node \x1b[31m\u202ered", `node \x1b[31m\u202ered`},
		{"CUDA execution provider is not enabled in this build. ", "CUDA execution provider is not enabled in this build."},
	}
	for _, tt := range tests {
		if got := message(errors.New(tt.err)); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}
