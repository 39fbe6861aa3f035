package fleet

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// DefaultListen is the address of NATS servers, on this machine alone.
const DefaultListen = "127.0.0.1:4222"

// ServerOptions are options of [StartServer]; nil is all defaults but Store.
type ServerOptions struct {
	// Store is the folder that the queues are kept in; it is made where it is missing.
	Store string
	// Listen is the address, HOST:PORT; "" is DefaultListen. One that others reach needs a Token, or TLS that asks for certificates.
	Listen string
	// Token is what clients must bring, as nats://TOKEN@HOST:PORT; "" is none.
	Token string
	// TLS, where not nil, encrypts.
	TLS *tls.Config
	// Logf is told what the server finds wrong; nil discards it.
	Logf func(format string, args ...any)
	// MaxStore is how much of the disk it may use, in bytes; 0 is 64 GiB.
	MaxStore int64
}

// A Server is a NATS server with JetStream in this process.
type Server struct {
	server *server.Server
	token  string
	own    bool
	free   func()
}

// StartServer starts a server. Close ends it; what is in its queues stays in the
// store. A server that others reach without being known is refused: who reaches a
// queue can put models in use.
func StartServer(o *ServerOptions) (*Server, error) {
	c := ServerOptions{}
	if o != nil {
		c = *o
	}
	c.Listen, c.MaxStore = cmp.Or(c.Listen, DefaultListen), cmp.Or(c.MaxStore, 64<<30)
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	host, number, err := net.SplitHostPort(c.Listen)
	_, wrong := strconv.ParseUint(number, 10, 16)
	if err = cmp.Or(err, wrong); err != nil {
		return nil, fmt.Errorf("%w: server: got address %q, want HOST:PORT: %w", ErrInput, c.Listen, err)
	}
	known := c.Token != "" || c.TLS != nil && c.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	own := host == "localhost" || net.ParseIP(host).IsLoopback()
	if !own && !known {
		return nil, fmt.Errorf("%w: server: others reach %s and could put models in use: want a token, or TLS with certificates of clients", ErrInput, c.Listen)
	}
	if c.Store == "" {
		return nil, fmt.Errorf("%w: server: want a folder to keep queues in", ErrInput)
	}
	if err := os.MkdirAll(c.Store, 0o700); err != nil {
		return nil, fmt.Errorf("fleet: server: %w", err)
	}
	free, err := atomicfile.Lock(filepath.Join(c.Store, "queues"))
	if err != nil {
		return nil, fmt.Errorf("fleet: server: %w", err)
	}
	s := &Server{token: c.Token, own: own, free: free}
	if err = s.start(&c, host); err != nil {
		s.Close()
		return nil, fmt.Errorf("fleet: server on %s: %w", c.Listen, err)
	}
	return s, nil
}

func (s *Server) start(c *ServerOptions, host string) error {
	listener, err := net.Listen("tcp", c.Listen) // the server would try for half a minute
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port // where it was 0
	listener.Close()
	s.server, err = server.NewServer(&server.Options{
		ServerName: "anomaly", Host: cmp.Or(host, "0.0.0.0"), Port: port, NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: c.Store, JetStreamMaxStore: c.MaxStore, JetStreamMaxMemory: 64 << 20,
		MaxPayload: MaxInline, MaxPending: 8 * MaxInline,
		Authorization: c.Token, TLSConfig: c.TLS, TLS: c.TLS != nil, TLSVerify: c.TLS != nil && c.TLS.ClientCAs != nil, TLSTimeout: 5,
	})
	if err != nil {
		return err
	}
	log := &serverLog{logf: c.Logf, fatal: make(chan string, 1)}
	s.server.SetLogger(log, false, false)
	s.server.Start()
	for range 300 {
		select {
		case problem := <-log.fatal:
			return errors.New(problem)
		default:
		}
		if s.server.ReadyForConnections(100 * time.Millisecond) {
			return nil
		}
	}
	return errors.New("it does not come up")
}

// Addr is where the server listens, HOST:PORT.
func (s *Server) Addr() string { return s.server.Addr().String() }

// Own reports whether this machine alone reaches the server.
func (s *Server) Own() bool { return s.own }

// Close ends the server, once it has written what it holds.
func (s *Server) Close() {
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
	s.free()
}

// connect are options of a connection that does not leave the process.
func (s *Server) connect() []nats.Option {
	return []nats.Option{nats.InProcessServer(s.server), nats.Token(s.token)}
}

// A serverLog hands on what is wrong with a server.
type serverLog struct {
	logf  func(format string, args ...any)
	fatal chan string // the first thing that keeps it from starting
}

func (*serverLog) Noticef(string, ...any) {}
func (*serverLog) Debugf(string, ...any)  {}
func (*serverLog) Tracef(string, ...any)  {}

func (l *serverLog) Warnf(format string, args ...any)  { l.logf(format, args...) }
func (l *serverLog) Errorf(format string, args ...any) { l.logf(format, args...) }
func (l *serverLog) Fatalf(format string, args ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}
