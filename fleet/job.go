package fleet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxInline is the largest message that an image's file travels in, in bytes: 8 MiB, or
// less where the servers' largest payload is less. What does not fit goes into the
// object store, and the message has a reference.
const MaxInline = 8 << 20

// headroom is what a message has besides the file, at most.
const headroom = 16 << 10

// A job is an image on its way to a finding.
type job struct {
	image      string // the hash of what is judged: the file and how it is decoded
	model      string // the hash of the model that is to judge it
	name       string // for people
	background dataset.Background
	levels     int

	object string // where the file is kept; "" for file
	file   []byte
}

// Headers of jobs and of parked images.
const (
	imageHeader      = "Anomaly-Image"
	modelHeader      = "Anomaly-Model"
	nameHeader       = "Anomaly-Name"
	backgroundHeader = "Anomaly-Background"
	levelsHeader     = "Anomaly-Levels"
	objectHeader     = "Anomaly-Object"
	workerHeader     = "Anomaly-Worker" // who gave a finding, or parked an image
	reasonHeader     = "Anomaly-Reason" // why an image was parked
	triesHeader      = "Anomaly-Tries"  // after how many
	fileHeader       = "Anomaly-Unreadable"
)

// newJob returns the job of a file; how it is decoded counts as part of the image.
func newJob(model, name string, file []byte, d *dataset.Decoding) *job {
	j := &job{model: model, name: name, file: file}
	if d != nil {
		j.background, j.levels = d.Background, d.Levels
	}
	if j.background == dataset.Black { // as ""
		j.background = ""
	}
	hash := sha256.New()
	if j.background != "" || j.levels != 0 {
		fmt.Fprintf(hash, "background %s, levels %d\n", j.background, j.levels)
	}
	hash.Write(file)
	j.image = hex.EncodeToString(hash.Sum(nil))
	return j
}

// message returns a job as it is sent: the file inside, where it is in no object.
func (j *job) message(subject string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(imageHeader, j.image)
	m.Header.Set(modelHeader, j.model)
	m.Header.Set(nameHeader, oneLine(j.name))
	if j.background != "" {
		m.Header.Set(backgroundHeader, string(j.background))
	}
	if j.levels != 0 {
		m.Header.Set(levelsHeader, strconv.Itoa(j.levels))
	}
	if j.object != "" {
		m.Header.Set(objectHeader, j.object)
	} else {
		m.Data = j.file
	}
	return m
}

// readJob reads a message. What is no job, of somebody who speaks another language,
// is an error that wraps ErrInput.
func readJob(h nats.Header, data []byte) (*job, error) {
	j := &job{
		image: h.Get(imageHeader), model: h.Get(modelHeader), name: h.Get(nameHeader), object: h.Get(objectHeader),
		background: dataset.Background(h.Get(backgroundHeader)), file: data,
	}
	var err error
	if text := h.Get(levelsHeader); text != "" {
		j.levels, err = strconv.Atoi(text)
	}
	if err == nil {
		err = j.decoding(0).Validate()
	}
	if err == nil && (!isHash(j.image) || !isHash(j.model)) {
		err = fmt.Errorf("got image %.80q and model %.80q, want hashes", j.image, j.model)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a message that is no image: %w", ErrInput, err)
	}
	return j, nil
}

func (j *job) decoding(maxPixels int) *dataset.Decoding {
	return &dataset.Decoding{MaxPixels: maxPixels, Background: j.background, Levels: j.levels}
}

// id is that of the one finding there is of an image and a model.
func (j *job) id() string { return j.model + "." + j.image }

// send puts a job into the queue, and its file into the object store where it is
// large. It waits while there is no room, of which it tells once.
func (q *Queue) send(ctx context.Context, j *job, run string, waiting func()) error {
	if largest := min(MaxInline, q.conn.MaxPayload()) - headroom; int64(len(j.file)) > largest {
		j.object = j.id()
		if err := q.roomily(ctx, waiting, func() error { return put(ctx, q.images, j.object, j.file) }); err != nil {
			return err
		}
	}
	return q.enqueue(ctx, j.message(q.jobSubject()), run+"."+j.id(), waiting)
}

// enqueue puts a message into the queue, once, however often it is sent under an id.
func (q *Queue) enqueue(ctx context.Context, m *nats.Msg, id string, waiting func()) error {
	return q.roomily(ctx, waiting, func() error {
		return patiently(ctx, func(ctx context.Context) error {
			_, err := q.js.PublishMsg(ctx, m, jetstream.WithMsgID(id))
			return err
		})
	})
}

// roomily calls put until there is room.
func (q *Queue) roomily(ctx context.Context, waiting func(), put func() error) error {
	for wait := fullWait; ; wait = min(2*wait, 20*fullWait) {
		err := put()
		if !full(err) {
			return err
		}
		waiting()
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// content returns the image's file, from wherever it is.
func (q *Queue) content(ctx context.Context, j *job) ([]byte, error) {
	file := j.file
	if j.object != "" {
		var err error
		if file, err = get(ctx, q.images, j.object); err != nil {
			return nil, fmt.Errorf("%w: the image's file: %w", ErrQueue, err)
		}
	}
	if got := newJob(j.model, j.name, file, j.decoding(0)).image; got != j.image {
		return nil, fmt.Errorf("%w: the image's file: got bytes of hash %.12s, want %.12s", ErrQueue, got, j.image)
	}
	return file, nil
}

// drop removes what is kept of a job besides its message.
func (q *Queue) drop(ctx context.Context, j *job) error {
	if j.object == "" {
		return nil
	}
	return patiently(ctx, func(ctx context.Context) error {
		err := q.images.Delete(ctx, j.object)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			err = nil
		}
		return err
	})
}

// oneLine is a text as a header may have it.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	return cmp.Or(strings.TrimSpace(s[:min(len(s), 4096)]), "?")
}
