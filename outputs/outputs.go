package outputs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/cenkalti/backoff/v5"
)

var (
	// ErrInput is wrapped where a URL or an option is refused.
	ErrInput = errors.New("outputs: bad input")
	// errRefused is wrapped by what the other side will not take, however often it is
	// sent: the message is dropped.
	errRefused = errors.New("refused")
)

// Options are options of [Open]; nil is all defaults, but for Spool.
type Options struct {
	// Spool is the folder where messages wait, in a folder for each output. One process
	// uses an output's folder at a time.
	Spool string
	// Budget is how many bytes of disk the messages of one output may take; beyond it the
	// oldest are dropped. 0 is 1 GiB.
	Budget int64
	// Logger is told when an output goes away and comes back, and what is dropped; nil
	// discards it.
	Logger *slog.Logger

	firstWait time.Duration // after a failure; in tests
}

// wants are the messages that an output takes.
type wants struct{ good, rejects, drift bool } // good are findings of no rejects

func (w wants) of(m *message) bool {
	switch {
	case m.Drift != nil:
		return w.drift
	case m.Reject:
		return w.rejects
	}
	return w.good
}

// A sink delivers messages to the other side.
type sink interface {
	// deliver returns when the other side has the message. An error that wraps
	// errRefused drops it, another one has it tried again.
	deliver(ctx context.Context, m *message) error
	close()
}

// Outputs are open outputs. They are safe for concurrent use.
type Outputs struct {
	list []*output
}

// An output is one of the URLs.
type output struct {
	name   string // without secrets
	images bool   // keeps the images of rejects
	wants  wants
	sink   sink
	spool  *spool
	log    *slog.Logger
	first  time.Duration

	delivered, refused, failures atomic.Uint64
	away                         atomic.Bool
	said                         atomic.Int64 // when a dropped message was logged last, in Unix seconds

	cancel  context.CancelFunc
	closing chan struct{}
	ended   chan struct{}
}

// Open opens outputs by their URLs, and begins to deliver what an earlier process left
// in their spools. No other side has to be there: only what is wrong with a URL, an
// option, a file of secrets or the spool is an error.
//
//	webhook+https://HOST/PATH   also webhook+http://
//	mqtt://HOST:PORT/TOPIC      also mqtts://
//	opcua://HOST:PORT/?score=NODE&anomalous=NODE
//	rejects:DIR?budget=10GB
//
// docs/outputs.md has what may stand behind the question mark.
func Open(urls []string, o *Options) (*Outputs, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Budget = cmp.Or(c.Budget, 1<<30)
	c.firstWait = cmp.Or(c.firstWait, 500*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Spool == "":
		return nil, fmt.Errorf("%w: spool: want a folder", ErrInput)
	case c.Budget < blockBytes:
		return nil, fmt.Errorf("%w: budget: got %d bytes, want %d or more", ErrInput, c.Budget, blockBytes)
	}
	outs := &Outputs{}
	names := map[string]bool{}
	for _, url := range urls {
		out, folder, err := newOutput(url)
		if err != nil {
			outs.abandon()
			return nil, err
		}
		outs.list = append(outs.list, out)
		if names[folder] {
			outs.abandon()
			return nil, fmt.Errorf("%w: %s: given twice", ErrInput, out.name)
		}
		names[folder] = true
		out.log, out.first = c.Logger.With("output", out.name), c.firstWait
		if out.spool, err = openSpool(filepath.Join(c.Spool, folder), c.Budget); err != nil {
			outs.abandon()
			return nil, fmt.Errorf("outputs: spool of %s: %w", out.name, err)
		}
	}
	for _, out := range outs.list {
		ctx, cancel := context.WithCancel(context.Background())
		out.cancel, out.closing, out.ended = cancel, make(chan struct{}), make(chan struct{})
		if waiting, _, _ := out.spool.counts(); waiting > 0 {
			out.log.Info("messages from before wait for delivery", "waiting", waiting)
		}
		go out.run(ctx)
	}
	return outs, nil
}

// abandon frees outputs that do not run yet.
func (o *Outputs) abandon() {
	for _, out := range o.list {
		out.sink.close()
		if out.spool != nil {
			out.spool.release()
		}
	}
}

// Send puts an event into the spools of all outputs that want it and returns, without
// waiting for the other sides. What cannot be kept is logged and counted, and no
// reason not to go on.
func (o *Outputs) Send(e *judge.Event) {
	m, err := newMessage(e)
	o.send(m, err, e.Image)
}

