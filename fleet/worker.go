package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	goruntime "runtime"
	"strconv"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// WorkerOptions are options of [Queue.Work]; nil is all defaults.
type WorkerOptions struct {
	// Detector says what computes. What decides, such as a threshold, comes with the
	// model: leave it be, or workers give different findings.
	Detector runtime.Options
	// MaxPixels is the largest width × height of an image; 0 is that of dataset.Decoding.
	MaxPixels int
	// Try, where not nil, is given a model before this process opens it, as
	// [runtime.WatchOptions].Try is.
	Try func(ctx context.Context, model []byte) error
	// Concurrent is how many images are judged at a time, which the detector computes
	// together; 0 is 16, or 4 a core where that is more.
	Concurrent int
	// Tries is after how many an image that fails is parked; 0 is 5, 3 the least: one
	// that was begun more than twice is judged alone.
	Tries int
	// Timeout is how long an image may take, and the opening of its model if need be;
	// 0 is ten minutes.
	Timeout time.Duration
	// DrainTimeout is how long images that were taken may take once ctx has ended; 0
	// is 30 s.
	DrainTimeout time.Duration
	// Tell, where not nil, is called with what came of each image, before that is stored
	// and by several goroutines at a time: where a worker ends meanwhile another one
	// tells it again, with the same ID.
	Tell func(*judge.Event)
	// Drift says how the images that this worker judges are compared with those that their
	// model was trained on.
	Drift drift.Options
	// TellDrift, where not nil, is called with each drift that begins or ends.
	TellDrift func(*drift.Event)
	// Logger gets a line for each image and each change of the model; nil discards them.
	Logger *slog.Logger
	// Health, where not nil, is told how the worker is.
	Health *Health

	open func(ctx context.Context, hash string) (examiner, error) // in tests
}

// alone is how often an image may have been begun before it is judged alone.
const alone = 2

func (o *WorkerOptions) withDefaults() WorkerOptions {
	c := WorkerOptions{}
	if o != nil {
		c = *o
	}
	c.Concurrent = cmp.Or(c.Concurrent, max(16, 4*goruntime.GOMAXPROCS(0)))
	c.Tries = cmp.Or(c.Tries, 5)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Minute)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Health == nil {
		c.Health = &Health{}
	}
	logger := c.Logger
	c.Detector.Logf = func(format string, args ...any) { logger.Info(fmt.Sprintf(format, args...)) }
	return c
}

func (o *WorkerOptions) validate() error {
	switch {
	case o.Concurrent < 1:
		return fmt.Errorf("%w: concurrent images: got %d, want 1 or more", ErrInput, o.Concurrent)
	case o.Tries <= alone:
		return fmt.Errorf("%w: tries: got %d, want %d or more", ErrInput, o.Tries, alone+1)
	case o.MaxPixels < 0 || o.Timeout < 0 || o.DrainTimeout < 0:
		return fmt.Errorf("%w: got at most %d pixels, %v for an image and %v to drain, want 0 or more", ErrInput, o.MaxPixels, o.Timeout, o.DrainTimeout)
	}
	if _, err := drift.New(&runtime.ModelInfo{}, &o.Drift); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	return nil
}

// A worker takes images and gives findings.
type worker struct {
	*Queue
	options WorkerOptions
	log     *slog.Logger
	name    string
	models  *models
	drifts  *drift.Watch

	announced *latest

	inFlight sync.WaitGroup
	slots    chan struct{} // of images that are being judged
}

