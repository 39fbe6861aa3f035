package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// A Parked is an image that was tried and put aside.
type Parked struct {
	Name   string    `json:"name"`   // of its file, as it was submitted
	Image  string    `json:"image"`  // hash of what was to be judged, in hexadecimal
	Model  string    `json:"model"`  // hash of the model that was to judge it
	Tries  int       `json:"tries"`  // how often it was begun
	Reason string    `json:"reason"` // of the last try
	Worker string    `json:"worker"` // that parked it: HOST/PROCESS
	Time   time.Time `json:"time"`   // when
}

// Parked calls each with what is parked, the oldest first; an error of each ends it.
// Images stay parked until they are retried, or for Limits.Keep.
func (q *Queue) Parked(ctx context.Context, each func(*Parked) error) error {
	return q.eachParked(ctx, func(m *jetstream.RawStreamMsg) error {
		tries, _ := strconv.Atoi(m.Header.Get(triesHeader))
		return each(&Parked{
			m.Header.Get(nameHeader), m.Header.Get(imageHeader), m.Header.Get(modelHeader), tries,
			m.Header.Get(reasonHeader), m.Header.Get(workerHeader), m.Time,
		})
	})
}

// Retry puts all that is parked back into the queue, to be judged by the models that
// they were submitted for, and returns how many images that were. It waits while there
// is no room.
func (q *Queue) Retry(ctx context.Context) (n int, err error) {
	run := nuid.Next()
	err = q.eachParked(ctx, func(m *jetstream.RawStreamMsg) error {
		if strings.HasSuffix(m.Subject, "."+zeroHash) { // what is no image
			return nil
		}
		again := &nats.Msg{Subject: q.jobSubject(), Header: nats.Header{}, Data: m.Data}
		for _, name := range []string{imageHeader, modelHeader, nameHeader, backgroundHeader, levelsHeader, objectHeader} {
			if v := m.Header.Get(name); v != "" {
				again.Header.Set(name, v)
			}
		}
		if err := q.enqueue(ctx, again, run+"."+strconv.FormatUint(m.Sequence, 10), func() {}); err != nil {
			return err
		}
		n++
		return patiently(ctx, func(ctx context.Context) error {
			err := q.parked.DeleteMsg(ctx, m.Sequence)
			if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // it is gone
				err = nil
			}
			return err
		})
	})
	return n, err
}

// eachParked calls each with the messages that the stream has now.
func (q *Queue) eachParked(ctx context.Context, each func(*jetstream.RawStreamMsg) error) error {
	var info *jetstream.StreamInfo
	err := patiently(ctx, func(ctx context.Context) (err error) {
		info, err = q.parked.Info(ctx)
		return err
	})
	if err == nil {
		for next := info.State.FirstSeq; next <= info.State.LastSeq && info.State.Msgs > 0; next++ {
			var m *jetstream.RawStreamMsg
			err = patiently(ctx, func(ctx context.Context) (err error) {
				m, err = q.parked.GetMsg(ctx, next, jetstream.WithGetMsgSubject(q.parkedSubject("*", "*")))
				return err
			})
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if err != nil {
				break
			}
			if err := each(m); err != nil {
				return err
			}
			next = m.Sequence
		}
	}
	if err != nil {
		return fmt.Errorf("%w %q: what is parked: %w", ErrQueue, q.options.Queue, err)
	}
	return nil
}
