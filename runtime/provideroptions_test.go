package runtime

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestProviderOptions(t *testing.T) {
	tests := []struct {
		provider Provider
		options  string // options separated by spaces
		entries  func(ProviderOptions) map[string]string
		want     string // entries, sorted
	}{
		{CUDA, "", func(o ProviderOptions) map[string]string { return o.CUDA.entries() }, "device_id=0 use_tf32=0"},
		{CUDA, "device_id=1 gpu_mem_limit=2147483648 use_tf32=1 arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC",
			func(o ProviderOptions) map[string]string { return o.CUDA.entries() },
			"arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC device_id=1 gpu_mem_limit=2147483648 use_tf32=1"},
		{"cuda,cpu", "cuda.device_id=1 intra_op_num_threads=3", func(o ProviderOptions) map[string]string { return o.CUDA.entries() }, "device_id=1 use_tf32=0"},
		{CUDA, "use_tf32=1 use_tf32=0", func(o ProviderOptions) map[string]string { return o.CUDA.entries() }, "device_id=0 use_tf32=0"},
		{TensorRT, "", func(o ProviderOptions) map[string]string { return o.TensorRT.entries() }, "device_id=0 trt_bf16_enable=0 trt_fp16_enable=0"},
		{TensorRT, "trt_fp16_enable=1 trt_engine_cache_enable=1 trt_engine_cache_path=/e trt_timing_cache_path=/t trt_builder_optimization_level=5 trt_max_workspace_size=9 device_id=2",
			func(o ProviderOptions) map[string]string { return o.TensorRT.entries() },
			"device_id=2 trt_bf16_enable=0 trt_builder_optimization_level=5 trt_engine_cache_enable=1 trt_engine_cache_path=/e trt_fp16_enable=1 trt_max_workspace_size=9 trt_timing_cache_enable=1 trt_timing_cache_path=/t"},
		{OpenVINO, "", func(o ProviderOptions) map[string]string {
			return o.OpenVINO.entries((&SessionOptions{Threads: 7, ProviderOptions: o}).threads(OpenVINO))
		},
			`device_type=CPU load_config={"CPU":{"INFERENCE_PRECISION_HINT":"f32"}} num_of_threads=7 num_streams=1 precision=FP32`},
		{OpenVINO, "precision=BF16 num_of_threads=3 num_streams=2 cache_dir=/c", func(o ProviderOptions) map[string]string {
			return o.OpenVINO.entries((&SessionOptions{Threads: 7, ProviderOptions: o}).threads(OpenVINO))
		},
			`cache_dir=/c device_type=CPU load_config={"CPU":{"INFERENCE_PRECISION_HINT":"bf16"}} num_of_threads=3 num_streams=2`},
		{OpenVINO, "precision=FP16 device_type=GPU.1", func(o ProviderOptions) map[string]string {
			return o.OpenVINO.entries((&SessionOptions{Threads: 7, ProviderOptions: o}).threads(OpenVINO))
		},
			`device_type=GPU.1 load_config={"GPU":{"INFERENCE_PRECISION_HINT":"f16"}} num_of_threads=7 num_streams=1 precision=FP16`},
		{CoreML, "", func(o ProviderOptions) map[string]string { return o.CoreML.entries() },
			"AllowLowPrecisionAccumulationOnGPU=0 MLComputeUnits=ALL ModelFormat=MLProgram"},
		{CoreML, "AllowLowPrecisionAccumulationOnGPU=1 ModelFormat=NeuralNetwork MLComputeUnits=CPUOnly ModelCacheDirectory=/c",
			func(o ProviderOptions) map[string]string { return o.CoreML.entries() },
			"AllowLowPrecisionAccumulationOnGPU=1 MLComputeUnits=CPUOnly ModelCacheDirectory=/c ModelFormat=NeuralNetwork"},
	}
	for _, tt := range tests {
		t.Run(string(tt.provider)+" "+tt.options, func(t *testing.T) {
			var o ProviderOptions
			if err := o.Set(tt.provider, strings.Fields(tt.options)...); err != nil {
				t.Fatal(err)
			}
			var got []string
			for k, v := range tt.entries(o) {
				got = append(got, k+"="+v)
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// docs/providers.md names every key.
func TestProviderOptionsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		line := regexp.MustCompile("(?m)^\\| `" + string(k.provider) + "` \\| .*`" + k.name + "`")
		if !line.Match(b) {
			t.Errorf("docs/providers.md: %s has no key %s", k.provider, k.name)
		}
	}
}

func TestProviderOptionsWrong(t *testing.T) {
	tests := []struct {
		provider     Provider
		option, want string
	}{
		{CUDA, "device_id", "want key=value; the keys are device_id (a number)"},
		{CUDA, "device_id=x", `got "x", want a number`},
		{CUDA, "device_id=-1", "device_id: got -1, want 0 or more"},
		{CUDA, "device_id=99999999999999999999", "want a number"},
		{CUDA, "gpu_mem_limit=-1", "gpu_mem_limit: got -1"},
		{CUDA, "use_tf32=true", `got "true", want 0 or 1`},
		{CUDA, "cudnn_conv_algo_search=BEST", "want EXHAUSTIVE or HEURISTIC or DEFAULT"},
		{CUDA, "bogus=1", `there is no key "bogus"; the keys are device_id`},
		{CUDA, "enable_cuda_graph=1", "CUDA graphs are not supported"},
		{CUDA, "trt_fp16_enable=1", "it is an option of tensorrt, not of the provider used; the keys are device_id"},
		{CUDA, "tensorrt.trt_fp16_enable=1", "tensorrt is not the provider used"},
		{"tensorrt,cuda,cpu", "device_id=1", "several of the providers have it: want cuda.device_id or tensorrt.device_id"},
		{"cuda,cpu", "cuda.bogus=1", "the keys are cpu.intra_op_num_threads"},
		{CPU, "intra_op_num_threads=-1", "intra_op_num_threads: got -1"},
		{Auto, "device_id=1", "it is an option of cuda, tensorrt, directml, not of the provider used"},
		{Go, "x=1", "provider go has no options"},
		{TensorRT, "trt_builder_optimization_level=6", "got 6, want 1 to 5"},
		{OpenVINO, "precision=FP16", "precision on CPU: got float16, want one of [float32 bfloat16]"},
		{OpenVINO, "device_type=NPU", "precision on NPU: got float32, want one of [float16]"},
		{OpenVINO, "device_type=TPU", `device_type: got "TPU"`},
		{OpenVINO, "device_type=GPU.x", `device_type: got "GPU.x"`},
		{OpenVINO, "num_streams=9", "num_streams: got 9"},
		{OpenVINO, "cache_dir=", `got "", want a folder`},
		{CoreML, "ModelFormat=NeuralNetwork", "want precision float16 with it"},
		{DirectML, "device_id=-1", "device_id: got -1"},
		{"nonsense", "", "nonsense"},
	}
	for _, tt := range tests {
		var o ProviderOptions
		if err := o.Set(tt.provider, tt.option); !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: got %v, want %q", tt.provider, tt.option, err, tt.want)
		}
	}

	for want, o := range map[string]*SessionOptions{
		"options of cuda are given, the provider is cpu":  {Provider: CPU, ProviderOptions: ProviderOptions{CUDA: &CUDAOptions{}}},
		"options of cuda are given, the provider is auto": {ProviderOptions: ProviderOptions{CUDA: &CUDAOptions{}}},
		"precision: got bfloat16":                         {Provider: CUDA, ProviderOptions: ProviderOptions{CUDA: &CUDAOptions{Precision: BFloat16}}},
		"num_threads: got -1":                             {ProviderOptions: ProviderOptions{CPU: &CPUOptions{Threads: -1}}},
	} {
		if _, err := OpenSession(affine(t), o); !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
