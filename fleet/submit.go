package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"
)

// SubmitOptions are options of [Queue.Submit]; nil is all defaults.
type SubmitOptions struct {
	// Path spells an image's path; nil is its name.
	Path func(*dataset.Sample) string
	// Timeout is how long nothing may come before Submit gives up; 0 waits for ever.
	Timeout time.Duration
	// Logf is told why there is nothing yet: no room, no workers; nil discards it.
	Logf func(format string, args ...any)
}

var (
	// ErrParked is wrapped by the error of an image that was tried and parked.
	ErrParked = errors.New("parked")
	// ErrTimeout is that nothing came for SubmitOptions.Timeout.
	ErrTimeout = errors.New("fleet: no finding came")
)

// How Submit goes about.
const (
	senders  = 4                     // images that are read and sent at a time
	fullWait = 50 * time.Millisecond // before a queue that is full is tried again; it grows to twenty times that
	lookTime = 5 * time.Second       // without news, before Submit looks for itself
)

// Submit puts images into the queue, to be judged by the model in use, waits for what
// comes of them, and hands that on in the order of the samples: findings with an error
// of those that could not be read or were parked. An image whose finding is there
// already, of this model, is not judged again.
//
// When ctx ends its error is returned; what is in the queue stays there and is
// judged. Submitted again, it costs nothing. So does an error of each end it.
func (q *Queue) Submit(ctx context.Context, samples []dataset.Sample, o *SubmitOptions, each func(*judge.Finding) error) error {
	s := &submission{Queue: q, samples: samples, run: nuid.Next(), news: make(chan struct{}, 1)}
	if o != nil {
		s.options = *o
	}
	if s.options.Path == nil {
		s.options.Path = func(s *dataset.Sample) string { return s.Name }
	}
	if s.options.Logf == nil {
		s.options.Logf = func(string, ...any) {}
	}
	a, err := q.Current(ctx)
	if err != nil {
		return err
	}
	s.model = a.Hash
	s.results = make([]*judge.Finding, len(samples))
	s.waiting = map[string][]int{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, source := range []struct {
		stream  jetstream.Stream
		subject string
		read    func(subject string, m stored) error
	}{
		{q.findings, q.findingSubject(s.model, "*"), s.found},
		{q.parked, q.parkedSubject(s.model, "*"), s.putAside},
	} {
		if err := s.listen(ctx, group, source.stream, source.subject, source.read); err != nil {
			return fmt.Errorf("%w %q: %w", ErrQueue, q.options.Queue, err)
		}
	}
	group.Go(func() error { return s.feed(ctx) })
	err = s.collect(ctx, each)
	cancel()
	if ended := group.Wait(); ended != nil && errors.Is(err, context.Canceled) { // by it, or both by ctx
		err = ended
	}
	return err
}

// A submission is one call of Submit.
type submission struct {
	*Queue
	options SubmitOptions
	samples []dataset.Sample
	model   string
	run     string // tells its messages from those of other calls
	news    chan struct{}

	mu      sync.Mutex
	results []*judge.Finding  // by sample; nil as long as there is none
	waiting map[string][]int  // the samples of an image that is in the queue
	since   map[string]uint64 // of the streams: their last message before the first image was sent
	full    bool              // was noted
	idle    bool              // that nobody works was noted
}

// stored is what is read of a message of a stream.
type stored struct {
	data   []byte
	header func(string) string
}

// listen reads what comes to a stream from now on.
func (s *submission) listen(ctx context.Context, group *errgroup.Group, stream jetstream.Stream, subject string, read func(string, stored) error) error {
	var info *jetstream.StreamInfo
	var consumer jetstream.Consumer
	err := patiently(ctx, func(ctx context.Context) (err error) {
		info, err = stream.Info(ctx)
		return err
	})
	if err == nil {
		err = patiently(ctx, func(ctx context.Context) (err error) {
			consumer, err = stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
				FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: info.State.LastSeq + 1,
			})
			return err
		})
	}
	if err != nil {
		return err
	}
	if s.since == nil {
		s.since = map[string]uint64{}
	}
	s.since[subject] = info.State.LastSeq
	group.Go(func() error {
		for ctx.Err() == nil {
			messages, err := consumer.Messages(jetstream.WithMessagesErrOnMissingHeartbeat(false))
			if err != nil {
				sleep(ctx, time.Second) // what is missed meanwhile is looked for
				continue
			}
			stop := context.AfterFunc(ctx, messages.Stop)
			for {
				m, err := messages.Next()
				if err != nil {
					break
				}
				if err := read(m.Subject(), stored{m.Data(), m.Headers().Get}); err != nil {
					return err
				}
			}
			stop()
			messages.Stop()
			sleep(ctx, 100*time.Millisecond)
		}
		return nil
	})
	return nil
}

// found takes a finding.
func (s *submission) found(subject string, m stored) error {
	var f judge.Finding
	if err := json.Unmarshal(m.data, &f); err != nil {
		return fmt.Errorf("%w: got a finding that cannot be read: %w", ErrQueue, err)
	}
	s.resolve(subject, func(*dataset.Sample) judge.Finding { return f })
	return nil
}

