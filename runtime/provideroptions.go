package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/anomaly-go/anomaly/internal/engine"
)

// Providers.
const (
	Auto     Provider = "auto"     // Go where the model clearly takes less time on it or ONNX Runtime cannot be loaded, else CPU; never an accelerator
	Go       Provider = "go"       // pure Go, needs nothing
	CPU      Provider = "cpu"      // ONNX Runtime's own kernels
	CUDA     Provider = "cuda"     // ONNX Runtime on NVIDIA GPUs
	TensorRT Provider = "tensorrt" // ONNX Runtime on NVIDIA GPUs, compiled by TensorRT
	OpenVINO Provider = "openvino" // ONNX Runtime on Intel CPUs through OpenVINO
	CoreML   Provider = "coreml"   // ONNX Runtime on Apple hardware
	DirectML Provider = "directml" // ONNX Runtime on Windows GPUs
)

// ProviderOptions are the options that only one provider has. Nil is that
// provider's defaults; options of a provider that [SessionOptions].Provider does not
// name are an error.
type ProviderOptions struct {
	CPU      *CPUOptions
	CUDA     *CUDAOptions
	TensorRT *TensorRTOptions
	OpenVINO *OpenVINOOptions
	CoreML   *CoreMLOptions
	DirectML *DirectMLOptions
}

// copied returns options of which none is the caller's.
func (p ProviderOptions) copied() ProviderOptions {
	p.CPU, p.CUDA, p.TensorRT = copied(p.CPU), copied(p.CUDA), copied(p.TensorRT)
	p.OpenVINO, p.CoreML, p.DirectML = copied(p.OpenVINO), copied(p.CoreML), copied(p.DirectML)
	return p
}

// threads is how many a provider computes one operator with.
func (o *SessionOptions) threads(provider Provider) int {
	own := 0
	switch {
	case provider == CPU && o.CPU != nil:
		own = o.CPU.Threads
	case provider == OpenVINO && o.OpenVINO != nil:
		own = o.OpenVINO.Threads
	}
	return cmp.Or(own, o.Threads)
}

// engine are the options as an engine takes them.
func (o *SessionOptions) engine(provider Provider) engine.Options {
	e := engine.Options{Threads: o.threads(provider), Library: o.Library, Memory: o.maxMemory()}
	if o.MaxMemory == 0 && !provider.SharesCores() {
		e.Memory = math.MaxInt64 // it has memory of its own
	}
	switch provider {
	case CPU:
		e.Spin = o.CPU != nil && o.CPU.Spin
	case CUDA:
		e.Entries = o.CUDA.entries()
	case TensorRT:
		e.Entries = o.TensorRT.entries()
	case OpenVINO:
		e.Entries = o.OpenVINO.entries(e.Threads)
	case CoreML:
		e.Entries = o.CoreML.entries()
	case DirectML:
		e.Entries = o.DirectML.entries()
	}
	return e
}

// precision is what a provider is asked to compute in.
func (o *ProviderOptions) precision(provider Provider) Precision {
	switch {
	case provider == CUDA && o.CUDA != nil:
		return o.CUDA.Precision
	case provider == TensorRT && o.TensorRT != nil:
		return o.TensorRT.Precision
	case provider == OpenVINO && o.OpenVINO != nil:
		return o.OpenVINO.Precision
	case provider == CoreML && o.CoreML != nil:
		return o.CoreML.Precision
	}
	return Float32
}

// Each field below has the key that [ProviderOptions.Set] and the command line
// know it by, which is ONNX Runtime's own.

// CPUOptions are options of provider [CPU].
type CPUOptions struct {
	Threads int  // intra_op_num_threads: 0 (default) is SessionOptions.Threads
	Spin    bool // allow_spinning: threads without work wait for it busily, which is faster where nothing else needs the cores
}

// CUDAOptions are options of provider [CUDA]. CUDA graphs (enable_cuda_graph)
// are not among them: ONNX Runtime replays a graph on the device memory that it
// was captured with, and does not copy tensors of the host there and back again.
type CUDAOptions struct {
	Device      int       // device_id: which GPU, from 0
	MemoryLimit int64     // gpu_mem_limit: bytes that the provider's arena may grow to; 0 (default) is all there is
	SameAsAsked bool      // arena_extend_strategy=kSameAsRequested: the arena grows by what is asked for, not to the next power of two
	ConvSearch  string    // cudnn_conv_algo_search: EXHAUSTIVE (default: slowest first run, fastest later ones), HEURISTIC or DEFAULT
	Precision   Precision // use_tf32: Float32 (default) or TF32
}

