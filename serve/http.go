package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A route is one thing that can be asked over HTTP.
type route struct {
	pattern string
	scope   Scope // "" is open to everybody who gets this far
	handle  func(w http.ResponseWriter, r *http.Request) error
}

func (s *Server) routes() []route {
	metrics := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)})
	return []route{
		{"GET /v2/health/live", "", s.live},
		{"GET /v2/health/ready", "", s.readiness},
		{"GET /v2", ScopeInfer, s.serverMetadata},
		{"GET /v2/models/{model}", ScopeInfer, s.modelMetadata},
		{"GET /v2/models/{model}/ready", ScopeInfer, s.modelReady},
		{"POST /v2/models/{model}/infer", ScopeInfer, s.inferHTTP},
		{"GET /v2/models/{model}/versions/{version}", ScopeInfer, s.modelMetadata},
		{"GET /v2/models/{model}/versions/{version}/ready", ScopeInfer, s.modelReady},
		{"POST /v2/models/{model}/versions/{version}/infer", ScopeInfer, s.inferHTTP},
		{"POST /v2/repository/index", ScopeInfer, s.indexHTTP},
		{"POST /v2/repository/models/{model}/load", ScopeAdmin, s.loadHTTP},
		{"POST /v2/repository/models/{model}/unload", ScopeAdmin, s.unloadHTTP},

		{"GET /v1/models", ScopeInfer, s.models},
		{"GET /v1/models/{model}", ScopeInfer, s.models},
		{"POST /v1/models/{model}/images", ScopeInfer, s.images},
		{"GET /v1/models/{model}/recent", ScopeInfer, s.recentHTTP},
		{"GET /v1/models/{model}/recent/{number}", ScopeInfer, s.recentPicture},
		{"GET /v1/models/{model}/feedback", ScopeFeedback, s.feedbackHTTP},
		{"POST /v1/models/{model}/feedback", ScopeFeedback, s.markHTTP},
		{"DELETE /v1/models/{model}/feedback/{image}", ScopeFeedback, s.unmarkHTTP},
		{"POST /v1/models/{model}/use", ScopeAdmin, s.useHTTP},
		{"POST /v1/models/{model}/rollback", ScopeAdmin, s.rollbackHTTP},
		{"POST /v1/models/{model}/shadow", ScopeAdmin, s.shadowHTTP},
		{"DELETE /v1/models/{model}/shadow", ScopeAdmin, s.unshadowHTTP},
		{"POST /v1/models/{model}/shadow/promote", ScopeAdmin, s.promoteHTTP},

		{"GET /{$}", "", s.page("page.html")},
		{"GET /page.css", "", s.page("page.css")},
		{"GET /page.js", "", s.page("page.js")},
		{"GET /openapi.json", "", s.openAPI},
		{"GET /metrics", ScopeInfer, func(w http.ResponseWriter, r *http.Request) error {
			metrics.ServeHTTP(w, r)
			return nil
		}},
	}
}

func (s *Server) newHandler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.Handle(route.pattern, s.answering(route))
	}
	mux.Handle("/", s.answering(route{"", "", func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				allowed = append(allowed, method)
			}
		}
		if allowed != nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return fmt.Errorf("%w: got %.16q, want %s", errMethod, r.Method, strings.Join(allowed, " or "))
		}
		return fmt.Errorf("%w: there is no %.128q; /openapi.json lists what there is", ErrModel, r.URL.Path)
	}}))
	// Browsers send requests that a page of another site makes: those that change
	// something, or cost something, are refused.
	return http.NewCrossOriginProtection().Handler(mux)
}

