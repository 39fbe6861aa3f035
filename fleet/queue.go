package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options are options of [Open]; nil is all defaults.
type Options struct {
	// Queue names the queue, of those that a server may have: a model each, and the
	// workers that serve it. "" is "anomaly".
	Queue string
	// Credentials is the path of a file with a JWT and the seed of its key; "" is none.
	Credentials string
	// NKey is the path of a file with the seed of a key; "" is none.
	NKey string
	// TLS is used with servers that ask for it, and with URLs tls://; nil trusts the
	// system's authorities.
	TLS *tls.Config
	// Server, where not nil, is one in this process that is used whatever the URL says.
	Server *Server
	// Name is what the connection is called on the server; "" is "anomaly".
	Name string
	// Limits are those of a queue that Open makes; one that is there keeps its own.
	Limits Limits
	// Logf is told of connections that are lost and come back; nil discards it.
	Logf func(format string, args ...any)
}

// Limits bound a queue. Zero values are the defaults.
type Limits struct {
	Images   int           // that wait or are being judged; 0 is 10 000
	Bytes    int64         // of them, and as many of images by reference; 0 is 1 GiB
	InFlight int           // images that all workers together have taken and not answered for; 0 is 1000
	AckWait  time.Duration // after which an image goes to another worker if its own is silent; 0 is 30 s
	Keep     time.Duration // how long findings and parked images stay; 0 is a week
	Replicas int           // servers that each have it, 1, 3 or 5; 0 is 3 in a cluster, else 1
}

var (
	// ErrInput is wrapped by errors of options and arguments.
	ErrInput = errors.New("fleet: bad input")
	// ErrQueue is wrapped by errors of the servers.
	ErrQueue = errors.New("fleet: the queue")
	// ErrNoModel is that a queue has no model in use.
	ErrNoModel = errors.New("fleet: the queue has no model")
)

// queueName is what queues may be called: names are part of those of streams and subjects.
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Queue = cmp.Or(c.Queue, "anomaly")
	c.Name = cmp.Or(c.Name, "anomaly")
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	l := &c.Limits
	l.Images = cmp.Or(l.Images, 10_000)
	l.Bytes = cmp.Or(l.Bytes, 1<<30)
	l.InFlight = cmp.Or(l.InFlight, 1000)
	l.AckWait = cmp.Or(l.AckWait, 30*time.Second)
	l.Keep = cmp.Or(l.Keep, 7*24*time.Hour)
	return c
}

func (o *Options) validate() error {
	l := o.Limits
	switch {
	case !queueName.MatchString(o.Queue):
		return fmt.Errorf("%w: queue: got %.80q, want letters, digits, '-' and '_', at most 64", ErrInput, o.Queue)
	case l.Images < 1 || l.Bytes < 1 || l.InFlight < 1:
		return fmt.Errorf("%w: limits: got %d images, %d bytes, %d in flight, want 1 or more", ErrInput, l.Images, l.Bytes, l.InFlight)
	case l.AckWait < 100*time.Millisecond || l.Keep < time.Second:
		return fmt.Errorf("%w: limits: got %v for an answer and %v to keep findings, want 100 ms and 1 s or more", ErrInput, l.AckWait, l.Keep)
	case l.Replicas < 0 || l.Replicas > 5:
		return fmt.Errorf("%w: replicas: got %d, want 1 to 5", ErrInput, l.Replicas)
	}
	return nil
}

// A Queue is a connection to a queue. It is safe for concurrent use.
type Queue struct {
	options Options
	conn    *nats.Conn
	js      jetstream.JetStream

	jobs, findings, parked jetstream.Stream
	consumer               jetstream.Consumer // of jobs, which all workers share
	current                jetstream.KeyValue // the model in use, under currentKey
	models, images         jetstream.ObjectStore
	ackWait                time.Duration // the queue's own
}

const (
	currentKey = "current"
	workers    = "workers" // the name of the consumer
	askTime    = 5 * time.Second
)

