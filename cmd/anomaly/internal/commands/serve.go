package commands

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/internal/text"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/serve"
	"github.com/urfave/cli/v2"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "judge images that are sent, over HTTP and gRPC",
		ArgsUsage: "MODELS|model.onnx",
		Description: `MODELS is a folder of models: NAME.onnx, or NAME/VERSION/model.onnx with whole
numbers for versions, of which the highest is used. It is watched: what comes,
changes or goes is loaded, swapped and unloaded, after its self-test and --gate,
while the model before works on. What cannot be used is said, and the old one stays.

  curl --data-binary @part.png http://127.0.0.1:8080/v1/models/NAME/images
  curl -F image=@a.png -F image=@b.png http://127.0.0.1:8080/v1/models/NAME/images
  curl --data-binary @part.png -H 'Accept: image/png' -o overlay.png \
       http://127.0.0.1:8080/v1/models/NAME/images

The answer is what anomaly run --json prints of an image, or a picture. Clients of
KServe and Triton speak the Open Inference Protocol, version 2, over HTTP (/v2) and
gRPC (--grpc-listen). /openapi.json describes all there is over HTTP, /metrics is for
Prometheus, --otlp sends traces.

By default this machine alone reaches the server, and may change models. With
--listen :8080 others do: then give --tokens FILE or --client-ca, without which
nobody changes models. A line of the file has a client's name, its scopes (infer,
feedback or admin, each of which includes those before) and its token, or sha256: and
the token's hash. Tokens and certificates may be replaced while the server runs: it
looks at their files as at the models, and what cannot be used changes nothing.

--feedback DIR keeps what people mark as false alarms and misses, on the page or by
POST /v1/models/NAME/feedback: anomaly feedback lists it, calibrate and train use it.

` + driftHelp + `, a
metric, and on the page.

--concurrent requests compute at a time and --queue wait, those of models with a
higher --priority first; another one is told by 429 and Retry-After when to come
again. On SIGTERM the server says that it is not ready, answers what has come, and
ends. Standard output has a JSON object for each request and, with "audit": true,
for each change of a model.

` + gateHelp + `

` + outputHelp,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` for HTTP", Value: "127.0.0.1:8080"},
			&cli.StringFlag{Name: "grpc-listen", Usage: "`ADDRESS` for gRPC, or none", Value: "127.0.0.1:8081"},
			&cli.StringFlag{Name: "tokens", Usage: "`FILE` of the tokens that clients must bring"},
			signatureFlag,
			&cli.StringFlag{Name: "tls-cert", Usage: "`FILE` of the server's certificate, and those it leans on, as PEM"},
			&cli.StringFlag{Name: "tls-key", Usage: "`FILE` of its key, as PEM"},
			&cli.StringFlag{Name: "client-ca", Usage: "`FILE` of the authorities whose certificates clients must bring, as PEM"},
			&cli.IntFlag{Name: "concurrent", Usage: "`N` requests that compute at a time", DefaultText: "16, or 4 a core"},
			&cli.IntFlag{Name: "queue", Usage: "`N` requests that wait", Value: 128},
			&cli.StringSliceFlag{Name: "priority", Usage: "`NAME=N` of a model, 0 for others; may be repeated"},
			&cli.Float64Flag{Name: "rate", Usage: "`N` requests a second that a client may make", DefaultText: "no limit"},
			&cli.IntFlag{Name: "max-body", Usage: "largest body in `MIB`", Value: 16},
			&cli.DurationFlag{Name: "timeout", Usage: "`TIME` that a request may wait and compute", Value: 30 * time.Second},
			&cli.DurationFlag{Name: "drain-delay", Usage: "`TIME` to go on, not ready, before connections are refused", Value: 500 * time.Millisecond},
			&cli.DurationFlag{Name: "drain-timeout", Usage: "`TIME` that requests may then take", Value: 30 * time.Second},
			&cli.DurationFlag{Name: "interval", Usage: "`TIME` between two looks at the models, and within which new tokens and certificates are in use", Value: time.Second},
			&cli.StringFlag{Name: "feedback", Usage: "`DIR` to keep what people say of verdicts in (see anomaly feedback)", DefaultText: "nothing is kept"},
			&cli.IntFlag{Name: "feedback-budget", Usage: "`MIB` that its images may take", Value: defaultBudget},
			&cli.StringFlag{Name: "otlp", Usage: "`URL` of an OpenTelemetry collector that traces are sent to"},
		}, driftFlags, gateFlags, outputFlags, scoringFlags),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("serve takes a folder of models or one model, got %q", c.Args().Slice())
			}
			o, err := parseServe(c)
			if err != nil {
				return err
			}
			console := newConsole(c)
			return console.told(c.Context, console.serve(c.Context, o))
		},
	}
}

// serveOptions are the arguments and flags of `anomaly serve`.
type serveOptions struct {
	models, listen, grpc string
	otlp                 string
	feedback             string // folder; "" keeps none
	kept                 feedback.Options
	gate                 gateOptions
	outputs              outputOptions
	decoding             *dataset.Decoding
	server               serve.Options
}

func parseServe(c *cli.Context) (*serveOptions, error) {
	o := &serveOptions{models: c.Args().First(), listen: c.String("listen"), grpc: c.String("grpc-listen"), otlp: c.String("otlp"), feedback: c.String("feedback")}
	survey, err := parseScoring(c, o.models)
	if err != nil {
		return nil, err
	}
	if o.gate, err = parseGate(c); err != nil {
		return nil, err
	}
	if o.outputs, err = parseOutputs(c); err != nil {
		return nil, err
	}
	s := &o.server
	if survey.detector.Signers, err = parseSigners(c); err != nil {
		return nil, err
	}
	s.Detector, s.Version = survey.detector, c.App.Version
	s.Try = tryApart(c)
	o.decoding = survey.decoding
	s.MaxPixels, s.Background, s.Levels = o.decoding.MaxPixels, o.decoding.Background, o.decoding.Levels
	s.Concurrent, s.Queue, s.Rate = c.Int("concurrent"), c.Int("queue"), c.Float64("rate")
	if s.Queue == 0 {
		s.Queue = -1
	}
	s.MaxBody = int64(c.Int("max-body")) << 20
	s.Timeout, s.DrainDelay, s.DrainTimeout, s.Interval = c.Duration("timeout"), c.Duration("drain-delay"), c.Duration("drain-timeout"), c.Duration("interval")
	switch {
	case c.IsSet("concurrent") && s.Concurrent < 1:
		return nil, usagef("--concurrent: got %d, want 1 or more", s.Concurrent)
	case c.Int("queue") < 0:
		return nil, usagef("--queue: got %d, want 0 or more", c.Int("queue"))
	case c.IsSet("rate") && !(s.Rate > 0):
		return nil, usagef("--rate: got %v, want more than 0", s.Rate)
	case c.Int("max-body") < 1 || c.Int("max-body") > 1<<10:
		return nil, usagef("--max-body: got %d, want 1 to 1024", c.Int("max-body"))
	}
	for _, name := range []string{"timeout", "drain-delay", "drain-timeout", "interval"} {
		if d := c.Duration(name); d <= 0 {
			return nil, usagef("--%s: got %v, want more than 0", name, d)
		}
	}
	if o.kept, err = parseBudget(c, "feedback-budget"); err != nil {
		return nil, err
	}
	if c.IsSet("feedback-budget") && o.feedback == "" {
		return nil, usagef("--feedback-budget needs --feedback")
	}
	if s.Drift, err = parseDrift(c); err != nil {
		return nil, err
	}
	s.Priority = map[string]int{}
	for _, item := range c.StringSlice("priority") {
		name, text, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(text)
		if err != nil || name == "" {
			return nil, usagef("--priority: got %q, want NAME=N", item)
		}
		s.Priority[name] = n
	}
	if s.Credentials, err = parseCredentials(c); err != nil {
		return nil, err
	}
	s.Credentials.Tokens = c.String("tokens")
	return o, nil
}

// parseCredentials returns the files of --tls-cert, --tls-key and --client-ca.
func parseCredentials(c *cli.Context) (serve.Credentials, error) {
	files := serve.Credentials{Certificate: c.String("tls-cert"), Key: c.String("tls-key"), Authorities: c.String("client-ca")}
	if (files.Certificate == "") != (files.Key == "") || files.Authorities != "" && files.Key == "" {
		return files, usagef("--tls-cert and --tls-key go together, and --client-ca needs both")
	}
	return files, nil
}

// readKeyPair reads the files of two flags: a certificate and its key.
func readKeyPair(c *cli.Context, cert, key string) (pair tls.Certificate, err error) {
	certificate, err := text.Read(c.String(cert))
	if err != nil {
		return pair, fmt.Errorf("--%s: %w", cert, err)
	}
	secret, err := text.Read(c.String(key))
	if err != nil {
		return pair, fmt.Errorf("--%s: %w", key, err)
	}
	if pair, err = tls.X509KeyPair([]byte(certificate), []byte(secret)); err != nil {
		return pair, fmt.Errorf("--%s, --%s: %w", cert, key, err)
	}
	return pair, nil
}

// readAuthorities reads the file of a flag: certificates of authorities.
func readAuthorities(c *cli.Context, flag string) (*x509.CertPool, error) {
	path := c.String(flag)
	pem, err := text.Read(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, fmt.Errorf("--%s: %s: got no certificate as PEM", flag, path)
	}
	return pool, nil
}

// serve is `anomaly serve`.
func (c *console) serve(ctx context.Context, o *serveOptions) error {
	s := &o.server
	s.Logger = slog.New(slog.NewJSONHandler(c.out, nil))
	plant, err := c.openPlant(&o.outputs, s.Logger)
	if err != nil {
		return err
	}
	defer plant.close()
	s.Tell, s.TellDrift, s.Collectors = plant.tell, plant.tellDrift, plant.collectors
	web, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer web.Close()
	var rpc net.Listener
	if o.grpc != "none" {
		if rpc, err = net.Listen("tcp", o.grpc); err != nil {
			return fmt.Errorf("--grpc-listen: %w", err)
		}
		defer rpc.Close()
	}
	known := s.Credentials.Tokens != "" || s.Credentials.Authorities != ""
	own := ownAddress(web) && (rpc == nil || ownAddress(rpc))
	s.OpenAdmin = own && !known
	if o.gate.dir != "" {
		gate, err := c.openGate(&o.gate, o.decoding)
		if err != nil {
			return err
		}
		s.Gate = func(ctx context.Context, _ string, current, candidate *anrt.Detector) error {
			return gate.Check(ctx, current, candidate)
		}
	}
	if o.otlp != "" {
		traces, end, err := c.openTraces(ctx, o.otlp, s.Version)
		if err != nil {
			return err
		}
		defer end()
		s.Tracer = traces
	}
	if o.feedback != "" {
		o.kept.Logf = c.notef
		store, err := openFeedback(ctx, o.feedback, &o.kept)
		if err != nil {
			return fmt.Errorf("--feedback: %w", err)
		}
		defer store.Close()
		s.Feedback = store
	}
	server, err := serve.New(ctx, o.models, s)
	if err != nil {
		return err
	}
	defer server.Close()
	scheme := "http"
	if s.Credentials.Certificate != "" {
		scheme = "https"
	}
	c.notef("serving %s on %s://%s", o.models, scheme, web.Addr())
	if rpc != nil {
		c.notef("and gRPC on %s", rpc.Addr())
	}
	switch {
	case own:
		c.notef("this machine alone reaches it: --listen :8080 is for others too")
	case !known:
		c.notef("everybody who reaches it may send images, and nobody change models: --tokens and --client-ca say who may")
	case s.Credentials.Certificate == "":
		c.notef("tokens and images travel unencrypted: --tls-cert and --tls-key change that")
	}
	return server.Serve(ctx, web, rpc)
}

// ownAddress reports whether this machine alone reaches a listener.
func ownAddress(l net.Listener) bool {
	address, ok := l.Addr().(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}
