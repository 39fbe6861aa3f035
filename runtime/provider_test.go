package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/engine"
	"github.com/anomaly-go/anomaly/internal/kernels"
	"github.com/anomaly-go/anomaly/models"
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
	m, err := readModel(affine(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		var tried, said []string
		o := SessionOptions{Provider: tt.provider, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
		err := withProvider(m, nil, o, func(p Provider) error {
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
	if err := withProvider(m, nil, o, func(p Provider) error { return fails[p] }); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(said, "; "), "not using provider cpu: runtime: provider: ONNX Runtime is missing; using provider go"; got != want {
		t.Errorf("auto said %q, want %q", got, want)
	}
}

// TestAutomatic: what Auto takes goes by the model and the options alone.
func TestAutomatic(t *testing.T) {
	tests := []struct {
		spec models.Spec
		o    SessionOptions
		want Provider
	}{
		{models.Spec{}, SessionOptions{Threads: 1}, Go},
		{models.Spec{}, SessionOptions{Threads: 1, ProviderOptions: ProviderOptions{CPU: &CPUOptions{Spin: true}}}, CPU},
		{models.Spec{}, SessionOptions{Threads: 1, Library: "libonnxruntime.so"}, CPU},
		{models.Spec{}, SessionOptions{Threads: 256}, CPU}, // where nothing was measured
		{models.Spec{Model: "unet"}, SessionOptions{Threads: 1}, Go},
		{models.Spec{Model: "ssimae"}, SessionOptions{Threads: 1}, CPU},
	}
	for _, tt := range tests {
		m, err := readModel(detectorModel(t, tt.spec, nil))
		if err != nil {
			t.Fatal(err)
		}
		outputs := []string{"anomaly_map", "pred_score"}
		if _, err := engine.Share(m, outputs, 1); errors.Is(err, kernels.ErrUnmeasured) {
			t.Skip(err)
		}
		names, why := automatic(m, outputs, tt.o)
		if names[0] != tt.want || len(names) != 2 || (why != "") != (tt.want == Go) {
			t.Errorf("%+v, %+v: got %v%s, want %s first", tt.spec, tt.o, names, why, tt.want)
		}
	}
}

// TestAuto: a detector says what it took, and why.
func TestAuto(t *testing.T) {
	needProvider(t, CPU)
	var said []string
	o := &Options{SessionOptions: SessionOptions{Threads: 1, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}}
	model := detectorModel(t, models.Spec{}, nil)
	m, err := readModel(model)
	if err != nil {
		t.Fatal(err)
	}
	want := "using provider cpu"
	if share, err := engine.Share(m, []string{"anomaly_map", "pred_score"}, 1); err == nil {
		want = fmt.Sprintf("using provider go: by its operators this model takes about %.2g of the time that it does on cpu", share)
	} else if !errors.Is(err, kernels.ErrUnmeasured) {
		t.Fatal(err)
	}
	d := openDetector(t, model, o)
	if len(said) == 0 || said[0] != want || !strings.HasPrefix(want, "using provider "+string(d.Info().Provider)) {
		t.Errorf("got provider %s, said %q, want %q first", d.Info().Provider, said, want)
	}
}