// SendDrift is Send of a drift that begins or has ended.
func (o *Outputs) SendDrift(e *drift.Event) {
	m, err := newDriftMessage(e)
	o.send(m, err, nil)
}

// send puts a message, unless it could not be made, into the spools of outputs that want
// it. encoded, where not nil, returns the image of it.
func (o *Outputs) send(m *message, err error, encoded func() ([]byte, error)) {
	if err != nil {
		for _, out := range o.list {
			out.log.Error("message not made", "error", err.Error())
		}
		return
	}
	var image []byte
	for _, out := range o.list {
		if !out.wants.of(m) {
			continue
		}
		own := *m
		if out.images {
			if image == nil && encoded != nil {
				if image, err = encoded(); err != nil {
					out.log.Error("image of a reject not read", "id", m.ID, "error", err.Error())
					image = []byte{}
				}
			}
			own.Image = image
		}
		_, before, _ := out.spool.counts()
		err := out.spool.put(&own)
		_, after, _ := out.spool.counts()
		if now := time.Now().Unix(); (err != nil || after > before) && now-out.said.Load() >= 60 {
			out.said.Store(now)
			reason := "the spool's budget is spent: the oldest go"
			if err != nil {
				reason = err.Error()
			}
			out.log.Error("messages dropped", "dropped", after, "reason", reason)
		}
	}
}

// Close delivers what waits, as long as ctx lasts and the other sides take it, frees
// the outputs and returns how many messages are left in spools, for the next Open. Send
// must not be called any more.
func (o *Outputs) Close(ctx context.Context) (left int) {
	for _, out := range o.list {
		close(out.closing)
		defer context.AfterFunc(ctx, out.cancel)()
	}
	for _, out := range o.list {
		<-out.ended
		waiting, _, _ := out.spool.counts()
		left += waiting
		out.spool.release()
		out.cancel()
	}
	return left
}

// attempt is how long a delivery may take.
const attempt = 30 * time.Second

// run delivers until ctx ends, or closing is closed and nothing waits or the other
// side is away.
func (out *output) run(ctx context.Context) {
	defer close(out.ended)
	defer out.sink.close()
	wait := &backoff.ExponentialBackOff{InitialInterval: out.first, RandomizationFactor: .3, Multiplier: 2, MaxInterval: time.Minute}
	wait.Reset()
	for {
		m, err := out.spool.first()
		if err == nil && m == nil {
			select {
			case <-out.spool.wake:
				continue
			case <-out.closing:
				return
			case <-ctx.Done():
				return
			}
		}
		if err == nil {
			err = out.try(ctx, m)
		}
		if ctx.Err() != nil && err != nil {
			return
		}
		if errors.Is(err, errRefused) {
			out.refused.Add(1)
			out.log.Error("message refused and dropped", "id", m.ID, "error", err.Error())
			err = out.spool.done()
		} else if err == nil {
			out.delivered.Add(1)
			if err = out.spool.done(); err == nil && out.away.CompareAndSwap(true, false) {
				waiting, dropped, _ := out.spool.counts()
				out.log.Info("output is back", "waiting", waiting, "dropped", dropped)
			}
		}
		if err == nil {
			wait.Reset()
			continue
		}
		out.failures.Add(1)
		if out.away.CompareAndSwap(false, true) {
			out.log.Warn("output is away: messages wait in the spool", "error", err.Error())
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-out.closing: // what waits is for the next process
			return
		case <-ctx.Done():
			return
		}
	}
}

func (out *output) try(ctx context.Context, m *message) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return out.sink.deliver(ctx, m)
}

// Stats are counts of an output since it was opened.
type Stats struct {
	Name      string // its URL, without secrets
	Waiting   int    // messages in its spool
	Delivered uint64
	Dropped   uint64 // for want of room, or because they were half written or refused
	Failures  uint64 // deliveries that failed, and were or will be tried again
	Away      bool   // the last one failed
}

// Stats returns the counts of each output, in the order of the URLs.
func (o *Outputs) Stats() []Stats {
	var list []Stats
	for _, out := range o.list {
		waiting, dropped, torn := out.spool.counts()
		list = append(list, Stats{out.name, waiting, out.delivered.Load(), dropped + torn + out.refused.Load(), out.failures.Load(), out.away.Load()})
	}
	return list
}