// Work takes images from the queue and gives findings until ctx ends; then it answers
// for those it has taken and returns nil. What fails passes or concerns one image: it
// is logged. Only options are refused.
//
// Several workers share a queue, in as many processes, on as many machines. Each
// opens the model in use when it is announced, with its self-test, while the one
// before works on, and keeps that for images that wait for it.
func (q *Queue) Work(ctx context.Context, o *WorkerOptions) error {
	options := o.withDefaults()
	if err := options.validate(); err != nil {
		return err
	}
	host, _ := os.Hostname()
	w := &worker{
		Queue: q, options: options, log: options.Logger, name: fmt.Sprintf("%s/%d", oneLine(host), os.Getpid()), slots: make(chan struct{}, options.Concurrent),
		drifts: drift.NewWatch(options.TellDrift), announced: newLatest(),
	}
	w.models = &models{open: w.openModel}
	if options.open != nil {
		w.models.open = options.open
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopped := context.AfterFunc(ctx, func() {
		options.Health.set("ending")
		select {
		case <-time.After(options.DrainTimeout):
			cancel()
		case <-working.Done():
		}
	})
	defer stopped()
	following := make(chan struct{})
	go func() {
		defer close(following)
		w.follow(ctx)
	}()
	w.take(ctx, working)
	w.inFlight.Wait()
	<-following
	w.models.close()
	return nil
}

// openModel fetches, tries, opens and tests a model.
func (w *worker) openModel(ctx context.Context, hash string) (examiner, error) {
	b, err := w.Model(ctx, hash)
	if err != nil {
		return nil, err
	}
	if w.options.Try != nil {
		if err := w.options.Try(ctx, b); err != nil {
			return nil, err
		}
	}
	det, err := runtime.OpenBytes(b, &w.options.Detector)
	if err != nil {
		return nil, err
	}
	tested, err := det.Verify(ctx)
	if err != nil {
		det.Close()
		return nil, err
	}
	w.log.Info("model opened", "audit", true, "hash", hash, "tested", tested, "provider", det.Info().Provider)
	d := detector{Detector: det}
	info := det.Info()
	if d.drift, err = drift.New(&info, &w.options.Drift); err != nil {
		det.Close()
		return nil, err
	}
	return d, nil
}

// A latest is the announcement that came last.
type latest struct {
	mu      sync.Mutex
	value   Announcement
	changed chan struct{} // closed by the next one
}

func newLatest() *latest { return &latest{changed: make(chan struct{})} }

func (l *latest) set(a Announcement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = a
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *latest) get() (a Announcement, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value, l.changed
}

// follow hears which model is in use until ctx ends.
func (w *worker) follow(ctx context.Context) {
	for ctx.Err() == nil {
		watch, err := w.current.Watch(ctx, currentKey)
		if err != nil {
			sleep(ctx, time.Second)
			continue
		}
		for entry := range watch.Updates() {
			var a Announcement
			if entry == nil || entry.Operation() != jetstream.KeyValuePut { // all there were have come; or somebody took it away
				continue
			}
			if err := readAnnouncement(entry.Value(), &a); err != nil {
				w.log.Error("announcement not understood", "error", err.Error())
				continue
			}
			if before, _ := w.announced.get(); before.Hash != a.Hash {
				w.log.Info("model announced", "audit", true, "hash", a.Hash, "name", a.Name, "before", before.Hash)
				w.announced.set(a)
			}
		}
		watch.Stop()
	}
}

// take takes images one at a time, as long as there is a free slot and the model in
// use is open: a worker that cannot open it leaves images to others.
func (w *worker) take(ctx, working context.Context) {
	ready := "" // the hash of the model that is known to open
	for wait := 100 * time.Millisecond; ctx.Err() == nil; {
		a, changed := w.announced.get()
		if a.Hash == "" {
			w.options.Health.set("the queue has no model")
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if a.Hash != ready {
			if ready == "" {
				w.options.Health.set("opening the model")
			}
			_, release, err := w.models.acquire(ctx, a.Hash)
			if err != nil {
				if ctx.Err() != nil {
					break
				}
				w.log.Error("model not opened", "audit", true, "hash", a.Hash, "name", a.Name, "error", err.Error())
				w.options.Health.set("the model is not opened: " + err.Error())
				select {
				case <-time.After(wait):
				case <-changed:
				case <-ctx.Done():
				}
				wait = min(2*wait, 30*time.Second)
				continue
			}
			release()
			w.log.Info("model in use", "audit", true, "hash", a.Hash, "name", a.Name, "before", ready)
			ready, wait = a.Hash, 100*time.Millisecond
		}
		if w.conn.IsConnected() {
			w.options.Health.set("")
		} else {
			w.options.Health.set("the connection is lost")
		}
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		m, err := w.consumer.Next(jetstream.FetchMaxWait(pullTime))
		if err != nil {
			<-w.slots
			if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages) {
				sleep(ctx, 100*time.Millisecond) // until servers are there again
			}
			continue
		}
		release := w.hold(working, m)
		if meta, err := m.Metadata(); err == nil && meta.NumDelivered > alone {
			w.inFlight.Wait() // nothing else is held that would be begun again, should it end this process
			w.handle(working, m)
			release()
			<-w.slots
			continue
		}
		w.inFlight.Go(func() {
			w.handle(working, m)
			release()
			<-w.slots
		})
	}
}

// hold tells the server until release is called that a message is being worked on,
// lest it be given to another worker.
func (w *worker) hold(ctx context.Context, m jetstream.Msg) (release func()) {
	held, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(w.ackWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.InProgress() // at the next tick, if not now
			case <-held.Done():
				return
			}
		}
	}()
	return cancel
}

