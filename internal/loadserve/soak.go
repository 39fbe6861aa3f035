package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Of a soak: the time between two swaps, the share of it (five minutes of an hour) after
// which heaps, threads and caches have the size that they need, and by how much the
// memory of the last quarter may be above that of the first one from then on. Medians
// are compared: a moment with many requests takes memory, and gives it back.
const (
	swapPause = 6 * time.Second
	warm      = 1. / 12
	mayGrow   = .1
)

// A soaked is what became of the requests of a soak.
type soaked struct {
	mu       sync.Mutex
	answered int
	refused  int   // with 429
	gone     int   // their client left
	lost     int   // anything else
	why      error // of the last that was lost
}

// A request is one kind of those that come in turn.
type request struct {
	name, query, accept string
	file                []byte
	status              int
	leave               time.Duration // the client goes away; 0 waits
}

// soakFor watches a server under load, for a time: requests of all kinds come at a
// rate a second, whatever becomes of those before, and its model changes every swapPause. It
// fails if one is lost or memory has grown.
func soakFor(ctx context.Context, s *server, file []byte, path string, files [2][]byte, rate float64, d time.Duration) error {
	kinds := []request{
		{name: "verdict", file: file, status: http.StatusOK},
		{name: "overlay", accept: "image/png", file: file, status: http.StatusOK},
		{name: "heat map", query: "?draw=heatmap", file: file, status: http.StatusOK},
		{name: "half a file", file: file[:len(file)/2], status: http.StatusBadRequest},
		{name: "client that leaves", file: file, leave: 5 * time.Millisecond},
	}
	client := newClient()
	defer client.CloseIdleConnections()
	t := &soaked{}
	var all sync.WaitGroup
	defer all.Wait()
	began := time.Now()
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
			all.Go(func() { t.ask(client, s.url, kinds[i%len(kinds)]) })
		}
	})
	fmt.Printf("| minute | resident MiB | Go's heap MiB | goroutines | open files | swaps | requests | refused | lost |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	var resident []float64 // once warm
	swaps := 0
	minute := max(d/60, swapPause)
	for next := minute; ; {
		select {
		case <-ctx.Done():
		case <-time.After(swapPause):
			if err := s.swap(path, files[(swaps+1)%2]); err != nil {
				t.mu.Lock()
				t.lost++
				t.why = fmt.Errorf("swap %d: %w", swaps+1, err)
				t.mu.Unlock()
			}
			swaps++
		}
		since := time.Since(began)
		if since < next && ctx.Err() == nil {
			continue
		}
		f, err := s.figures()
		if err != nil {
			return err
		}
		t.mu.Lock()
		fmt.Printf("| %.0f | %.0f | %.0f | %.0f | %.0f | %d | %d | %d | %d |\n", since.Minutes(), f.resident/(1<<20), f.heap/(1<<20), f.goroutines, f.files, swaps, t.answered+t.refused+t.gone+t.lost, t.refused, t.lost)
		t.mu.Unlock()
		if since >= time.Duration(warm*float64(d)) {
			resident = append(resident, f.resident)
		}
		if ctx.Err() != nil {
			break
		}
		next = since.Truncate(minute) + minute
	}
	all.Wait()
	fmt.Printf("\n%d requests with an answer, %d whose client left, %d told to come again, %d lost; %d swaps\n", t.answered, t.gone, t.refused, t.lost, swaps)
	quarter := len(resident) / 4
	if quarter == 0 {
		return errors.New("the soak ended before memory could be compared")
	}
	first, last := median(resident[:quarter]), median(resident[len(resident)-quarter:])
	fmt.Printf("resident MiB, median: %.0f in the first quarter once warm, %.0f in the last\n", first/(1<<20), last/(1<<20))
	switch {
	case t.lost > 0:
		return fmt.Errorf("%d requests were lost, the last one: %w", t.lost, t.why)
	case last > (1+mayGrow)*first:
		return fmt.Errorf("memory grew from %.0f to %.0f MiB", first/(1<<20), last/(1<<20))
	}
	return nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// ask sends a request and notes what became of it.
func (t *soaked) ask(client *http.Client, url string, r request) {
	ctx, cancel := context.WithCancel(context.Background())
	if r.leave > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.leave)
	}
	defer cancel()
	status, err := 0, error(nil)
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url+r.query, bytes.NewReader(r.file))
	if err == nil {
		q.Header.Set("Accept", r.accept)
		var a *http.Response
		if a, err = client.Do(q); err == nil {
			status = a.StatusCode
			_, err = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case r.leave > 0 && (errors.Is(err, context.DeadlineExceeded) || status == http.StatusOK):
		t.gone++
	case err == nil && status == r.status:
		t.answered++
	case status == http.StatusTooManyRequests:
		t.refused++
	default:
		t.lost++
		t.why = fmt.Errorf("%s: status %d, %w", r.name, status, err)
		if err == nil {
			t.why = fmt.Errorf("%s: status %d", r.name, status)
		}
	}
}

// swap puts another model in the place of a file and waits until it is in use.
func (s *server) swap(path string, file []byte) error {
	if err := os.WriteFile(path+".new", file, 0o644); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	a, err := http.Post(s.root+"/v2/repository/models/part/load", "", nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if text, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", a.Status, text)
	}
	return nil
}

// figures are what a server's metrics say of its process.
type figures struct{ resident, heap, goroutines, files float64 }

func (s *server) figures() (*figures, error) {
	a, err := http.Get(s.root + "/metrics")
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return nil, err
	}
	f := &figures{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		to := map[string]*float64{
			"process_resident_memory_bytes": &f.resident,
			"go_memstats_heap_inuse_bytes":  &f.heap,
			"go_goroutines":                 &f.goroutines,
			"process_open_fds":              &f.files,
		}[name]
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metrics: %s: %w", name, err)
		}
	}
	return f, nil
}
