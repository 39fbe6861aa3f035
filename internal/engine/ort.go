//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// environment is ONNX Runtime's process-wide state. It is set up when the first
// session opens and stays until the process ends: the library cannot be loaded
// twice, and its providers do not survive being unloaded.
var environment struct {
	sync.Mutex
	path string // links resolved; "" until a library is loaded
}

// LoadLibrary loads ONNX Runtime from the first place where one is to be had
// that has the provider and finds what that needs; named is Options.Library.
// Once loaded it is the one library of the process.
func LoadLibrary(named string, provider *Provider) (path, version string, places []Place, err error) {
	environment.Lock()
	defer environment.Unlock()
	places = libraryPlaces(named, provider)
	if loaded := environment.path; loaded != "" {
		used := slices.IndexFunc(places, func(p Place) bool { return resolve(p.Path) == loaded })
		if used < 0 && len(places) > 0 && places[0].named() {
			return "", "", places, fmt.Errorf("%s is wanted, but the process has already loaded %s", places[0].Path, loaded)
		}
		if problem := lacks(loaded, provider); problem != "" {
			return "", "", places, fmt.Errorf("the process has already loaded %s, which %s: one library serves all, open a session on %[3]s first or set %s",
				loaded, problem, provider.Name, libraryVariable)
		}
		p := Place{Path: loaded}
		if p.require(provider); p.Problem != "" {
			return "", "", append(places, p), errors.New(p.Problem)
		}
		if used >= 0 {
			places = places[:used+1]
		}
		return loaded, ort.GetVersion(), places, nil
	}
	for i := range places {
		p := &places[i]
		if p.Problem != "" {
			continue
		}
		if p.require(provider); p.Problem != "" {
			continue
		}
		ort.SetSharedLibraryPath(p.Path)
		// Its errors are returned: a library does not print them besides.
		if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
			p.Problem = whyNotLoaded(err)
			continue
		}
		if err := ort.DisableTelemetry(); err != nil {
			return "", "", places, fmt.Errorf("%s: %w", p.Path, err)
		}
		returnMemory()
		environment.path = resolve(p.Path)
		return environment.path, ort.GetVersion(), places[:i+1], nil
	}
	return "", "", places, errNoLibrary(provider, places)
}

func whyNotLoaded(err error) string {
	if s := err.Error(); !strings.Contains(s, "ORT API base: 2") {
		return s
	}
	return "is older than " + ortOldest
}

// An ortPlan is a file on ONNX Runtime. A session of the binding has fixed outputs,
// and ONNX Runtime computes all that a model has: so there is one for each list of
// outputs, of the file pruned to them. Where a session computes runs side by side
// the plan's states share them, else each has its own.
type ortPlan struct {
	file     *onnx.File
	provider *Provider
	options  Options

	budget budget

	mu     sync.Mutex // held while the file is used, too
	shared *sessions  // nil where states do not share them
}

// sessions are those of some lists of outputs. They are guarded by their plan's mutex.
type sessions struct {
	plan *ortPlan
	list []*session // the one used last first
}

type session struct {
	outputs string // joined
	ort     *ort.DynamicAdvancedSession
	users   int  // runs in flight
	dropped bool // none of the list any more
}