// TensorRTOptions are options of provider [TensorRT].
type TensorRTOptions struct {
	Device      int    // device_id: which GPU, from 0
	EngineCache string // trt_engine_cache_path: folder for compiled engines, which are of one GPU and one TensorRT; "" (default) compiles at each start
	TimingCache string // trt_timing_cache_path: folder for measured kernels, which make compiling faster; "" (default) keeps none
	Workspace   int64  // trt_max_workspace_size: bytes that an engine may use for intermediate results; 0 (default) is TensorRT's choice
	Effort      int    // trt_builder_optimization_level: 1 to 5, compiling longer for faster engines; 0 is 3
	// Precision is Float32 (default), TF32, Float16 (trt_fp16_enable) or BFloat16
	// (trt_bf16_enable); the latter two are for operators TensorRT finds faster
	// so. TensorRT takes TF32 by itself, and only the environment variable
	// NVIDIA_TF32_OVERRIDE=0 keeps it from that: for Float32 it is set, for the
	// whole process.
	Precision Precision
}

// OpenVINOOptions are options of provider [OpenVINO].
type OpenVINOOptions struct {
	Device   string // device_type: CPU (default), GPU, GPU.1, …, NPU
	CacheDir string // cache_dir: folder for compiled models, which open faster the next time; "" (default) keeps none
	Threads  int    // num_of_threads: 0 (default) is SessionOptions.Threads
	Streams  int    // num_streams: 1 to 8 runs side by side; 0 is 1
	// Precision is Float32 (default, not on an NPU), Float16 (GPU and NPU) or
	// BFloat16 (CPUs that have AVX-512). Key precision: FP32, FP16, BF16.
	Precision Precision
}

// CoreMLOptions are options of provider [CoreML].
type CoreMLOptions struct {
	ComputeUnits string // MLComputeUnits: ALL (default), CPUOnly, CPUAndGPU or CPUAndNeuralEngine
	ModelFormat  string // ModelFormat: MLProgram (default) or NeuralNetwork, which leaves the precision to Core ML: it needs Float16
	CacheDir     string // ModelCacheDirectory: folder for compiled models; "" (default) keeps none
	// Precision is Float32 (default) or Float16, which lets a GPU sum up in half
	// precision (AllowLowPrecisionAccumulationOnGPU). The neural engine computes
	// in half precision only: an MLProgram in float32 leaves it idle.
	Precision Precision
}

// DirectMLOptions are options of provider [DirectML].
type DirectMLOptions struct {
	Device int // device_id: which GPU, from 0, the one of the primary display
}

// A key is an option as ONNX Runtime names it.
type key struct {
	provider Provider
	name     string
	want     string // values it takes, for a person
	// set sets the field; it reports whether it could read the value, whose
	// range validate checks.
	set func(p *ProviderOptions, value string) bool
}