// putAside takes an image that was parked.
func (s *submission) putAside(subject string, m stored) error {
	reason := m.header(reasonHeader)
	s.resolve(subject, func(sample *dataset.Sample) judge.Finding {
		if m.header(fileHeader) != "" { // as it is said where it is read
			if rest, ok := strings.CutPrefix(reason, "dataset: "); ok {
				return judge.Finding{Err: fmt.Errorf("dataset: %q: %s", sample.Name, rest)}
			}
			return judge.Finding{Err: errors.New(reason)}
		}
		return judge.Finding{Err: fmt.Errorf("%w after %s tries: %s", ErrParked, m.header(triesHeader), reason)}
	})
	return nil
}

// resolve gives all samples that wait for an image, the last part of a subject, what
// came of it.
func (s *submission) resolve(subject string, finding func(*dataset.Sample) judge.Finding) {
	image := subject[strings.LastIndexByte(subject, '.')+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.waiting[image] {
		f := finding(&s.samples[i])
		s.settle(i, f)
	}
	delete(s.waiting, image)
}

// settle takes what came of a sample; s.mu is held.
func (s *submission) settle(i int, f judge.Finding) {
	f.Path, f.Sample = s.options.Path(&s.samples[i]), &s.samples[i]
	s.results[i] = &f
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// collect hands on what came, in the order of the samples.
func (s *submission) collect(ctx context.Context, each func(*judge.Finding) error) error {
	look := time.NewTicker(lookTime)
	defer look.Stop()
	last := time.Now()
	for next := 0; next < len(s.samples); {
		s.mu.Lock()
		f := s.results[next]
		s.mu.Unlock()
		if f != nil {
			if err := each(f); err != nil {
				return err
			}
			next, last = next+1, time.Now()
			look.Reset(lookTime)
			continue
		}
		select {
		case <-s.news:
		case <-look.C:
			if err := s.look(ctx); err != nil {
				return err
			}
			if limit := s.options.Timeout; limit > 0 && time.Since(last) > limit {
				return fmt.Errorf("%w for %v: %d of %d images are without", ErrTimeout, limit, len(s.samples)-next, len(s.samples))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// look looks for what is waited for, which a connection that was lost may have kept
// from coming, and says if nobody works.
func (s *submission) look(ctx context.Context) error {
	s.mu.Lock()
	var images []string
	for image := range s.waiting {
		if images = append(images, image); len(images) == 1000 {
			break
		}
	}
	s.mu.Unlock()
	for _, image := range images {
		for _, source := range []struct {
			stream  jetstream.Stream
			subject string
			since   uint64
			read    func(subject string, m stored) error
		}{
			{s.findings, s.findingSubject(s.model, image), 0, s.found},
			{s.parked, s.parkedSubject(s.model, image), s.since[s.parkedSubject(s.model, "*")], s.putAside},
		} {
			m, err := last(ctx, source.stream, source.subject)
			switch {
			case errors.Is(err, jetstream.ErrMsgNotFound):
			case err != nil:
				return fmt.Errorf("%w %q: %w", ErrQueue, s.Queue.options.Queue, err)
			case m.Sequence > source.since:
				if err := source.read(source.subject, stored{m.Data, m.Header.Get}); err != nil {
					return err
				}
			}
		}
	}
	if info, err := s.consumer.Info(ctx); err == nil && info.NumWaiting == 0 && info.NumAckPending == 0 && info.NumPending > 0 && !s.idle {
		s.idle = true
		s.options.Logf("%d images wait and nobody takes them: is there a worker? (anomaly worker)", info.NumPending)
	}
	return nil
}

// feed sends all images.
func (s *submission) feed(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	for i := range s.samples {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return s.submit(ctx, i) })
	}
	return group.Wait()
}

// submit sends one image, unless its finding is there, or it was sent for another
// sample.
func (s *submission) submit(ctx context.Context, i int) error {
	sample := &s.samples[i]
	file, decoding, err := sample.File()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settle(i, judge.Finding{Err: err})
		return nil
	}
	j := newJob(s.model, sample.Name, file, decoding)
	s.mu.Lock()
	sent := s.waiting[j.image] != nil
	s.waiting[j.image] = append(s.waiting[j.image], i)
	s.mu.Unlock()
	if sent {
		return nil
	}
	subject := s.findingSubject(s.model, j.image)
	m, err := last(ctx, s.findings, subject)
	switch {
	case err == nil:
		return s.found(subject, stored{m.Data, m.Header.Get})
	case errors.Is(err, jetstream.ErrMsgNotFound):
		err = s.send(ctx, j, s.run, s.noteFull)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w %q: %s: %w", ErrQueue, s.Queue.options.Queue, sample.Name, err)
	}
	return err
}

func (s *submission) noteFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full {
		s.full = true
		s.options.Logf("the queue is full: waiting until there is room")
	}
}
