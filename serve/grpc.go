package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"github.com/anomaly-go/anomaly/internal/oippb"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// serviceName is the service's on the wire.
const serviceName = "inference.GRPCInferenceService"

// rpc is the protocol over gRPC.
type rpc struct {
	oippb.UnimplementedGRPCInferenceServiceServer
	*Server
}

// newGRPC returns the gRPC side. Who asks is told, and a place taken, when a
// request's head has come, before its message is read.
func (s *Server) newGRPC() *grpc.Server {
	options := []grpc.ServerOption{
		grpc.InTapHandle(s.tap),
		grpc.UnaryInterceptor(s.intercept),
		grpc.MaxRecvMsgSize(int(s.options.MaxBody)),
		grpc.MaxConcurrentStreams(uint32(s.options.Concurrent + s.options.Queue)),
		grpc.MaxHeaderListSize(32 << 10),
		grpc.ConnectionTimeout(s.options.HeadTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if config := s.secrets.tlsConfig(); config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	g := grpc.NewServer(options...)
	service := oippb.GRPCInferenceService_ServiceDesc
	service.ServiceName = serviceName
	g.RegisterService(&service, &rpc{Server: s})
	return g
}

// methodScopes say what methods need; others are open.
var methodScopes = map[string]Scope{
	"ModelReady": ScopeInfer, "ServerMetadata": ScopeInfer, "ModelMetadata": ScopeInfer, "ModelInfer": ScopeInfer, "RepositoryIndex": ScopeInfer,
	"RepositoryModelLoad": ScopeAdmin, "RepositoryModelUnload": ScopeAdmin,
}

// tap looks at a request's head.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	first := func(key string) string {
		if values := info.Header.Get(key); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	in := &request{id: newRequestID(first("x-request-id"))}
	ctx = context.WithValue(ctx, requestKey{}, in)
	method := path.Base(info.FullMethodName)
	refuse := func(err error) (context.Context, error) {
		_, code := answerTo(err)
		s.metrics.requests.WithLabelValues("grpc "+knownMethod(method), code.String()).Inc()
		s.log.Info("request", "id", in.id, "client", in.who.String(), "method", "grpc", "path", fmt.Sprintf("%.256s", info.FullMethodName), "status", code.String(), "error", err.Error())
		return nil, status.Error(code, err.Error())
	}
	if scope := methodScopes[method]; scope != "" {
		var connection *tls.ConnectionState
		address := ""
		if p, ok := peer.FromContext(ctx); ok {
			address = p.Addr.String()
			if t, ok := p.AuthInfo.(credentials.TLSInfo); ok {
				connection = &t.State
			}
		}
		var err error
		if in.who, err = s.identify(first("authorization"), connection, address, scope); err != nil {
			return refuse(err)
		}
		if err := s.limits.allow(in.who.client()); err != nil {
			return refuse(err)
		}
	}
	if method == "ModelInfer" {
		leave, err := s.admission.enter()
		if err != nil {
			return refuse(err)
		}
		context.AfterFunc(ctx, leave) // when the stream ends
	}
	return ctx, nil
}

// knownMethod is a method's name, for a label.
func knownMethod(method string) string {
	for _, m := range oippb.GRPCInferenceService_ServiceDesc.Methods {
		if m.MethodName == method {
			return method
		}
	}
	return "other"
}

// intercept counts, logs and traces a call, and answers errors and panics.
func (s *Server) intercept(ctx context.Context, q any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (a any, err error) {
	began := time.Now()
	in := requestOf(ctx)
	name := "grpc " + path.Base(info.FullMethod)
	heads, _ := metadata.FromIncomingContext(ctx)
	ctx = w3c.Extract(ctx, carrier(heads))
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	out := metadata.Pairs("x-request-id", in.id)
	w3c.Inject(ctx, carrier(out))
	grpc.SetHeader(ctx, out)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler failed", "id", in.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			a, err = nil, errPanic
		}
		code := codes.OK
		level := slog.LevelDebug
		if info.FullMethod == oippb.GRPCInferenceService_ModelInfer_FullMethodName {
			level = slog.LevelInfo
		}
		seconds := time.Since(began).Seconds()
		args := []any{"id", in.id, "client", in.who.String(), "method", "grpc", "path", path.Base(info.FullMethod), "seconds", seconds}
		if err != nil {
			level = slog.LevelInfo
			_, code = answerTo(err)
			args = append(args, "error", err.Error())
			span.SetStatus(otelcodes.Error, err.Error())
			text := err.Error()
			if code == codes.Internal {
				text, level = errPanic.Error(), slog.LevelError
			}
			err = status.Error(code, text)
		}
		span.SetAttributes(attribute.String("rpc.grpc.status_code", code.String()), attribute.String("anomaly.request", in.id))
		s.metrics.requests.WithLabelValues(name, code.String()).Inc()
		s.metrics.latency.WithLabelValues(name).Observe(seconds)
		s.log.Log(ctx, level, "request", append(args, "status", code.String())...)
	}()
	return handle(ctx, q)
}

// carrier carries a trace in gRPC's metadata.
type carrier metadata.MD

var _ propagation.TextMapCarrier = carrier{}

func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }
func (c carrier) Keys() []string {
	var keys []string
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}