// keys lists all options there are, by provider. use_tf32 of TensorRT alone is
// no key of ONNX Runtime's.
var keys = []key{
	intKey(CPU, "intra_op_num_threads", func(p *ProviderOptions) *int { return &made(&p.CPU).Threads }),
	boolKey(CPU, "allow_spinning", func(p *ProviderOptions, on bool) { made(&p.CPU).Spin = on }),

	intKey(CUDA, "device_id", func(p *ProviderOptions) *int { return &made(&p.CUDA).Device }),
	intKey(CUDA, "gpu_mem_limit", func(p *ProviderOptions) *int64 { return &made(&p.CUDA).MemoryLimit }),
	enumKey(CUDA, "arena_extend_strategy", func(p *ProviderOptions, v string) { made(&p.CUDA).SameAsAsked = v == "kSameAsRequested" },
		"kNextPowerOfTwo", "kSameAsRequested"),
	enumKey(CUDA, "cudnn_conv_algo_search", func(p *ProviderOptions, v string) { made(&p.CUDA).ConvSearch = v }, convSearches...),
	precisionKey(CUDA, "use_tf32", TF32, func(p *ProviderOptions) *Precision { return &made(&p.CUDA).Precision }),

	intKey(TensorRT, "device_id", func(p *ProviderOptions) *int { return &made(&p.TensorRT).Device }),
	textKey(TensorRT, "trt_engine_cache_path", "a folder", func(p *ProviderOptions) *string { return &made(&p.TensorRT).EngineCache }),
	cacheKey("trt_engine_cache_enable", func(p *ProviderOptions) *string { return &made(&p.TensorRT).EngineCache }),
	textKey(TensorRT, "trt_timing_cache_path", "a folder", func(p *ProviderOptions) *string { return &made(&p.TensorRT).TimingCache }),
	cacheKey("trt_timing_cache_enable", func(p *ProviderOptions) *string { return &made(&p.TensorRT).TimingCache }),
	intKey(TensorRT, "trt_max_workspace_size", func(p *ProviderOptions) *int64 { return &made(&p.TensorRT).Workspace }),
	intKey(TensorRT, "trt_builder_optimization_level", func(p *ProviderOptions) *int { return &made(&p.TensorRT).Effort }),
	precisionKey(TensorRT, "trt_fp16_enable", Float16, func(p *ProviderOptions) *Precision { return &made(&p.TensorRT).Precision }),
	precisionKey(TensorRT, "trt_bf16_enable", BFloat16, func(p *ProviderOptions) *Precision { return &made(&p.TensorRT).Precision }),
	precisionKey(TensorRT, "use_tf32", TF32, func(p *ProviderOptions) *Precision { return &made(&p.TensorRT).Precision }),

	textKey(OpenVINO, "device_type", "CPU, GPU, GPU.1, … or NPU", func(p *ProviderOptions) *string { return &made(&p.OpenVINO).Device }),
	enumKey(OpenVINO, "precision", func(p *ProviderOptions, v string) {
		made(&p.OpenVINO).Precision = map[string]Precision{"FP32": Float32, "FP16": Float16, "BF16": BFloat16}[v]
	}, "FP32", "FP16", "BF16"),
	textKey(OpenVINO, "cache_dir", "a folder", func(p *ProviderOptions) *string { return &made(&p.OpenVINO).CacheDir }),
	intKey(OpenVINO, "num_of_threads", func(p *ProviderOptions) *int { return &made(&p.OpenVINO).Threads }),
	intKey(OpenVINO, "num_streams", func(p *ProviderOptions) *int { return &made(&p.OpenVINO).Streams }),

	enumKey(CoreML, "MLComputeUnits", func(p *ProviderOptions, v string) { made(&p.CoreML).ComputeUnits = v }, computeUnits...),
	enumKey(CoreML, "ModelFormat", func(p *ProviderOptions, v string) { made(&p.CoreML).ModelFormat = v }, modelFormats...),
	textKey(CoreML, "ModelCacheDirectory", "a folder", func(p *ProviderOptions) *string { return &made(&p.CoreML).CacheDir }),
	precisionKey(CoreML, "AllowLowPrecisionAccumulationOnGPU", Float16, func(p *ProviderOptions) *Precision { return &made(&p.CoreML).Precision }),

	intKey(DirectML, "device_id", func(p *ProviderOptions) *int { return &made(&p.DirectML).Device }),
}

const (
	maxStreams = 8 // of the provider OpenVINO
	maxEffort  = 5 // of TensorRT
)

var (
	convSearches = []string{"EXHAUSTIVE", "HEURISTIC", "DEFAULT"}
	computeUnits = []string{"ALL", "CPUOnly", "CPUAndGPU", "CPUAndNeuralEngine"}
	modelFormats = []string{"MLProgram", "NeuralNetwork"}
)

// made returns *p, made where it is nil.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func intKey[T int | int64](provider Provider, name string, at func(*ProviderOptions) *T) key {
	return key{provider, name, "a number", func(p *ProviderOptions, value string) bool {
		n, err := strconv.ParseInt(value, 10, int(8*unsafe.Sizeof(T(0))))
		*at(p) = T(n)
		return err == nil
	}}
}

func boolKey(provider Provider, name string, set func(*ProviderOptions, bool)) key {
	return enumKey(provider, name, func(p *ProviderOptions, v string) { set(p, v == "1") }, "0", "1")
}

