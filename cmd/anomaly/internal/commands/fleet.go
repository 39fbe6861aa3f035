//go:build !edge

package commands

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/fleet"
	"github.com/anomaly-go/anomaly/internal/text"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// natsFlags are flags of the commands that share a queue.
var natsFlags = []cli.Flag{
	&cli.StringFlag{Name: "queue", Usage: "`NAME` of the queue, of those that a server may have: one for each model in use", Value: "anomaly"},
	&cli.StringFlag{Name: "creds", Usage: "`FILE` of credentials, a JWT and the seed of its key"},
	&cli.StringFlag{Name: "nkey", Usage: "`FILE` of the seed of a key"},
	&cli.StringFlag{Name: "ca", Usage: "`FILE` of the authorities that vouch for the servers, as PEM", DefaultText: "the system's"},
	&cli.StringFlag{Name: "cert", Usage: "`FILE` of a certificate for the servers, as PEM"},
	&cli.StringFlag{Name: "key", Usage: "`FILE` of its key, as PEM"},
}

// natsHelp says where queues are.
const natsHelp = `--nats names the servers: nats://HOST:PORT, several joined by commas, with a token
or a user before an @, or tls://. Secrets are better in files: --creds and --nkey.`

// ownServer is the default of --nats: a worker's server on this machine.
const ownServer = "nats://" + fleet.DefaultListen

func natsFlag(value, otherwise string) cli.Flag {
	return &cli.StringFlag{Name: "nats", Usage: "`URL` of the servers", Value: value, DefaultText: otherwise}
}

