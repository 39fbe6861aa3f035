package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/anomaly-go/anomaly/runtime"
	"github.com/nats-io/nats.go/jetstream"
)

// An Announcement says which model is in use.
type Announcement struct {
	Hash string    `json:"hash"` // SHA-256 of its file, in hexadecimal
	Name string    `json:"name"` // for people
	Time time.Time `json:"time"` // when it was announced
}

// Announce stores a model, given as [runtime.ReadFile] returns it, and makes it the
// one in use: images that are submitted from now on are judged by it, those that wait
// by the one they were submitted for. It does not open the model; who announces one
// has tested it.
func (q *Queue) Announce(ctx context.Context, model []byte, name string) (Announcement, error) {
	a, encoded, err := q.store(ctx, model, name)
	if err == nil {
		err = patiently(ctx, func(ctx context.Context) error {
			_, err := q.current.Put(ctx, currentKey, encoded)
			return err
		})
	}
	if err != nil {
		return a, fmt.Errorf("%w: the model is not announced: %w", ErrQueue, err)
	}
	return a, nil
}

// AnnounceFirst is [Queue.Announce] where no model is in use yet; it returns the one
// that is.
func (q *Queue) AnnounceFirst(ctx context.Context, model []byte, name string) (Announcement, error) {
	a, err := q.Current(ctx)
	if !errors.Is(err, ErrNoModel) {
		return a, err
	}
	a, encoded, err := q.store(ctx, model, name)
	if err == nil {
		err = patiently(ctx, func(ctx context.Context) error {
			_, err := q.current.Create(ctx, currentKey, encoded)
			if errors.Is(err, jetstream.ErrKeyExists) || conflict(err) { // another was first
				err = nil
			}
			return err
		})
	}
	if err != nil {
		return a, fmt.Errorf("%w: the model is not announced: %w", ErrQueue, err)
	}
	return q.Current(ctx)
}

// store puts a model into the object store, under its hash.
func (q *Queue) store(ctx context.Context, model []byte, name string) (Announcement, []byte, error) {
	a := Announcement{runtime.Hash(model), name, time.Now().UTC().Truncate(time.Millisecond)}
	err := put(ctx, q.models, a.Hash, model)
	if err != nil {
		return a, nil, err
	}
	encoded, err := json.Marshal(a)
	return a, encoded, err
}

// Current returns the model in use; the error wraps ErrNoModel where there is none.
func (q *Queue) Current(ctx context.Context) (Announcement, error) {
	var a Announcement
	var entry jetstream.KeyValueEntry
	err := patiently(ctx, func(ctx context.Context) (err error) {
		entry, err = q.current.Get(ctx, currentKey)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return a, ErrNoModel
	case err != nil:
		return a, fmt.Errorf("%w: which model is in use: %w", ErrQueue, err)
	}
	return a, readAnnouncement(entry.Value(), &a)
}

func readAnnouncement(b []byte, a *Announcement) error {
	if err := json.Unmarshal(b, a); err != nil || !isHash(a.Hash) {
		return fmt.Errorf("%w: got an announcement %.80q, want a model's hash", ErrQueue, b)
	}
	return nil
}

// Model returns the model of a hash, as it was announced.
func (q *Queue) Model(ctx context.Context, hash string) ([]byte, error) {
	b, err := get(ctx, q.models, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: model %.12s: %w", ErrQueue, hash, err)
	}
	if got := runtime.Hash(b); got != hash {
		return nil, fmt.Errorf("%w: model %.12s: got bytes of hash %.12s", ErrQueue, hash, got)
	}
	return b, nil
}

// isHash reports whether s may be part of a subject as a hash.
func isHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// transferTime is how long an object may take to be sent, or fetched.
const transferTime = 5 * time.Minute

// put stores an object under a name, unless it is there.
func put(ctx context.Context, s jetstream.ObjectStore, name string, b []byte) error {
	return within(ctx, transferTime, func(ctx context.Context) error {
		info, err := s.GetInfo(ctx, name)
		if err == nil && info.Size == uint64(len(b)) || err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			return err
		}
		_, err = s.PutBytes(ctx, name, b)
		return err
	})
}

// get fetches an object; what is sent is checked against the store's digest. One that
// is removed meanwhile stops coming, of which nobody tells: it is asked for again.
func get(ctx context.Context, s jetstream.ObjectStore, name string) (b []byte, err error) {
	err = within(ctx, transferTime, func(ctx context.Context) error {
		object, err := s.Get(patient{ctx}, name)
		if err != nil {
			return err
		}
		defer object.Close()
		var all bytes.Buffer
		_, err = io.Copy(&all, reader(func(p []byte) (int, error) {
			n, err := object.Read(p)
			if n == 0 && err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("no more of it came for %v: %w", askTime, context.DeadlineExceeded)
			}
			return n, err
		}))
		b = all.Bytes()
		return err
	})
	return b, err
}

// A patient context always has askTime left, which is how long each read of an object
// waits.
type patient struct{ context.Context }

func (patient) Deadline() (time.Time, bool) { return time.Now().Add(askTime), true }

// A reader is an io.Reader that is a function.
type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
