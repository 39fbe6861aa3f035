package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
)

// A Server serves the models of a repository.
type Server struct {
	options    Options
	repository *repository
	secrets    *secrets
	admission  *admission
	limits     *limits
	metrics    *metrics
	tracer     trace.Tracer
	log        *slog.Logger
	decoders   chan struct{}       // holds a value for each image that is decoded
	originals  *semaphore.Weighted // pixels of images that are held
	draining   atomic.Bool
	handler    http.Handler
	grpc       *grpc.Server

	stop    context.CancelFunc // of the watches
	watched sync.WaitGroup
	closing sync.Once
}

// New opens a repository, or a single model, and watches it. Models that cannot be
// used are logged and left out; a single one is an error. Close the server when it
// is no longer needed.
func New(ctx context.Context, models string, o *Options) (*Server, error) {
	options := o.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	s := &Server{options: options, log: options.Logger, decoders: newDecoders(), originals: semaphore.NewWeighted(heldImages * int64(options.MaxPixels)), limits: newLimits(options.Rate)}
	var err error
	if s.secrets, err = openCredentials(&options.Credentials, options.Logger); err != nil {
		return nil, err
	}
	s.admission = newAdmission(options.Concurrent, options.Queue)
	s.metrics = newMetrics(s)
	if s.repository, err = openRepository(ctx, models, &s.options, s.metrics); err != nil {
		return nil, err
	}
	s.tracer = options.Tracer.Tracer("github.com/anomaly-go/anomaly/serve")
	s.handler = s.newHandler()
	s.grpc = s.newGRPC()
	watching, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.watched.Go(func() { s.repository.watch(watching) })
	s.watched.Go(func() { s.secrets.watch(watching, options.Interval) })
	return s, nil
}

// Close frees the models, once requests in flight have been answered.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.grpc.Stop()
		s.watched.Wait()
		s.repository.close()
	})
	return nil
}

// Handler is the HTTP side, for servers of one's own.
func (s *Server) Handler() http.Handler { return s.handler }

// ready reports whether requests are to come here.
func (s *Server) ready() bool { return !s.draining.Load() && s.repository.ready() }

// Serve serves HTTP, and gRPC where there is a listener for it, until ctx ends, and
// then drains: it goes on for Options.DrainDelay, not ready; takes no more
// connections; and returns nil when all requests that have come are answered, or an
// error after Options.DrainTimeout. The listeners are closed.
func (s *Server) Serve(ctx context.Context, web, rpc net.Listener) error {
	open := &openConnections{busy: map[net.Conn]bool{}}
	server := &http.Server{
		Handler:           s.handler,
		ConnState:         open.note,
		ReadHeaderTimeout: s.options.HeadTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	web = netutil.LimitListener(web, s.options.MaxConnections)
	if config := s.secrets.tlsConfig(); config != nil {
		server.TLSConfig = config
		web = tls.NewListener(web, config)
	}
	webEnded, rpcEnded := make(chan error, 1), make(chan error, 1)
	go func() { webEnded <- server.Serve(web) }()
	if rpc != nil {
		rpc := netutil.LimitListener(rpc, s.options.MaxConnections)
		go func() { rpcEnded <- s.grpc.Serve(rpc) }()
	}
	var failed error // a listener's
	select {
	case failed = <-webEnded:
	case failed = <-rpcEnded:
	case <-ctx.Done():
	}
	if failed != nil {
		server.Close()
		s.grpc.Stop()
		return fmt.Errorf("serve: %w", failed)
	}
	s.log.Info("draining")
	s.draining.Store(true)
	time.Sleep(s.options.DrainDelay)
	late, cancel := context.WithTimeout(context.Background(), s.options.DrainTimeout)
	defer cancel()
	if rpc != nil {
		cut := context.AfterFunc(late, s.grpc.Stop)
		defer cut()
		defer s.grpc.GracefulStop()
	}
	// Shutdown drops requests whose head has been read when it begins, so it begins
	// when there are none any more.
	web.Close()
	<-webEnded
	open.wait(late)
	if err := server.Shutdown(late); err != nil {
		server.Close()
		return fmt.Errorf("serve: drain: requests were cut off after %v", s.options.DrainTimeout)
	}
	s.log.Info("drained")
	return nil
}

// openConnections are those that have a request, or may be about to send their
// first.
type openConnections struct {
	mu   sync.Mutex
	busy map[net.Conn]bool
}

// note is told of the states of connections.
func (o *openConnections) note(c net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		o.busy[c] = true
	} else {
		delete(o.busy, c)
	}
}

// wait returns when there are none, or ctx ends.
func (o *openConnections) wait(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		o.mu.Lock()
		n := len(o.busy)
		o.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// computing bounds the time that a request computes and waits.
func (s *Server) computing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.options.Timeout)
}