func workerCommand() *cli.Command {
	return &cli.Command{
		Name:      "worker",
		Usage:     "judge images of a queue that machines share",
		ArgsUsage: "[model.onnx]",
		Description: `Takes images from a queue and puts findings there, as many workers as there are,
on one machine or many. Without --nats it has a NATS server inside, which keeps the
queue in --store and is reached on --listen: the first worker of a small plant. Others
join it with --nats, and so do all where there is a cluster of servers.

  anomaly worker model.onnx                    a queue, and its first worker
  anomaly worker --nats nats://127.0.0.1:4222  another one
  anomaly submit images/                       judged by both
  anomaly submit --model new.onnx              all workers swap

model.onnx is for a queue that has no model yet; a queue that has one keeps it.
Thresholds and views are the model's own (anomaly calibrate): all workers judge alike.

An image is answered for when its finding is stored. If the worker dies before, or is
silent for --ack-wait, another one gets it. Of an image and a model there is one
finding. An image that cannot be read, or has failed --tries times, or ends the
workers that begin it, is parked: anomaly parked says why.

` + driftHelp + `;
each worker compares the images that it judges itself.

--health answers probes over HTTP: /livez, and /readyz as long as images are taken.
On SIGTERM the worker answers for the images that it has, and ends. Standard output has a
JSON object for each image.

By default this machine alone reaches the queue. --listen :4222 is for others too and needs
--token-file or --client-ca, for who reaches a queue can put models in use.

` + natsHelp + `

` + outputHelp,
		Flags: slices.Concat([]cli.Flag{
			natsFlag("", "a server in this process"),
			&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` of the server in this process", Value: fleet.DefaultListen},
			&cli.StringFlag{Name: "store", Usage: "`DIR` where it keeps queues", DefaultText: "anomaly/queues among the user's settings"},
			&cli.StringFlag{Name: "token-file", Usage: "`FILE` of the token that clients must bring to it"},
			&cli.StringFlag{Name: "tls-cert", Usage: "`FILE` of its certificate, and those it leans on, as PEM"},
			&cli.StringFlag{Name: "tls-key", Usage: "`FILE` of its key, as PEM"},
			&cli.StringFlag{Name: "client-ca", Usage: "`FILE` of the authorities whose certificates clients must bring to it, as PEM"},
			&cli.StringFlag{Name: "health", Usage: "`ADDRESS` for probes over HTTP", DefaultText: "none"},
			&cli.IntFlag{Name: "concurrent", Usage: "`N` images at a time", DefaultText: "16, or 4 a core"},
			&cli.IntFlag{Name: "tries", Usage: "`N` after which an image that fails is parked", Value: 5},
			&cli.DurationFlag{Name: "drain-timeout", Usage: "`TIME` that images may take at the end", Value: 30 * time.Second},
			&cli.IntFlag{Name: "queue-images", Usage: "`N` images that may wait, of a queue that is made", Value: 10_000},
			&cli.DurationFlag{Name: "ack-wait", Usage: "`TIME` after which a silent worker's image goes to another, of a queue that is made", Value: 30 * time.Second},
			&cli.IntFlag{Name: "replicas", Usage: "`N` servers that each have the queue, where it is made", DefaultText: "3 in a cluster, else 1"},
			&cli.IntFlag{Name: "batch", Usage: "`N` images at once", DefaultText: "what suits the provider and the size"},
			maxPixelsFlag, signatureFlag,
		}, driftFlags, natsFlags, outputFlags, engineFlags),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usagef("worker takes one model at most, got %q", c.Args().Slice())
			}
			o, err := parseWorker(c)
			if err != nil {
				return err
			}
			console := newConsole(c)
			return console.told(c.Context, console.worker(c.Context, o))
		},
	}
}

// workerOptions are the arguments and flags of `anomaly worker`.
type workerOptions struct {
	model, nats, health string
	queue               fleet.Options
	server              fleet.ServerOptions
	worker              fleet.WorkerOptions
	outputs             outputOptions
}

func parseWorker(c *cli.Context) (*workerOptions, error) {
	o := &workerOptions{model: c.Args().First(), nats: c.String("nats"), health: c.String("health")}
	if o.model != "" {
		if err := checkModel("worker", o.model); err != nil {
			return nil, err
		}
	}
	var err error
	if o.outputs, err = parseOutputs(c); err != nil {
		return nil, err
	}
	if o.queue, err = parseQueue(c); err != nil {
		return nil, err
	}
	w := &o.worker
	if w.Detector.SessionOptions, err = parseEngine(c); err != nil {
		return nil, err
	}
	if w.Detector.Signers, err = parseSigners(c); err != nil {
		return nil, err
	}
	w.Detector.Batch, w.MaxPixels = c.Int("batch"), c.Int("max-pixels")
	w.Concurrent, w.Tries, w.DrainTimeout = c.Int("concurrent"), c.Int("tries"), c.Duration("drain-timeout")
	w.Try = tryApart(c)
	if w.Drift, err = parseDrift(c); err != nil {
		return nil, err
	}
	l := &o.queue.Limits
	l.Images, l.AckWait, l.Replicas = c.Int("queue-images"), c.Duration("ack-wait"), c.Int("replicas")
	for name, least := range map[string]int{"concurrent": 1, "batch": 1, "max-pixels": 1, "queue-images": 1, "replicas": 1, "tries": 3} {
		if n := c.Int(name); c.IsSet(name) && n < least {
			return nil, usagef("--%s: got %d, want %d or more", name, n, least)
		}
	}
	for name, least := range map[string]time.Duration{"ack-wait": 100 * time.Millisecond, "drain-timeout": time.Millisecond} {
		if d := c.Duration(name); d < least {
			return nil, usagef("--%s: got %v, want %v or more", name, d, least)
		}
	}
	if o.nats != "" {
		for _, name := range []string{"listen", "store", "token-file", "tls-cert", "tls-key", "client-ca"} {
			if c.IsSet(name) {
				return nil, usagef("--%s is of the server in this process, and --nats names others", name)
			}
		}
		return o, nil
	}
	for _, name := range []string{"creds", "nkey", "ca", "cert", "key"} {
		if c.IsSet(name) {
			return nil, usagef("--%s needs --nats: the server in this process asks its own worker for nothing", name)
		}
	}
	s := &o.server
	s.Listen, s.Store = c.String("listen"), c.String("store")
	if s.Store == "" {
		settings, err := os.UserConfigDir()
		if err != nil {
			return nil, usagef("--store: want a folder: %v", err)
		}
		s.Store = filepath.Join(settings, "anomaly", "queues")
	}
	if path := c.String("token-file"); path != "" {
		token, err := text.Read(path)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		if s.Token = strings.TrimSpace(token); s.Token == "" || strings.ContainsAny(s.Token, " \t\r\n") {
			return nil, fmt.Errorf("--token-file: %s: want one word", path)
		}
	}
	files, err := parseCredentials(c)
	if err != nil {
		return nil, err
	}
	if s.TLS, err = files.TLS(); err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key, --client-ca: %w", err)
	}
	return o, nil
}

// parseQueue reads natsFlags.
func parseQueue(c *cli.Context) (fleet.Options, error) {
	o := fleet.Options{Queue: c.String("queue"), Credentials: c.String("creds"), NKey: c.String("nkey")}
	ca, cert, key := c.String("ca"), c.String("cert"), c.String("key")
	if (cert == "") != (key == "") {
		return o, usagef("--cert and --key go together")
	}
	if ca == "" && cert == "" {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if ca != "" {
		if o.TLS.RootCAs, err = readAuthorities(c, "ca"); err != nil {
			return o, err
		}
	}
	if cert != "" {
		pair, err := readKeyPair(c, "cert", "key")
		if err != nil {
			return o, err
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}

// openQueue connects to a queue; what is wrong with flags is a wrong call.
func (c *console) openQueue(ctx context.Context, url string, o *fleet.Options) (*fleet.Queue, error) {
	o.Logf = c.notef
	q, err := fleet.Open(ctx, url, o)
	return q, wrongCall(err)
}

func wrongCall(err error) error {
	if errors.Is(err, fleet.ErrInput) {
		return usagef("%s", strings.TrimPrefix(err.Error(), fleet.ErrInput.Error()+": "))
	}
	return err
}

// worker is `anomaly worker`.
func (c *console) worker(ctx context.Context, o *workerOptions) error {
	w := &o.worker
	w.Logger = slog.New(slog.NewJSONHandler(c.out, nil))
	w.Health = &fleet.Health{}
	plant, err := c.openPlant(&o.outputs, w.Logger)
	if err != nil {
		return err
	}
	defer plant.close()
	w.Tell, w.TellDrift = plant.tell, plant.tellDrift
	var model []byte
	if o.model != "" {
		if model, err = anrt.ReadFile(o.model); err != nil {
			return err
		}
		det, err := c.tested(ctx, model, o.model, w)
		if err != nil {
			return err
		}
		det.Close()
	}
	if o.health != "" {
		probes, err := net.Listen("tcp", o.health)
		if err != nil {
			return fmt.Errorf("--health: %w", err)
		}
		server := &http.Server{Handler: w.Health, ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go server.Serve(probes)
	}
	if o.nats == "" {
		o.server.Logf = func(format string, args ...any) { c.notef("server: "+format, args...) }
		server, err := fleet.StartServer(&o.server)
		if err != nil {
			return wrongCall(err)
		}
		defer server.Close()
		o.queue.Server = server
		c.notef("the queue is on nats://%s, and kept in %s", server.Addr(), printable(o.server.Store))
		switch {
		case server.Own():
			c.notef("this machine alone reaches it: --listen :4222 --token-file FILE is for others too")
		case o.server.TLS == nil:
			c.notef("tokens and images travel unencrypted: --tls-cert and --tls-key change that")
		}
	}
	q, err := c.openQueue(ctx, cmp.Or(o.nats, ownServer), &o.queue)
	if err != nil {
		return err
	}
	defer q.Close()
	if o.nats != "" {
		c.notef("connected to %s", q.Address())
	}
	if model != nil {
		a, err := q.AnnounceFirst(ctx, model, modelName(o.model))
		if err != nil {
			return err
		}
		if hash := anrt.Hash(model); a.Hash != hash {
			c.notef("the queue has a model, %s (%.*s), which stays in use; anomaly submit --model %s puts this one in its place",
				printable(a.Name), anrt.HashDigits, a.Hash, printable(o.model))
		}
	} else if _, err := q.Current(ctx); errors.Is(err, fleet.ErrNoModel) {
		c.notef("the queue has no model yet: anomaly submit --model model.onnx puts one in use")
	}
	return wrongCall(q.Work(ctx, w))
}

// tested opens a model and runs its self-test, lest all workers be given one that
// cannot be used.
func (c *console) tested(ctx context.Context, model []byte, path string, w *fleet.WorkerOptions) (*anrt.Detector, error) {
	if err := w.Try(ctx, model); err != nil {
		return nil, fmt.Errorf("%s: %w", printable(path), err)
	}
	w.Detector.Logf = c.logf
	det, err := anrt.OpenBytes(model, &w.Detector)
	if err == nil {
		c.noteProvider(w.Detector.Provider)
		if _, err = det.Verify(ctx); err == nil {
			return det, nil
		}
		err = errors.Join(err, det.Close())
	}
	return nil, fmt.Errorf("%s: %w", printable(path), err)
}

// besideCurrent puts a candidate through a gate, beside the model that a queue has in use.
func besideCurrent(ctx context.Context, q *fleet.Queue, g *judge.Gate, candidate *anrt.Detector, o anrt.Options) error {
	a, err := q.Current(ctx)
	switch {
	case errors.Is(err, fleet.ErrNoModel):
		return g.Check(ctx, nil, candidate)
	case err != nil:
		return err
	case a.Hash == candidate.Info().Hash:
		return g.Check(ctx, candidate, candidate)
	}
	b, err := q.Model(ctx, a.Hash)
	if err != nil {
		return err
	}
	o.Provider = candidate.Info().Provider
	current, err := anrt.OpenBytes(b, &o)
	if err != nil {
		return fmt.Errorf("the model in use, %s (%.*s), cannot be compared with: %w", printable(a.Name), anrt.HashDigits, a.Hash, err)
	}
	return errors.Join(g.Check(ctx, current, candidate), current.Close())
}

func submitCommand() *cli.Command {
	return &cli.Command{
		Name:      "submit",
		Usage:     "have images judged by the workers of a queue, or swap their model",
		ArgsUsage: "[--model new.onnx] IMAGES|DIR…",
		Description: `Puts images into the queue of anomaly worker, waits, and prints for each, in their
order, what anomaly run --json prints. Images are what they are there: files, folders,
patterns, .npy and idx files. Those whose finding is there already, of the model in
use, are not judged again. Where the queue is full, it waits until there is room.

With --model, the model is tested, stored by its hash and put in use: all workers open it
while they go on, and images that are submitted from now on are judged by it. What fails
its self-test or --gate is not put in use, and no images are submitted.

` + gateHelp + `

Ctrl-C leaves what is in the queue there. Submitted again, it costs nothing. The exit
code is 1 if an image could not be read or was parked, else 3 if one is anomalous and
--fail-on-anomaly is given, else 0.

` + natsHelp,
		Flags: slices.Concat([]cli.Flag{
			natsFlag(ownServer, ""),
			&cli.StringFlag{Name: "model", Usage: "`NEW.onnx` to put in use"},
			&cli.BoolFlag{Name: "fail-on-anomaly", Usage: "exit with 3 if an image is anomalous", DisableDefaultText: true},
			&cli.DurationFlag{Name: "timeout", Usage: "`TIME` without a finding after which to give up", DefaultText: "none"},
		}, gateFlags, natsFlags, engineFlags, decodingFlags),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 && !c.IsSet("model") {
				return usagef("submit takes images, a model (--model), or both; got neither")
			}
			o := &submitOptions{nats: c.String("nats"), model: c.String("model"), images: c.Args().Slice(), failOnAnomaly: c.Bool("fail-on-anomaly"), timeout: c.Duration("timeout")}
			if c.IsSet("timeout") && o.timeout <= 0 {
				return usagef("--timeout: got %v, want more than 0", o.timeout)
			}
			var err error
			if o.gate, err = parseGate(c); err != nil {
				return err
			}
			if o.gate.dir != "" && o.model == "" {
				return usagef("--gate needs --model: without it no other model comes into use")
			}
			if o.queue, err = parseQueue(c); err != nil {
				return err
			}
			if o.decoding, err = parseDecoding(c); err != nil {
				return err
			}
			if o.worker.Detector.SessionOptions, err = parseEngine(c); err != nil {
				return err
			}
			if c.IsSet("model") {
				if err := checkModel("submit --model", o.model, o.images...); err != nil {
					return err
				}
			} else if i := slices.IndexFunc(o.images, isModel); i >= 0 {
				return usagef("submit: %s is a model: --model puts it in use", printable(o.images[i]))
			}
			o.worker.Try = tryApart(c)
			return newConsole(c).submit(c.Context, o)
		},
	}
}

// submitOptions are the arguments and flags of `anomaly submit`.
type submitOptions struct {
	nats, model   string
	images        []string
	failOnAnomaly bool
	timeout       time.Duration
	gate          gateOptions // of the model
	queue         fleet.Options
	decoding      *dataset.Decoding
	worker        fleet.WorkerOptions // with which a model is tested
}

// submit is `anomaly submit`.
func (c *console) submit(ctx context.Context, o *submitOptions) error {
	var samples []dataset.Sample
	spell, err := spelling(o.images)
	if err == nil && len(o.images) > 0 {
		defer c.noteImages(o.decoding)
		samples, err = (&dataset.Options{Decoding: o.decoding}).Find(o.images...)
	}
	if err != nil {
		return err
	}
	var model []byte
	var candidate *anrt.Detector
	var gate *judge.Gate
	if o.model != "" {
		if model, err = anrt.ReadFile(o.model); err != nil {
			return err
		}
		if o.gate.dir != "" {
			if gate, err = c.openGate(&o.gate, o.decoding); err != nil {
				return err
			}
		}
		if candidate, err = c.tested(ctx, model, o.model, &o.worker); err != nil {
			return err
		}
	}
	done := sync.OnceFunc(func() {
		if candidate != nil {
			candidate.Close()
		}
	})
	defer done()
	q, err := c.openQueue(ctx, o.nats, &o.queue)
	if err != nil {
		return err
	}
	defer q.Close()
	if gate != nil {
		if err := besideCurrent(ctx, q, gate, candidate, o.worker.Detector); err != nil {
			return fmt.Errorf("%s: %w", printable(o.model), err)
		}
	}
	done()
	if model != nil {
		a, err := q.Announce(ctx, model, modelName(o.model))
		if err != nil {
			return err
		}
		c.notef("in use: %s (%.*s)", printable(a.Name), anrt.HashDigits, a.Hash)
	}
	if len(samples) == 0 {
		return nil
	}
	a, err := q.Current(ctx)
	if errors.Is(err, fleet.ErrNoModel) {
		return fmt.Errorf("%w: --model puts one in use", err)
	}
	if err != nil {
		return err
	}
	if model == nil {
		c.notef("judged by %s (%.*s)", printable(a.Name), anrt.HashDigits, a.Hash)
	}
	images, bad, failed := 0, 0, 0
	started := time.Now()
	c.startBar(len(samples), "images")
	err = q.Submit(ctx, samples, &fleet.SubmitOptions{Path: spell, Timeout: o.timeout, Logf: c.notef}, func(f *judge.Finding) error {
		c.stepBar()
		images++
		switch {
		case f.Err != nil:
			failed++
			c.notef("%s", failure(f))
		case f.Verdict == anrt.Reject || f.Verdict == "" && f.Anomalous != nil && *f.Anomalous:
			bad++
		}
		return json.NewEncoder(c.out).Encode(f)
	})
	c.endBar()
	c.notef("%s, %d anomalous, %d failed, %.1f images/s", plural(images, "image"), bad, failed, float64(images)/time.Since(started).Seconds())
	switch {
	case err != nil:
		if left := len(samples) - images; ctx.Err() != nil {
			c.notef("of %s nothing was heard yet: those in the queue are judged, and submitted again cost nothing", plural(left, "image"))
		}
		return err
	case failed > 0:
		return fmt.Errorf("%d of %d %w", failed, images, errImages)
	case o.failOnAnomaly && bad > 0:
		return errAnomaly
	}
	return nil
}

func parkedCommand() *cli.Command {
	return &cli.Command{
		Name:  "parked",
		Usage: "list images that workers could not judge, and why",
		Description: `Images of a queue that could not be read, failed too often or ended the workers that
began them are parked, with the reason and the image. --retry puts them back into
the queue, for the models that they were submitted for.

` + natsHelp,
		Flags: slices.Concat([]cli.Flag{
			natsFlag(ownServer, ""),
			jsonFlag,
			&cli.BoolFlag{Name: "retry", Usage: "put them back into the queue", DisableDefaultText: true},
		}, natsFlags),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("parked takes no arguments, got %q", c.Args().Slice())
			}
			o, err := parseQueue(c)
			if err != nil {
				return err
			}
			return newConsole(c).parked(c.Context, c.String("nats"), &o, c.Bool("json"), c.Bool("retry"))
		},
	}
}

// parked is `anomaly parked`.
func (c *console) parked(ctx context.Context, url string, o *fleet.Options, asJSON, retry bool) error {
	q, err := c.openQueue(ctx, url, o)
	if err != nil {
		return err
	}
	defer q.Close()
	if retry {
		n, err := q.Retry(ctx)
		c.notef("%s back in the queue", plural(n, "image"))
		return err
	}
	if asJSON {
		return q.Parked(ctx, func(p *fleet.Parked) error { return json.NewEncoder(c.out).Encode(p) })
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "parked\ttries\tmodel\timage\treason")
	if err := q.Parked(ctx, func(p *fleet.Parked) error {
		_, err := fmt.Fprintf(t, "%s\t%d\t%.*s\t%s\t%s\n", p.Time.Local().Format(time.DateTime), p.Tries, anrt.HashDigits, p.Model, printable(p.Name), printable(p.Reason))
		return err
	}); err != nil {
		return err
	}
	return t.Flush()
}