// precisionKey is a key that turns a precision on, or off where it is on.
func precisionKey(provider Provider, name string, precision Precision, at func(*ProviderOptions) *Precision) key {
	return boolKey(provider, name, func(p *ProviderOptions, on bool) {
		switch now := at(p); {
		case on:
			*now = precision
		case *now == precision:
			*now = Float32
		}
	})
}

// cacheKey turns a cache of TensorRT on. Unless a path is given too it lies in
// the user's cache folder, or in the working folder where there is none.
func cacheKey(name string, at func(*ProviderOptions) *string) key {
	return boolKey(TensorRT, name, func(p *ProviderOptions, on bool) {
		switch dir := at(p); {
		case !on:
			*dir = ""
		case *dir == "":
			cache, _ := os.UserCacheDir()
			*dir = filepath.Join(cache, "anomaly", "tensorrt")
		}
	})
}

func enumKey(provider Provider, name string, set func(*ProviderOptions, string), values ...string) key {
	return key{provider, name, strings.Join(values, " or "), func(p *ProviderOptions, value string) bool {
		set(p, value)
		return slices.Contains(values, value)
	}}
}

func textKey(provider Provider, name, want string, at func(*ProviderOptions) *string) key {
	return key{provider, name, want, func(p *ProviderOptions, value string) bool {
		*at(p) = value
		return value != ""
	}}
}

// Set sets options given as "key=value" or, where several providers have the
// key, "provider.key=value"; provider is what [SessionOptions].Provider is: a provider
// or a list of them. The keys are ONNX Runtime's, the values are checked.
//
//	err := o.ProviderOptions.Set("cuda,cpu", "cuda.device_id=1", "gpu_mem_limit=2147483648")
func (p *ProviderOptions) Set(provider Provider, options ...string) error {
	names, err := provider.list()
	if err != nil {
		return err
	}
	if names[0] == Auto {
		names = []Provider{CPU}
	}
	for _, option := range options {
		if err := p.set(names, option); err != nil {
			return fmt.Errorf("%w %s: option %q: %w", ErrProvider, provider, option, err)
		}
	}
	return p.validate(names)
}

func (p *ProviderOptions) set(providers []Provider, option string) error {
	name, value, ok := strings.Cut(option, "=")
	if !ok {
		return fmt.Errorf("want key=value%s", knownKeys(providers))
	}
	of := providers
	if prefix, rest, ok := strings.Cut(name, "."); ok && slices.Contains(Providers(), Provider(prefix)) {
		provider := Provider(prefix)
		if !slices.Contains(providers, provider) {
			return fmt.Errorf("%s is not the provider used%s", provider, knownKeys(providers))
		}
		of, name = []Provider{provider}, rest
	}
	var found []key
	for _, k := range keys {
		if k.name == name && slices.Contains(of, k.provider) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		if name == "enable_cuda_graph" || name == "trt_cuda_graph_enable" {
			return errors.New("CUDA graphs are not supported: ONNX Runtime replays them on the GPU's memory alone, without the images given and the results wanted")
		}
		var others []Provider
		for _, k := range keys {
			if k.name == name {
				others = append(others, k.provider)
			}
		}
		if others != nil {
			return fmt.Errorf("it is an option of %s, not of the provider used%s", joined(others, ", "), knownKeys(providers))
		}
		return fmt.Errorf("there is no key %q%s", name, knownKeys(providers))
	case 1:
	default:
		return fmt.Errorf("several of the providers have it: want %s.%s or %s.%s", found[0].provider, name, found[1].provider, name)
	}
	if !found[0].set(p, value) {
		return fmt.Errorf("got %q, want %s", value, found[0].want)
	}
	return nil
}

// knownKeys lists the keys of providers.
func knownKeys(providers []Provider) string {
	var list []string
	for _, k := range keys {
		if slices.Contains(providers, k.provider) {
			name := k.name
			if len(providers) > 1 {
				name = string(k.provider) + "." + name
			}
			list = append(list, name+" ("+k.want+")")
		}
	}
	if len(list) == 0 {
		return fmt.Sprintf("; provider %s has no options", joined(providers, ","))
	}
	return "; the keys are " + strings.Join(list, ", ")
}