// pullTime is how long a worker waits for an image before it looks around. A request
// is not broken off, lest an image be on its way that nobody takes.
const pullTime = 500 * time.Millisecond

// handle judges the image of a message and answers for it.
func (w *worker) handle(ctx context.Context, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		w.log.Error("message not understood", "error", err.Error())
		return
	}
	tries := int(meta.NumDelivered)
	began := time.Now()
	j, err := readJob(m.Headers(), m.Data())
	if err != nil {
		w.park(ctx, m, &job{image: zeroHash, model: zeroHash, name: "?", file: m.Data()}, err, tries)
		return
	}
	if tries > w.options.Tries {
		err := fmt.Errorf("%d workers began it and none answered: it ends the process that judges it, or its machine", tries-1)
		w.park(ctx, m, j, err, tries-1)
		return
	}
	if _, err := w.finding(ctx, j); err == nil { // given before; the answer was lost, or it was submitted twice
		w.answer(ctx, m, j)
		return
	}
	f, file, err := w.examine(ctx, j)
	var why unreadable
	switch {
	case ctx.Err() != nil: // which ended while it was judged: another worker begins it again
		m.Nak()
		return
	case errors.As(err, &why) || err != nil && tries >= w.options.Tries:
		w.park(ctx, m, j, err, tries)
		return
	case err != nil:
		w.log.Warn("failed", "image", j.image, "name", j.name, "model", j.model, "try", tries, "error", err.Error())
		m.NakWithDelay(min(time.Duration(tries)*time.Second, w.ackWait))
		return
	}
	w.tell(j, j.id(), f, file)
	if w.publish(ctx, j, f) {
		w.answer(ctx, m, j)
		w.log.Info("judged", "image", j.image, "name", j.name, "model", j.model, "score", f.Score, "anomalous", f.Anomalous, "try", tries,
			"waited_ms", began.Sub(meta.Timestamp).Milliseconds(), "took_ms", time.Since(began).Milliseconds())
	}
}

// zeroHash is what is parked that names no image.
var zeroHash = fmt.Sprintf("%064x", 0)

func (w *worker) examine(ctx context.Context, j *job) (f *judge.Finding, file []byte, err error) {
	if file, err = w.content(ctx, j); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.options.Timeout)
	defer cancel()
	e, release, err := w.models.acquire(ctx, j.model)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	f, err = e.examine(ctx, file, j.decoding(w.options.MaxPixels))
	if err == nil {
		for _, r := range e.compare(f) {
			event := &drift.Event{Report: r, ModelName: w.modelName(j.model), ModelHash: j.model}
			w.drifts.Note(event, w.log, "model", j.model, "name", event.ModelName)
		}
	}
	return f, file, err
}

// modelName is that of the model in use, "" where a hash is that of another.
func (w *worker) modelName(hash string) string {
	if a, _ := w.announced.get(); a.Hash == hash {
		return a.Name
	}
	return ""
}