func openORT(f *onnx.File, provider *Provider, o Options) (Plan, error) {
	if _, _, _, err := LoadLibrary(o.Library, provider); err != nil {
		return nil, provider.fail(err)
	}
	if err := f.Hazard(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	p := &ortPlan{file: f, provider: provider, options: o, budget: budget{limit: o.Memory}}
	if err := p.budget.start(f); err != nil {
		return nil, err
	}
	if provider.sideBySide {
		p.shared = &sessions{plan: p}
	}
	return p, nil
}

func (p *ortPlan) NewState() State {
	s := &ortState{plan: p, sessions: p.shared}
	if s.sessions == nil {
		s.sessions = &sessions{plan: p}
	}
	return s
}

func (p *ortPlan) Close() error {
	var err error
	if p.shared != nil {
		err = p.shared.close()
	}
	trimMemory()
	return err
}

// use returns the session for these outputs, until it is released.
func (s *sessions) use(outputs []string) (*session, error) {
	p := s.plan
	p.mu.Lock()
	defer p.mu.Unlock()
	key := strings.Join(outputs, "\x00")
	i := slices.IndexFunc(s.list, func(x *session) bool { return x.outputs == key })
	if i < 0 {
		made, err := p.open(outputs)
		if err != nil {
			return nil, err
		}
		s.list = append(s.list, &session{outputs: key, ort: made})
		i = len(s.list) - 1
	}
	x := s.list[i]
	s.list = slices.Insert(slices.Delete(s.list, i, i+1), 0, x)
	x.users++
	if len(s.list) > kept {
		old := s.list[kept]
		s.list = s.list[:kept]
		old.dropped = true
		if err := old.free(); err != nil {
			x.users--
			return nil, fmt.Errorf("%w: %s", ErrModel, message(err))
		}
	}
	return x, nil
}

func (s *sessions) release(x *session) error {
	s.plan.mu.Lock()
	defer s.plan.mu.Unlock()
	x.users--
	return x.free()
}

// free destroys a session that is dropped and that nobody uses.
func (x *session) free() error {
	if !x.dropped || x.users > 0 {
		return nil
	}
	return x.ort.Destroy()
}

func (s *sessions) close() error {
	s.plan.mu.Lock()
	defer s.plan.mu.Unlock()
	var errs []error
	for _, x := range s.list {
		x.dropped = true
		errs = append(errs, x.free())
	}
	s.list = nil
	return errors.Join(errs...)
}

// open makes a session of ONNX Runtime.
func (p *ortPlan) open(outputs []string) (*ort.DynamicAdvancedSession, error) {
	pruned, err := p.file.Prune(outputs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	options, err := sessionOptions(p.provider, p.options)
	if err != nil {
		return nil, p.provider.fail(fmt.Errorf("%s (ONNX Runtime %s, %s)", p.why(err), ort.GetVersion(), environment.path))
	}
	defer options.Destroy()
	var inputs []string
	for _, in := range p.file.Inputs {
		inputs = append(inputs, in.Name)
	}
	var s *ort.DynamicAdvancedSession
	holdSignals(func() { s, err = ort.NewDynamicAdvancedSessionWithONNXData(pruned, inputs, outputs, options) })
	switch {
	case err != nil && p.provider.Accelerates():
		return nil, p.provider.fail(errors.New("cannot run this model: " + p.why(err)))
	case err != nil:
		return nil, fmt.Errorf("%w: %s", ErrModel, message(err))
	}
	return s, nil
}

// An ortState runs an ortPlan.
type ortState struct {
	plan     *ortPlan
	sessions *sessions
}

func (s *ortState) Prepare(outputs []string) error {
	x, err := s.sessions.use(outputs)
	if err != nil {
		return err
	}
	return s.sessions.release(x)
}

func (s *ortState) Close() error {
	if s.sessions == s.plan.shared {
		return nil
	}
	return s.sessions.close()
}

// cpuFallback is in what ONNX Runtime says where a provider leaves operators over.
const cpuFallback = "fallback to CPU EP has been explicitly disabled"

// why says why the provider cannot be used. That of OpenVINO seems not to load
// where it does not find the device.
func (p *ortPlan) why(err error) string {
	why := message(err)
	if device := p.options.Entries["device_type"]; p.provider.Name == "openvino" && device != "CPU" && strings.Contains(why, "Failed to load shared library") {
		return "OpenVINO finds no device " + device
	}
	if !strings.Contains(why, cpuFallback) {
		return why
	}
	return "it cannot compute all of the model's operators (" + cpuFallback + ")"
}

// noise is what ONNX Runtime puts before its messages: where in its source they
// are from, and codes.
var noise = regexp.MustCompile(`(?s)^.*\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |^\S*\.(cc|h):\d+ `)

// cudaFailure is what matters of its messages about CUDA.
var cudaFailure = regexp.MustCompile(`CUDA failure \d+: [^;]+`)

// message is what an error of ONNX Runtime says, for a person.
func message(err error) string {
	if s := cudaFailure.FindString(err.Error()); s != "" {
		return escaped(strings.TrimSpace(s))
	}
	return escaped(strings.TrimSpace(noise.ReplaceAllString(err.Error(), "")))
}

// escaped spells characters of a model's names that would move a terminal's cursor
// or turn its direction.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Cf) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// sessionOptions sets threads and the provider. Every provider computes in
// float32, and none may leave nodes to another.
func sessionOptions(provider *Provider, o Options) (*ort.SessionOptions, error) {
	s, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		s.SetExecutionMode(ort.ExecutionModeSequential),
		s.SetIntraOpNumThreads(o.Threads),
		s.SetInterOpNumThreads(1),
		// Threads that wait for work spinning take the cores from decoding and from
		// other sessions.
		s.AddSessionConfigEntry("session.intra_op.allow_spinning", map[bool]string{true: "1", false: "0"}[o.Spin]),
	)
	if provider.Accelerates() {
		err = errors.Join(err, s.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1"))
	}
	if err == nil {
		err = appendProvider(s, provider.Name, o.Entries)
	}
	if err != nil {
		s.Destroy()
		return nil, err
	}
	return s, nil
}

// appendProvider adds the provider with its options as ONNX Runtime names them.
func appendProvider(s *ort.SessionOptions, provider string, entries map[string]string) error {
	switch provider {
	case "cuda":
		c, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer c.Destroy()
		if err := c.Update(entries); err != nil {
			return err
		}
		return s.AppendExecutionProviderCUDA(c)
	case "tensorrt":
		t, err := ort.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer t.Destroy()
		if err := t.Update(entries); err != nil {
			return err
		}
		return s.AppendExecutionProviderTensorRT(t)
	case "openvino":
		return s.AppendExecutionProviderOpenVINO(entries)
	case "coreml":
		return s.AppendExecutionProviderCoreMLV2(entries)
	case "directml":
		// DirectML allocates by itself.
		if err := s.SetMemPattern(false); err != nil {
			return err
		}
		device, err := strconv.Atoi(entries["device_id"])
		if err != nil {
			return err
		}
		return s.AppendExecutionProviderDirectML(device)
	}
	return nil
}

// Run wraps the tensors' own memory as ONNX Runtime's values, so nothing is
// copied but what lies on another device or is of unknown shape beforehand.
func (s *ortState) Run(ctx context.Context, in []*graph.Tensor, outputs []string, out []*graph.Tensor) (err error) {
	if err := s.plan.budget.run(s.plan.file.Inputs, in); err != nil {
		return err
	}
	x, err := s.sessions.use(outputs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.sessions.release(x)) }()
	var pin goruntime.Pinner // C holds the addresses until the values are destroyed
	defer pin.Unpin()
	ins, outs := make([]ort.Value, len(in)), make([]ort.Value, len(out))
	defer func() {
		for _, v := range slices.Concat(ins, outs) {
			if v != nil {
				v.Destroy()
			}
		}
	}()
	for i, t := range in {
		if ins[i], err = wrap(&pin, t); err != nil {
			return fmt.Errorf("%w %q: %w", ErrInput, s.plan.file.Inputs[i].Name, err)
		}
	}
	for i, t := range out {
		if t == nil {
			continue
		}
		if outs[i], err = wrap(&pin, t); err != nil {
			return fmt.Errorf("%w: output %q: %w", ErrModel, outputs[i], err)
		}
	}

	if err := runUntil(ctx, x.ort, ins, outs); err != nil {
		return fmt.Errorf("%w: %s", ErrModel, message(err))
	}
	for i, t := range out {
		at := slices.IndexFunc(s.plan.file.Inputs, func(p onnx.Port) bool { return p.Name == outputs[i] })
		switch {
		case at >= 0 && t == nil: // an input that is an output as well: ONNX Runtime does not copy it
			out[i] = in[at].Clone()
		case at >= 0:
			if err := copyTensor(t, in[at]); err != nil {
				return fmt.Errorf("%w: output %q: %w", ErrModel, outputs[i], err)
			}
		case t == nil:
			if out[i], err = unwrap(outs[i]); err != nil {
				return fmt.Errorf("%w: output %q: %w", ErrModel, outputs[i], err)
			}
		case len(t.Shape()) == 0:
			copyScalar(t, outs[i])
		}
	}
	return nil
}

// runUntil runs the session, and stops it when ctx ends. It returns when C has
// let go of the values, not before.
func runUntil(ctx context.Context, s *ort.DynamicAdvancedSession, in, out []ort.Value) error {
	if ctx.Done() == nil {
		return s.Run(in, out)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		options.Terminate()
	})
	err = s.RunWithOptions(in, out, options)
	if !stop() {
		<-told
	}
	return err
}

