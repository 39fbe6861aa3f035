package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A tally is what became of requests.
type tally struct {
	mu        sync.Mutex
	took      time.Duration
	latencies []time.Duration // of those that were answered
	answered  int
	refused   int // with 429
	failed    int
}

// rate is answers a second.
func (t *tally) rate() float64 { return float64(t.answered) / t.took.Seconds() }

// quantile of the latencies, 0 where there are none.
func (t *tally) quantile(q float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[min(int(q*float64(len(t.latencies))), len(t.latencies)-1)]
}

// ask sends a request that was due at a time. One that ctx ends does not count.
func (t *tally) ask(ctx context.Context, client *http.Client, url string, file []byte, due time.Time) {
	status := 0
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(file))
	if err == nil {
		var a *http.Response
		if a, err = client.Do(q); err == nil {
			status = a.StatusCode
			_, err = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
	}
	took := time.Since(due)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err == nil && status == http.StatusOK:
		t.answered++
		t.latencies = append(t.latencies, took)
	case status == http.StatusTooManyRequests:
		t.refused++
	default:
		t.failed++
	}
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 10}, Timeout: time.Minute}
}

// closed has so many clients ask, each as soon as it was answered.
func closed(ctx context.Context, url string, file []byte, clients int, d time.Duration) *tally {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	client := newClient()
	defer client.CloseIdleConnections()
	t := &tally{}
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				t.ask(ctx, client, url, file, time.Now())
			}
		})
	}
	all.Wait()
	t.took = time.Since(began)
	return t
}

// open asks at a rate, whatever becomes of the requests before: latencies count from
// when a request was due.
func open(ctx context.Context, url string, file []byte, rate float64, d time.Duration) *tally {
	client := newClient()
	defer client.CloseIdleConnections()
	t := &tally{}
	began := time.Now()
	var all sync.WaitGroup
	for i := 0; ; i++ {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		if at >= d || ctx.Err() != nil {
			break
		}
		due := began.Add(at)
		time.Sleep(time.Until(due))
		all.Go(func() { t.ask(ctx, client, url, file, due) })
	}
	all.Wait()
	t.took = time.Since(began)
	return t
}