// answering makes a route a handler: it tells who asks, counts, logs, traces, and
// answers errors and panics.
func (s *Server) answering(route route) http.Handler {
	name := route.pattern
	if name == "" {
		name = "other"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		in := &request{id: newRequestID(r.Header.Get("X-Request-Id"))}
		ctx := w3c.Extract(context.WithValue(r.Context(), requestKey{}, in), propagation.HeaderCarrier(r.Header))
		ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		out := &response{ResponseWriter: w}
		h := out.Header()
		h.Set("X-Request-Id", in.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		w3c.Inject(ctx, propagation.HeaderCarrier(h))
		if s.draining.Load() {
			h.Set("Connection", "close")
		}
		controller := http.NewResponseController(w)
		if r.ContentLength != 0 { // or net/http would take it for the client's leaving when it passes
			controller.SetReadDeadline(began.Add(s.options.BodyTimeout))
		}
		late := 2*s.options.BodyTimeout + s.options.Timeout
		if route.scope == ScopeAdmin {
			late += s.options.LoadTimeout
		}
		controller.SetWriteDeadline(began.Add(late))

		err := s.answer(out, r.WithContext(ctx), route, in)
		if err != nil && out.status == 0 {
			code, _ := answerTo(err)
			fail(out, code, err)
		} else if out.status == 0 {
			out.WriteHeader(http.StatusOK)
		}
		seconds := time.Since(began).Seconds()
		s.metrics.requests.WithLabelValues(name, strconv.Itoa(out.status)).Inc()
		s.metrics.latency.WithLabelValues(name).Observe(seconds)
		span.SetAttributes(attribute.Int("http.response.status_code", out.status), attribute.String("anomaly.request", in.id))
		level := slog.LevelInfo
		args := []any{"id", in.id, "client", in.who.String(), "method", r.Method, "path", fmt.Sprintf("%.256s", r.URL.Path), "status", out.status, "seconds", seconds}
		if err != nil {
			args = append(args, "error", err.Error())
			span.SetStatus(otelcodes.Error, err.Error())
			if out.status >= 500 {
				level = slog.LevelError
			}
		} else if route.scope == "" || r.Method == http.MethodGet {
			level = slog.LevelDebug // probes, scrapes and pages
		}
		s.log.Log(ctx, level, "request", args...)
	})
}

// answer runs a route's handler if the client may; a panic is an error.
func (s *Server) answer(w *response, r *http.Request, route route, in *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("handler failed", "id", in.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	if s.options.OpenAdmin && !ownHost(r.Host) {
		return fmt.Errorf("%w: host %.128q is not this machine's", ErrScope, r.Host)
	}
	if route.scope != "" {
		if in.who, err = s.identify(r.Header.Get("Authorization"), r.TLS, r.RemoteAddr, route.scope); err != nil {
			return err
		}
		if err := s.limits.allow(in.who.client()); err != nil {
			return err
		}
	}
	return route.handle(w, r)
}

// ownHost reports whether a Host header names this machine: a page whose name was
// made to lead here has another.
func ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// A response notes the status that was sent.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fail answers an error.
func fail(w http.ResponseWriter, code int, err error) {
	var b *busy
	if errors.As(err, &b) {
		w.Header().Set("Retry-After", strconv.Itoa(int(b.after.Seconds())))
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	text := err.Error()
	if code == http.StatusInternalServerError {
		text = errPanic.Error() // the log has the rest
	}
	writeJSON(w, code, map[string]string{"error": text})
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, code int, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(code)
	_, err = w.Write(append(b, '\n'))
	if err != nil {
		return fmt.Errorf("%w: %w", context.Canceled, err) // the client has gone
	}
	return nil
}

// limitBody bounds a body, before any of it is read.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fmt.Errorf("%w: Content-Encoding: got %.32q, want none: images are compressed already", errEncoding, e)
	}
	if r.ContentLength > s.options.MaxBody {
		return &http.MaxBytesError{Limit: s.options.MaxBody}
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.options.MaxBody)
	return nil
}

// readBody reads a bounded body.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := s.limitBody(w, r); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), 1<<20)) + bytes.MinRead) // more as it comes: a client may promise and not send
	if _, err := b.ReadFrom(r.Body); err != nil {
		return nil, bodyError(err)
	}
	return b.Bytes(), nil
}

// bodyError is what is wrong with a client whose body cannot be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &large):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: the body did not arrive in time", errSlow)
	}
	return fmt.Errorf("%w: body: %w", ErrInput, err)
}
