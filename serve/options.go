package serve

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Options are options of [New]; nil is all defaults.
type Options struct {
	// Detector says how models are opened. Its Logf and OnBatch are replaced.
	Detector runtime.Options
	// Try, where not nil, is given a model before this process opens it, as
	// [runtime.WatchOptions].Try is.
	Try func(ctx context.Context, model []byte) error
	// LoadTimeout is how long Try and the opening of a model may take together; 0 is
	// ten minutes.
	LoadTimeout time.Duration
	// Gate, where not nil, may refuse a model that is to take another's place, by an
	// error. It may use both until it returns, and close or swap neither.
	Gate func(ctx context.Context, name string, current, candidate *runtime.Detector) error
	// Interval is the time between two looks at the repository, and at what Credentials
	// name; 0 is a second.
	Interval time.Duration
	// Priority of models by name, 0 for others: of requests that wait, those of a
	// higher one are computed first.
	Priority map[string]int

	// Concurrent is how many requests are decoded and computed at a time; 0 is 16, or
	// 4 a core where that is more.
	Concurrent int
	// Queue is how many requests wait behind them; 0 is 128, negative none. Another one
	// is refused with 429 and Retry-After.
	Queue int
	// Rate is how many requests a second a client may make, by its token's name or its
	// address; bursts of as many as a second brings are let through. 0 is no limit.
	Rate float64
	// MaxBody is the largest body or message in bytes; 0 is 16 MiB.
	MaxBody int64
	// MaxPixels is the largest width × height of an image; 0 is 2²⁶.
	MaxPixels int
	// Background and Levels are those of dataset.Decoding.
	Background dataset.Background
	Levels     int
	// MaxImages is how many images a request may bring; 0 is 64.
	MaxImages int
	// MaxConnections bounds those to each address; 0 is 1024.
	MaxConnections int
	// Timeout is how long a request may take from its last byte on, also if the client
	// would wait longer; 0 is 30 s.
	Timeout time.Duration
	// HeadTimeout is how long a request's head, and what TLS and gRPC say first, may take to
	// arrive; 0 is 5 s.
	HeadTimeout time.Duration
	// BodyTimeout is how long a body may take to arrive, and an answer to be read; 0 is 15 s.
	BodyTimeout time.Duration
	// DrainDelay is how long a server that is to end goes on as before, but not
	// ready, so that load balancers and clients with open connections turn elsewhere; 0
	// is 0.5 s.
	DrainDelay time.Duration
	// DrainTimeout is how long requests that have come may then take; 0 is 30 s.
	DrainTimeout time.Duration

	// Credentials encrypt both protocols and say who may ask.
	Credentials Credentials
	// OpenAdmin lets everybody change models where there are neither tokens nor
	// client certificates: for servers that are reached from this machine alone. It
	// also makes the server refuse requests whose Host is not this machine's, so that
	// no web page can reach it through a name of its own.
	OpenAdmin bool

	// Drift says how images are compared with those that a model was trained on. Scores are
	// left out where Detector has Zones or a MinArea.
	Drift drift.Options

	// Feedback, where not nil, keeps what people say of verdicts; the server does not
	// close it.
	Feedback Feedback

	// Tell, where not nil, is called with what came of each image before its request is
	// answered, by several goroutines at a time.
	Tell func(*judge.Event)
	// TellDrift, where not nil, is called with each drift that begins or ends.
	TellDrift func(*drift.Event)
	// Collectors are metrics besides the server's own.
	Collectors []prometheus.Collector

	// Version is what the server says of itself; "" is "dev".
	Version string
	// Logger gets a line for each request and, with "audit", for each change of a
	// model; nil discards them.
	Logger *slog.Logger
	// Tracer gives tracers; nil traces nothing.
	Tracer trace.TracerProvider
}

// A Feedback keeps what people say of verdicts. The Store of package feedback is one,
// which says what its methods do.
type Feedback interface {
	Add(ctx context.Context, e feedback.Entry, file []byte) (stored *feedback.Entry, added bool, err error)
	List(ctx context.Context) ([]feedback.Entry, error)
	Remove(ctx context.Context, image, model string) (removed []feedback.Entry, err error)
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.LoadTimeout = cmp.Or(c.LoadTimeout, 10*time.Minute)
	c.Concurrent = cmp.Or(c.Concurrent, max(16, 4*goruntime.GOMAXPROCS(0)))
	c.Queue = max(cmp.Or(c.Queue, 128), 0)
	c.MaxBody = cmp.Or(c.MaxBody, 16<<20)
	c.MaxPixels = cmp.Or(c.MaxPixels, 1<<26)
	c.MaxImages = cmp.Or(c.MaxImages, 64)
	c.MaxConnections = cmp.Or(c.MaxConnections, 1024)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.HeadTimeout = cmp.Or(c.HeadTimeout, 5*time.Second)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, 15*time.Second)
	c.DrainDelay = cmp.Or(c.DrainDelay, 500*time.Millisecond)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	c.Version = cmp.Or(c.Version, "dev")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider()
	}
	c.Drift.ScoresOf(&c.Detector)
	logger := c.Logger
	c.Detector.Logf = func(format string, args ...any) { logger.Info(fmt.Sprintf(format, args...)) }
	return c
}

func (o *Options) validate() error {
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"interval", float64(o.Interval)},
		{"load timeout", float64(o.LoadTimeout)},
		{"concurrent requests", float64(o.Concurrent)},
		{"largest body", float64(o.MaxBody)},
		{"most pixels", float64(o.MaxPixels)},
		{"most images", float64(o.MaxImages)},
		{"most connections", float64(o.MaxConnections)},
		{"timeout", float64(o.Timeout)},
		{"head timeout", float64(o.HeadTimeout)},
		{"body timeout", float64(o.BodyTimeout)},
		{"drain delay", float64(o.DrainDelay)},
		{"drain timeout", float64(o.DrainTimeout)},
	} {
		if n.value <= 0 {
			return fmt.Errorf("%w: %s: got %v, want more than 0", ErrInput, n.name, n.value)
		}
	}
	if _, err := drift.New(&runtime.ModelInfo{}, &o.Drift); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if !(o.Rate >= 0) {
		return fmt.Errorf("%w: rate: got %v, want 0 or more", ErrInput, o.Rate)
	}
	return nil
}