// Open connects to the servers at urls, several joined by commas, and makes the queue
// where there is none. Connections that are lost later come back by themselves.
//
// Errors wrap ErrInput or ErrQueue. No secret of the URL is in them.
func Open(ctx context.Context, urls string, o *Options) (*Queue, error) {
	options := o.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	q := &Queue{options: options}
	opts := []nats.Option{
		nats.Name(options.Name), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.Timeout(askTime),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				options.Logf("the connection is lost: %v; trying again", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { options.Logf("connected again, to %s", c.ConnectedAddr()) }),
	}
	if options.TLS != nil {
		opts = append(opts, func(n *nats.Options) error { n.TLSConfig = options.TLS; return nil }) // used where a server or a URL asks for it
	}
	if options.Credentials != "" {
		opts = append(opts, nats.UserCredentials(options.Credentials))
	}
	if options.NKey != "" {
		key, err := nats.NkeyOptionFromSeed(options.NKey)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, options.NKey, err)
		}
		opts = append(opts, key)
	}
	if options.Server != nil {
		opts = append(opts, options.Server.connect()...)
	}
	var err error
	if q.conn, err = nats.Connect(urls, opts...); err != nil {
		if strings.Contains(err.Error(), "parse ") { // and has the URL in it
			return nil, fmt.Errorf("%w: the servers' URL cannot be read, want nats://HOST:PORT", ErrInput)
		}
		return nil, fmt.Errorf("%w cannot be reached at %s: %w", ErrQueue, hosts(urls), err)
	}
	if q.js, err = jetstream.New(q.conn, jetstream.WithDefaultTimeout(askTime)); err == nil {
		err = q.ensure(ctx)
	}
	if err != nil {
		q.conn.Close()
		return nil, fmt.Errorf("%w %q: %w", ErrQueue, options.Queue, err)
	}
	return q, nil
}

// hosts are those of URLs, without secrets.
func hosts(urls string) string {
	var list []string
	for one := range strings.SplitSeq(urls, ",") {
		host := strings.TrimSpace(one)
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			host = host[at+1:]
		}
		list = append(list, strings.TrimPrefix(host, "nats://"))
	}
	return strings.Join(list, ", ")
}

// Close ends the connection. What is under way on it fails.
func (q *Queue) Close() { q.conn.Close() }

// Address is the server's that the connection leads to; "" while it is lost.
func (q *Queue) Address() string { return q.conn.ConnectedAddr() }