// tell tells of a job what came of it.
func (w *worker) tell(j *job, id string, f *judge.Finding, file []byte) {
	if w.options.Tell == nil {
		return
	}
	named := *f
	named.Path = j.name
	w.options.Tell(&judge.Event{ID: id, ModelName: w.modelName(j.model), ModelHash: j.model, Finding: &named, Image: func() ([]byte, error) { return file, nil }})
}

// publish stores a finding, once. What is stored already stays, and is the same.
func (w *worker) publish(ctx context.Context, j *job, f *judge.Finding) (stored bool) {
	encoded, err := json.Marshal(f)
	if err != nil {
		w.log.Error("finding not written", "image", j.image, "error", err.Error())
		return false
	}
	m := nats.NewMsg(w.findingSubject(j.model, j.image))
	m.Header.Set(workerHeader, w.name)
	m.Header.Set(nameHeader, oneLine(j.name))
	m.Data = encoded
	given := false // before
	err = patiently(ctx, func(ctx context.Context) error {
		ack, err := w.js.PublishMsg(ctx, m, jetstream.WithMsgID(j.id()), jetstream.WithExpectLastSequencePerSubject(0))
		given = conflict(err) || err == nil && ack.Duplicate
		return err
	})
	if given {
		if stored, err := w.finding(ctx, j); err == nil && string(stored) != string(encoded) {
			w.log.Error("judged differently", "image", j.image, "model", j.model, "stored", string(stored), "now", string(encoded))
		}
		return true
	}
	if err != nil {
		w.log.Error("finding not stored", "image", j.image, "error", err.Error())
	}
	return err == nil
}

// finding returns the finding that is stored of a job's image and model.
func (q *Queue) finding(ctx context.Context, j *job) ([]byte, error) {
	m, err := last(ctx, q.findings, q.findingSubject(j.model, j.image))
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// last returns the last message of a subject; the error is ErrMsgNotFound where there
// is none.
func last(ctx context.Context, s jetstream.Stream, subject string) (m *jetstream.RawStreamMsg, err error) {
	err = patiently(ctx, func(ctx context.Context) error {
		m, err = s.GetLastMsgForSubject(ctx, subject)
		return err
	})
	return m, err
}

// park puts an image aside, with the reason, for people to look at.
func (w *worker) park(ctx context.Context, m jetstream.Msg, j *job, reason error, tries int) {
	parked := j.message(w.parkedSubject(j.model, j.image))
	parked.Header.Set(reasonHeader, oneLine(reason.Error()))
	parked.Header.Set(triesHeader, strconv.Itoa(tries))
	parked.Header.Set(workerHeader, w.name)
	var why unreadable
	if errors.As(reason, &why) {
		parked.Header.Set(fileHeader, "true")
	}
	if meta, err := m.Metadata(); err == nil { // or it could not be told again as the same
		w.tell(j, fmt.Sprintf("%s parked %d", j.id(), meta.Sequence.Stream), &judge.Finding{Err: reason}, j.file)
	}
	err := patiently(ctx, func(ctx context.Context) error {
		_, err := w.js.PublishMsg(ctx, parked)
		return err
	})
	if err != nil {
		w.log.Error("image not parked", "image", j.image, "name", j.name, "error", err.Error())
		return
	}
	w.log.Warn("parked", "image", j.image, "name", j.name, "model", j.model, "tries", tries, "error", reason.Error())
	w.acknowledge(ctx, m)
}

// answer takes a job that has its finding out of the queue.
func (w *worker) answer(ctx context.Context, m jetstream.Msg, j *job) {
	if err := w.drop(ctx, j); err != nil {
		w.log.Warn("image not removed", "object", j.object, "error", err.Error())
	}
	w.acknowledge(ctx, m)
}

// acknowledge waits until the server knows; where it does not hear, the image comes
// again and is answered for by its finding.
func (w *worker) acknowledge(ctx context.Context, m jetstream.Msg) {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := m.DoubleAck(limited); err != nil {
		w.log.Warn("answer not heard", "error", err.Error())
	}
}