func (r *rpc) ServerLive(context.Context, *oippb.ServerLiveRequest) (*oippb.ServerLiveResponse, error) {
	return &oippb.ServerLiveResponse{Live: true}, nil
}

func (r *rpc) ServerReady(context.Context, *oippb.ServerReadyRequest) (*oippb.ServerReadyResponse, error) {
	return &oippb.ServerReadyResponse{Ready: r.ready()}, nil
}

func (r *rpc) ModelReady(_ context.Context, q *oippb.ModelReadyRequest) (*oippb.ModelReadyResponse, error) {
	ready, err := r.canUse(q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	return &oippb.ModelReadyResponse{Ready: ready}, nil
}

func (r *rpc) ServerMetadata(context.Context, *oippb.ServerMetadataRequest) (*oippb.ServerMetadataResponse, error) {
	return &oippb.ServerMetadataResponse{Name: serverName, Version: r.options.Version, Extensions: extensions}, nil
}

func (r *rpc) ModelMetadata(_ context.Context, q *oippb.ModelMetadataRequest) (*oippb.ModelMetadataResponse, error) {
	d, err := r.describe(q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	tensors := func(all []signature) []*oippb.ModelMetadataResponse_TensorMetadata {
		var list []*oippb.ModelMetadataResponse_TensorMetadata
		for _, t := range all {
			list = append(list, &oippb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
		}
		return list
	}
	return &oippb.ModelMetadataResponse{Name: d.Name, Versions: d.Versions, Platform: d.Platform, Inputs: tensors(d.Inputs), Outputs: tensors(d.Outputs)}, nil
}

func (r *rpc) ModelInfer(ctx context.Context, m *oippb.ModelInferRequest) (*oippb.ModelInferResponse, error) {
	q, err := inferenceOf(m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := r.computing(ctx)
	defer cancel()
	a, err := r.infer(ctx, q)
	if err != nil {
		return nil, err
	}
	answer := &oippb.ModelInferResponse{ModelName: q.model, ModelVersion: a.version, Id: q.id}
	for i := range a.outputs {
		t := &a.outputs[i]
		answer.Outputs = append(answer.Outputs, &oippb.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
		answer.RawOutputContents = append(answer.RawOutputContents, t.raw())
	}
	return answer, nil
}

// inferenceOf reads a request's message.
func inferenceOf(m *oippb.ModelInferRequest) (*inference, error) {
	if len(m.Inputs) != 1 || m.Inputs[0] == nil {
		return nil, fmt.Errorf("%w: got %d inputs, want 1: %q or %q", ErrInput, len(m.Inputs), inputPixels, inputFiles)
	}
	in := m.Inputs[0]
	q := &inference{model: m.ModelName, version: m.ModelVersion, id: m.Id, input: tensor{signature: signature{in.Name, in.Datatype, in.Shape}}}
	named := map[string]bool{}
	for _, o := range m.Outputs {
		q.outputs = append(q.outputs, o.GetName())
		named[o.GetName()] = true
	}
	if len(named) < len(q.outputs) {
		return nil, fmt.Errorf("%w: an output is asked for twice", ErrInput)
	}
	t, c := &q.input, in.Contents
	switch {
	case len(m.RawInputContents) > 1 || len(m.RawInputContents) == 1 && c != nil:
		return nil, fmt.Errorf("%w: got contents of %d inputs, want 1, raw or not", ErrInput, len(m.RawInputContents))
	case len(m.RawInputContents) == 1:
		return q, t.readRaw(m.RawInputContents[0])
	case t.Datatype == typeBytes:
		t.elements = c.GetBytesContents()
	case t.Datatype == typeUint8:
		t.bytes = make([]uint8, len(c.GetUintContents()))
		for i, x := range c.GetUintContents() {
			if x > 255 {
				return nil, fmt.Errorf("%w: tensor %.128q: got %d, want 0 to 255", ErrInput, t.Name, x)
			}
			t.bytes[i] = uint8(x)
		}
	default:
		return nil, t.unknown()
	}
	return q, nil
}

func (r *rpc) RepositoryIndex(_ context.Context, q *oippb.RepositoryIndexRequest) (*oippb.RepositoryIndexResponse, error) {
	a := &oippb.RepositoryIndexResponse{}
	for _, e := range r.index(q.Ready) {
		a.Models = append(a.Models, &oippb.RepositoryIndexResponse_ModelIndex{Name: e.Name, Version: e.Version, State: e.State, Reason: e.Reason})
	}
	return a, nil
}

func (r *rpc) RepositoryModelLoad(ctx context.Context, q *oippb.RepositoryModelLoadRequest) (*oippb.RepositoryModelLoadResponse, error) {
	if len(q.Parameters) > 0 {
		return nil, fmt.Errorf("%w: load takes no parameters: models are loaded as they lie in the repository", ErrInput)
	}
	return &oippb.RepositoryModelLoadResponse{}, r.load(ctx, q.ModelName)
}

func (r *rpc) RepositoryModelUnload(ctx context.Context, q *oippb.RepositoryModelUnloadRequest) (*oippb.RepositoryModelUnloadResponse, error) {
	return &oippb.RepositoryModelUnloadResponse{}, r.unload(ctx, q.ModelName)
}
