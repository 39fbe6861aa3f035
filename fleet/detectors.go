package fleet

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
)

// An examiner judges images; a detector, but in tests.
type examiner interface {
	// examine returns the finding of an image, of no path. The error wraps
	// unreadable where no other attempt can do better.
	examine(ctx context.Context, file []byte, d *dataset.Decoding) (*judge.Finding, error)
	// compare takes note of a finding of its own. Of the quantities whose window it fills
	// it returns what they are like.
	compare(f *judge.Finding) []drift.Report
	Close() error
}

// unreadable marks the error of a file that is no image, or none for the model.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// A detector is an examiner.
type detector struct {
	*runtime.Detector
	drift *drift.Monitor
}

func (d detector) compare(f *judge.Finding) []drift.Report { return d.drift.Add(&f.Result) }

func (d detector) examine(ctx context.Context, file []byte, decoding *dataset.Decoding) (*judge.Finding, error) {
	img, _, err := dataset.Decode(bytes.NewReader(file), "", decoding)
	if err != nil {
		return nil, unreadable{err}
	}
	size := img.Bounds().Size()
	view := d.Info().View
	if err := view.Fits(size); err != nil {
		return nil, unreadable{err}
	}
	results, err := d.Detect(ctx, img)
	if err != nil {
		return nil, err
	}
	if err := judge.CheckScore(results[0].Score); err != nil {
		return nil, unreadable{err}
	}
	return judge.NewFinding("", size, results[0], &judge.Options{MinArea: 1}), nil
}

// mostOpen is how many models a worker has open: the one in use, and the one before,
// for images that still wait for it.
const mostOpen = 2

// models are the examiners of a worker, by their hash.
type models struct {
	open func(ctx context.Context, hash string) (examiner, error)

	mu     sync.Mutex
	opened []*opened // that used last at the end
}

// An opened model is closed when it has left models.opened and nobody uses it.
type opened struct {
	hash  string
	ready chan struct{} // closed once the others are set
	examiner
	err   error
	users sync.WaitGroup // grows under models.mu, as long as it is in opened
}

// acquire returns the examiner of a model, which stays until release is called. It is
// opened where it is not yet; an error is forgotten, for the next try.
func (m *models) acquire(ctx context.Context, hash string) (e examiner, release func(), err error) {
	m.mu.Lock()
	at := slices.IndexFunc(m.opened, func(o *opened) bool { return o.hash == hash })
	var o *opened
	if at >= 0 {
		o = m.opened[at]
		m.opened = append(slices.Delete(m.opened, at, at+1), o)
	} else {
		o = &opened{hash: hash, ready: make(chan struct{})}
		m.opened = append(m.opened, o)
	}
	o.users.Add(1)
	release = sync.OnceFunc(o.users.Done)
	m.mu.Unlock()
	if at < 0 {
		o.examiner, o.err = m.open(ctx, hash)
		close(o.ready)
		m.mu.Lock()
		if o.err != nil {
			m.opened = slices.DeleteFunc(m.opened, func(other *opened) bool { return other == o })
		}
		for len(m.opened) > mostOpen {
			last := m.opened[0]
			m.opened = m.opened[1:]
			go last.retire()
		}
		m.mu.Unlock()
	}
	select {
	case <-o.ready:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	if o.err != nil {
		release()
		return nil, nil, o.err
	}
	return o.examiner, release, nil
}

// retire closes a model once nobody uses it.
func (o *opened) retire() {
	<-o.ready
	o.users.Wait()
	if o.err == nil {
		o.examiner.Close()
	}
}

// close waits for all users and closes all models.
func (m *models) close() {
	m.mu.Lock()
	all := m.opened
	m.opened = nil
	m.mu.Unlock()
	for _, o := range all {
		o.retire()
	}
}