// validate checks the values, and that providers, of which one is used, have them.
func (p *ProviderOptions) validate(providers []Provider) error {
	used := joined(providers, ",")
	if providers[0] == Auto {
		providers = []Provider{CPU}
	}
	v := reflect.ValueOf(*p)
	for i := range v.NumField() {
		if name := strings.ToLower(v.Type().Field(i).Name); !v.Field(i).IsNil() && !slices.Contains(providers, Provider(name)) {
			return fmt.Errorf("%w: options of %s are given, the provider is %s", ErrProvider, name, used)
		}
	}
	for _, err := range []error{p.CPU.validate(), p.CUDA.validate(), p.TensorRT.validate(), p.OpenVINO.validate(), p.CoreML.validate(), p.DirectML.validate()} {
		if err != nil {
			return fmt.Errorf("%w: options of %w", ErrProvider, err)
		}
	}
	return nil
}

func (o *CPUOptions) validate() error {
	if o != nil && o.Threads < 0 {
		return fmt.Errorf("cpu: intra_op_num_threads: got %d, want 0 or more", o.Threads)
	}
	return nil
}

func (o *CUDAOptions) validate() error {
	switch {
	case o == nil:
	case o.Device < 0:
		return fmt.Errorf("cuda: device_id: got %d, want 0 or more", o.Device)
	case o.MemoryLimit < 0:
		return fmt.Errorf("cuda: gpu_mem_limit: got %d, want 0 or more bytes", o.MemoryLimit)
	case o.ConvSearch != "" && !slices.Contains(convSearches, o.ConvSearch):
		return fmt.Errorf("cuda: cudnn_conv_algo_search: got %q, want one of %q", o.ConvSearch, convSearches)
	case o.Precision != Float32 && o.Precision != TF32:
		return fmt.Errorf("cuda: precision: got %v, want %v or %v", o.Precision, Float32, TF32)
	}
	return nil
}

func (o *TensorRTOptions) validate() error {
	switch {
	case o == nil:
	case o.Device < 0:
		return fmt.Errorf("tensorrt: device_id: got %d, want 0 or more", o.Device)
	case o.Workspace < 0:
		return fmt.Errorf("tensorrt: trt_max_workspace_size: got %d, want 0 or more bytes", o.Workspace)
	case o.Effort < 0 || o.Effort > maxEffort:
		return fmt.Errorf("tensorrt: trt_builder_optimization_level: got %d, want 1 to %d, or 0 for the default", o.Effort, maxEffort)
	case o.Precision < Float32 || o.Precision > BFloat16:
		return fmt.Errorf("tensorrt: precision: got %v, want one of %q", o.Precision, precisionNames)
	}
	return nil
}

func (o *OpenVINOOptions) validate() error {
	if o == nil {
		return nil
	}
	device, number, numbered := strings.Cut(o.device(), ".")
	if _, err := strconv.ParseUint(number, 10, 31); numbered && err != nil || !slices.Contains([]string{"CPU", "GPU", "NPU"}, device) {
		return fmt.Errorf("openvino: device_type: got %q, want CPU, GPU, GPU.1, … or NPU", o.Device)
	}
	can := map[string][]Precision{"CPU": {Float32, BFloat16}, "GPU": {Float32, Float16}, "NPU": {Float16}}[device]
	switch {
	case o.Threads < 0:
		return fmt.Errorf("openvino: num_of_threads: got %d, want 0 or more", o.Threads)
	case o.Streams < 0 || o.Streams > maxStreams:
		return fmt.Errorf("openvino: num_streams: got %d, want 1 to %d, or 0 for 1", o.Streams, maxStreams)
	case !slices.Contains(can, o.Precision):
		return fmt.Errorf("openvino: precision on %s: got %v, want one of %v", o.device(), o.Precision, can)
	}
	return nil
}

// device returns the device, by default the CPU.
func (o *OpenVINOOptions) device() string {
	if o == nil || o.Device == "" {
		return "CPU"
	}
	return o.Device
}