// wrap makes a value of a tensor's memory. Scalars, which the binding has a type
// of its own for, are copied.
func wrap(pin *goruntime.Pinner, t *graph.Tensor) (ort.Value, error) {
	switch data := t.Raw().(type) {
	case []float32:
		return wrapData(pin, t.Shape(), data)
	case []float64:
		return wrapData(pin, t.Shape(), data)
	case []uint8:
		return wrapData(pin, t.Shape(), data)
	case []int32:
		return wrapData(pin, t.Shape(), data)
	case []int64:
		return wrapData(pin, t.Shape(), data)
	case []bool:
		return wrapData(pin, t.Shape(), data)
	}
	return nil, fmt.Errorf("tensors of %v are not supported", t.DType())
}

func wrapData[T graph.Elem](pin *goruntime.Pinner, shape []int, data []T) (ort.Value, error) {
	if len(shape) == 0 {
		return value(ort.NewScalar(data[0]))
	}
	dims := make(ort.Shape, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	if len(data) > 0 {
		pin.Pin(&data[0])
	}
	return value(ort.NewTensor(dims, data))
}

// value makes an interface of what the binding returns, nil where it failed.
func value[V ort.Value](v V, err error) (ort.Value, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// unwrap takes over the memory, which is Go's, of a value that ONNX Runtime allocated.
func unwrap(v ort.Value) (*graph.Tensor, error) {
	var shape []int
	for _, d := range v.GetShape() {
		shape = append(shape, int(d))
	}
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		return graph.NewTensor(v.GetData(), shape...), nil
	case *ort.Tensor[float64]:
		return graph.NewTensor(v.GetData(), shape...), nil
	case *ort.Tensor[uint8]:
		return graph.NewTensor(v.GetData(), shape...), nil
	case *ort.Tensor[int32]:
		return graph.NewTensor(v.GetData(), shape...), nil
	case *ort.Tensor[int64]:
		return graph.NewTensor(v.GetData(), shape...), nil
	case *ort.Tensor[bool]:
		return graph.NewTensor(v.GetData(), shape...), nil
	}
	return nil, fmt.Errorf("values of type %T are not supported", v)
}

func copyScalar(t *graph.Tensor, v ort.Value) {
	switch v := v.(type) {
	case *ort.Scalar[float32]:
		graph.Data[float32](t)[0] = v.GetData()
	case *ort.Scalar[float64]:
		graph.Data[float64](t)[0] = v.GetData()
	case *ort.Scalar[uint8]:
		graph.Data[uint8](t)[0] = v.GetData()
	case *ort.Scalar[int32]:
		graph.Data[int32](t)[0] = v.GetData()
	case *ort.Scalar[int64]:
		graph.Data[int64](t)[0] = v.GetData()
	case *ort.Scalar[bool]:
		graph.Data[bool](t)[0] = v.GetData()
	}
}