// ensure finds the queue's streams, or makes them.
func (q *Queue) ensure(ctx context.Context) (err error) {
	name, l := q.options.Queue, q.options.Limits
	if l.Replicas == 0 {
		if l.Replicas = 1; q.conn.ConnectedClusterName() != "" {
			l.Replicas = 3
		}
	}
	stream := func(c jetstream.StreamConfig) (jetstream.Stream, error) {
		c.Name, c.Replicas, c.AllowDirect, c.Storage = name+"-"+c.Name, l.Replicas, true, jetstream.FileStorage
		return findOrMake(ctx, jetstream.ErrStreamNotFound, jetstream.ErrStreamNameAlreadyInUse,
			func(ctx context.Context) (jetstream.Stream, error) { return q.js.Stream(ctx, c.Name) },
			func(ctx context.Context) (jetstream.Stream, error) { return q.js.CreateStream(ctx, c) })
	}
	store := func(c jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
		c.Bucket, c.Replicas = name+"-"+c.Bucket, l.Replicas
		return findOrMake(ctx, jetstream.ErrBucketNotFound, jetstream.ErrBucketExists,
			func(ctx context.Context) (jetstream.ObjectStore, error) { return q.js.ObjectStore(ctx, c.Bucket) },
			func(ctx context.Context) (jetstream.ObjectStore, error) { return q.js.CreateObjectStore(ctx, c) })
	}
	if q.jobs, err = stream(jetstream.StreamConfig{
		Name: "jobs", Subjects: []string{q.jobSubject()}, Retention: jetstream.WorkQueuePolicy,
		Discard: jetstream.DiscardNew, MaxMsgs: int64(l.Images), MaxBytes: l.Bytes,
	}); err != nil {
		return err
	}
	if q.findings, err = stream(jetstream.StreamConfig{
		Name: "findings", Subjects: []string{q.findingSubject("*", "*")}, MaxAge: l.Keep, MaxBytes: l.Bytes, MaxMsgsPerSubject: 1,
	}); err != nil {
		return err
	}
	if q.parked, err = stream(jetstream.StreamConfig{
		Name: "parked", Subjects: []string{q.parkedSubject("*", "*")}, MaxAge: l.Keep, MaxBytes: l.Bytes, MaxMsgsPerSubject: 1,
	}); err != nil {
		return err
	}
	if q.models, err = store(jetstream.ObjectStoreConfig{Bucket: "models"}); err != nil {
		return err
	}
	if q.images, err = store(jetstream.ObjectStoreConfig{Bucket: "images", TTL: l.Keep, MaxBytes: l.Bytes}); err != nil {
		return err
	}
	if err = patiently(ctx, func(ctx context.Context) error {
		if q.current, err = q.js.KeyValue(ctx, name+"-model"); errors.Is(err, jetstream.ErrBucketNotFound) {
			q.current, err = q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name + "-model", History: 16, Replicas: l.Replicas})
		}
		return err
	}); err != nil {
		return err
	}
	err = patiently(ctx, func(ctx context.Context) error {
		if q.consumer, err = q.jobs.Consumer(ctx, workers); errors.Is(err, jetstream.ErrConsumerNotFound) {
			q.consumer, err = q.jobs.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
				Durable: workers, AckPolicy: jetstream.AckExplicitPolicy, AckWait: l.AckWait, MaxAckPending: l.InFlight,
				MaxDeliver: -1, // lest the server drop what it has delivered too often: workers park it
			})
		}
		return err
	})
	if err == nil {
		q.ackWait = q.consumer.CachedInfo().Config.AckWait
	}
	return err
}

// findOrMake returns what find does, or makes it where the error is missing; made is the
// error where somebody else has made it meanwhile.
func findOrMake[T any](ctx context.Context, missing, made error, find, create func(context.Context) (T, error)) (v T, err error) {
	err = patiently(ctx, func(ctx context.Context) error {
		if v, err = find(ctx); errors.Is(err, missing) {
			if v, err = create(ctx); errors.Is(err, made) {
				v, err = find(ctx)
			}
		}
		return err
	})
	return v, err
}

func (q *Queue) jobSubject() string { return q.options.Queue + ".jobs" }
func (q *Queue) findingSubject(model, image string) string {
	return q.options.Queue + ".findings." + model + "." + image
}
func (q *Queue) parkedSubject(model, image string) string {
	return q.options.Queue + ".parked." + model + "." + image
}

// patiently calls ask until it does not fail for a reason that passes: servers that
// are lost or agree on a leader.
func patiently(ctx context.Context, ask func(ctx context.Context) error) error {
	return within(ctx, askTime, ask)
}

// within is patiently with another limit to how long each call may take.
func within(ctx context.Context, limit time.Duration, ask func(ctx context.Context) error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		limited, cancel := context.WithTimeout(ctx, limit)
		err := ask(limited)
		cancel()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// sleep reports whether the time went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// passing reports whether an error is one of servers that are lost for the moment.
func passing(err error) bool {
	for _, e := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
		nats.ErrReconnectBufExceeded, nats.ErrStaleConnection, jetstream.ErrNoStreamResponse, jetstream.ErrNoMessages, jetstream.ErrNoHeartbeat,
		jetstream.ErrConsumerLeadershipChanged, jetstream.ErrServerShutdown,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code >= 500 && !full(err) && api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabledForAccount && api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabled
}

// full reports whether a stream has no room for a message.
func full(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (strings.Contains(api.Description, "maximum messages exceeded") || strings.Contains(api.Description, "maximum bytes exceeded"))
}

// conflict reports whether a subject that was to be empty is not.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