func (o *CoreMLOptions) validate() error {
	switch {
	case o == nil:
	case o.ComputeUnits != "" && !slices.Contains(computeUnits, o.ComputeUnits):
		return fmt.Errorf("coreml: MLComputeUnits: got %q, want one of %q", o.ComputeUnits, computeUnits)
	case o.ModelFormat != "" && !slices.Contains(modelFormats, o.ModelFormat):
		return fmt.Errorf("coreml: ModelFormat: got %q, want one of %q", o.ModelFormat, modelFormats)
	case o.Precision != Float32 && o.Precision != Float16:
		return fmt.Errorf("coreml: precision: got %v, want %v or %v", o.Precision, Float32, Float16)
	case o.ModelFormat == "NeuralNetwork" && o.Precision != Float16:
		return fmt.Errorf("coreml: ModelFormat NeuralNetwork computes in what precision Core ML likes: want precision %v with it, or MLProgram", Float16)
	}
	return nil
}

func (o *DirectMLOptions) validate() error {
	if o != nil && o.Device < 0 {
		return fmt.Errorf("directml: device_id: got %d, want 0 or more", o.Device)
	}
	return nil
}

// What follows gives options as the entries that ONNX Runtime takes. A precision
// is always among them: providers choose by themselves where none is named.

func (o *CUDAOptions) entries() map[string]string {
	if o == nil {
		o = &CUDAOptions{}
	}
	e := map[string]string{"device_id": strconv.Itoa(o.Device), "use_tf32": flag(o.Precision == TF32)}
	if o.MemoryLimit > 0 {
		e["gpu_mem_limit"] = strconv.FormatInt(o.MemoryLimit, 10)
	}
	if o.SameAsAsked {
		e["arena_extend_strategy"] = "kSameAsRequested"
	}
	if o.ConvSearch != "" {
		e["cudnn_conv_algo_search"] = o.ConvSearch
	}
	return e
}

func (o *TensorRTOptions) entries() map[string]string {
	if o == nil {
		o = &TensorRTOptions{}
	}
	e := map[string]string{
		"device_id":       strconv.Itoa(o.Device),
		"trt_fp16_enable": flag(o.Precision == Float16),
		"trt_bf16_enable": flag(o.Precision == BFloat16),
	}
	if o.EngineCache != "" {
		e["trt_engine_cache_enable"], e["trt_engine_cache_path"] = "1", o.EngineCache
	}
	if o.TimingCache != "" {
		e["trt_timing_cache_enable"], e["trt_timing_cache_path"] = "1", o.TimingCache
	}
	if o.Workspace > 0 {
		e["trt_max_workspace_size"] = strconv.FormatInt(o.Workspace, 10)
	}
	if o.Effort > 0 {
		e["trt_builder_optimization_level"] = strconv.Itoa(o.Effort)
	}
	return e
}

// entries takes the number of threads. On a CPU the provider's own key knows no
// BF16: OpenVINO's does.
func (o *OpenVINOOptions) entries(threads int) map[string]string {
	if o == nil {
		o = &OpenVINOOptions{}
	}
	device, _, _ := strings.Cut(o.device(), ".")
	hint := map[Precision]string{Float32: "f32", Float16: "f16", BFloat16: "bf16"}[o.Precision]
	e := map[string]string{
		"device_type":    o.device(),
		"load_config":    fmt.Sprintf(`{%q:{"INFERENCE_PRECISION_HINT":%q}}`, device, hint),
		"num_of_threads": strconv.Itoa(threads),
		"num_streams":    strconv.Itoa(cmp.Or(o.Streams, 1)),
	}
	if name, ok := map[Precision]string{Float32: "FP32", Float16: "FP16"}[o.Precision]; ok {
		e["precision"] = name
	}
	if o.CacheDir != "" {
		e["cache_dir"] = o.CacheDir
	}
	return e
}

func (o *CoreMLOptions) entries() map[string]string {
	if o == nil {
		o = &CoreMLOptions{}
	}
	e := map[string]string{
		"MLComputeUnits":                     cmp.Or(o.ComputeUnits, computeUnits[0]),
		"ModelFormat":                        cmp.Or(o.ModelFormat, modelFormats[0]),
		"AllowLowPrecisionAccumulationOnGPU": flag(o.Precision == Float16),
	}
	if o.CacheDir != "" {
		e["ModelCacheDirectory"] = o.CacheDir
	}
	return e
}

func (o *DirectMLOptions) entries() map[string]string {
	if o == nil {
		o = &DirectMLOptions{}
	}
	return map[string]string{"device_id": strconv.Itoa(o.Device)}
}

// flag is how ONNX Runtime reads a bool.
func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
