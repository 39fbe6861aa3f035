package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseProviders(t *testing.T) {
	tests := []struct {
		in   Provider
		want []Provider // nil: an error
	}{
		{"", []Provider{Auto}},
		{"auto", []Provider{Auto}},
		{"go", []Provider{Go}},
		{"cuda,cpu", []Provider{CUDA, CPU}},
		{" cuda , cpu ", []Provider{CUDA, CPU}},
		{"gpu", nil},
		{"cuda,", nil},
		{"auto,cpu", nil},
		{"CPU", nil},
	}
	for _, tt := range tests {
		got, err := tt.in.list()
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) || err != nil && !errors.Is(err, ErrProvider) {
			t.Errorf("%q: got %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestWithProvider(t *testing.T) {
	broken := errors.New("broken model")
	fails := map[Provider]error{CUDA: fmt.Errorf("%w cuda: no GPU", ErrProvider), CPU: nil, TensorRT: broken, OpenVINO: fmt.Errorf("%w openvino: absent", ErrProvider)}
	tests := []struct {
		provider Provider
		tried    string
		want     error
		said     string
	}{
		{"cpu", "cpu", nil, ""},
		{"cuda", "cuda", ErrProvider, ""},
		{"cuda,cpu", "cuda cpu", nil, "not using provider cuda: no GPU; using provider cpu"},
		{"cpu,cuda", "cpu", nil, "using provider cpu"},
		{"tensorrt,cpu", "tensorrt", broken, ""},
		{"cuda,openvino", "cuda openvino", ErrProvider, "not using provider cuda: no GPU; not using provider openvino: absent"},
		{"auto", "cpu", nil, "using provider cpu"},
	}
	for _, tt := range tests {
		var tried, said []string
		o := SessionOptions{Provider: tt.provider, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
		err := withProvider(o, func(p Provider) error {
			tried = append(tried, string(p))
			return fails[p]
		})
		if !errors.Is(err, tt.want) || strings.Join(tried, " ") != tt.tried || strings.Join(said, "; ") != tt.said {
			t.Errorf("%s: got %v, tried %q, said %q; want %v, %q, %q", tt.provider, err, tried, said, tt.want, tt.tried, tt.said)
		}
	}
	fails[CPU] = fmt.Errorf("%w: ONNX Runtime is missing", ErrProvider)
	var said []string
	o := SessionOptions{Provider: Auto, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	if err := withProvider(o, func(p Provider) error { return fails[p] }); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(said, "; "), "not using provider cpu: runtime: provider: ONNX Runtime is missing; using provider go"; got != want {
		t.Errorf("auto said %q, want %q", got, want)
	}
}
